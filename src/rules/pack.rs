//! The built-in pack: one file per kind of daemon, embedded.

/// Name and text of each file.
pub(super) const FILES: &[(&str, &str)] = &[
    ("auth.yaml", include_str!("pack/auth.yaml")),
    ("web.yaml", include_str!("pack/web.yaml")),
    ("services.yaml", include_str!("pack/services.yaml")),
    ("system.yaml", include_str!("pack/system.yaml")),
];
