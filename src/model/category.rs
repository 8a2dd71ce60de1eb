//! What kind of trouble a finding is about: a closed list.

use serde::{Deserialize, Serialize};

/// The category of a finding. `Anomaly` is what only statistics saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    BruteForce,
    AuthCompromise,
    PrivilegeEscalation,
    Persistence,
    Malware,
    WebAttack,
    WebScan,
    Recon,
    Dos,
    Oom,
    DiskFull,
    Storage,
    Hardware,
    Kernel,
    Crash,
    ServiceFailure,
    UpstreamError,
    ResourceExhaustion,
    Database,
    AppError,
    Performance,
    Network,
    Certificate,
    ConfigError,
    MailAbuse,
    Anomaly,
}

impl Category {
    /// Every category.
    pub const ALL: [Category; 26] = [
        Category::BruteForce,
        Category::AuthCompromise,
        Category::PrivilegeEscalation,
        Category::Persistence,
        Category::Malware,
        Category::WebAttack,
        Category::WebScan,
        Category::Recon,
        Category::Dos,
        Category::Oom,
        Category::DiskFull,
        Category::Storage,
        Category::Hardware,
        Category::Kernel,
        Category::Crash,
        Category::ServiceFailure,
        Category::UpstreamError,
        Category::ResourceExhaustion,
        Category::Database,
        Category::AppError,
        Category::Performance,
        Category::Network,
        Category::Certificate,
        Category::ConfigError,
        Category::MailAbuse,
        Category::Anomaly,
    ];

    /// The name used in JSON, the database and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Category::BruteForce => "brute_force",
            Category::AuthCompromise => "auth_compromise",
            Category::PrivilegeEscalation => "privilege_escalation",
            Category::Persistence => "persistence",
            Category::Malware => "malware",
            Category::WebAttack => "web_attack",
            Category::WebScan => "web_scan",
            Category::Recon => "recon",
            Category::Dos => "dos",
            Category::Oom => "oom",
            Category::DiskFull => "disk_full",
            Category::Storage => "storage",
            Category::Hardware => "hardware",
            Category::Kernel => "kernel",
            Category::Crash => "crash",
            Category::ServiceFailure => "service_failure",
            Category::UpstreamError => "upstream_error",
            Category::ResourceExhaustion => "resource_exhaustion",
            Category::Database => "database",
            Category::AppError => "app_error",
            Category::Performance => "performance",
            Category::Network => "network",
            Category::Certificate => "certificate",
            Category::ConfigError => "config_error",
            Category::MailAbuse => "mail_abuse",
            Category::Anomaly => "anomaly",
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        Category::ALL.into_iter().find(|category| category.as_str() == text)
    }

    /// Whether it is about an attacker rather than a fault.
    pub const fn is_security(self) -> bool {
        matches!(
            self,
            Category::BruteForce
                | Category::AuthCompromise
                | Category::PrivilegeEscalation
                | Category::Persistence
                | Category::Malware
                | Category::WebAttack
                | Category::WebScan
                | Category::Recon
                | Category::Dos
                | Category::MailAbuse
        )
    }
}
