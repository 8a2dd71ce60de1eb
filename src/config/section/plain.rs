//! `store`, `rules` and `redact`: sections whose keys stand for themselves.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Context, put};
use crate::{
    config::value::{Size, Span},
    redact, rules, store,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Store {
    data_dir: Option<PathBuf>,
    retention: Option<Span>,
    max_bytes: Option<Size>,
    queue_pushes: Option<Size>,
    queue_bytes: Option<Size>,
    readers: Option<Size>,
    compact_after: Option<Span>,
    retry_window: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Rules {
    builtin: Option<bool>,
    files: Option<Vec<PathBuf>>,
    disabled: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Redact {
    pseudonymise_ips: Option<bool>,
}

pub(super) fn store(raw: Store, context: &mut Context<'_>) -> store::Settings {
    let mut settings = store::Settings::default();
    put(&mut settings.data_dir, raw.data_dir);
    put(&mut settings.retention, raw.retention);
    put(&mut settings.max_bytes, raw.max_bytes);
    put(&mut settings.queue_pushes, raw.queue_pushes);
    put(&mut settings.queue_bytes, raw.queue_bytes);
    put(&mut settings.readers, raw.readers);
    put(&mut settings.compact_after, raw.compact_after);
    put(&mut settings.retry_window, raw.retry_window);
    context.positive("store.queue_pushes", settings.queue_pushes as u64);
    context.positive("store.queue_bytes", settings.queue_bytes as u64);
    context.positive("store.readers", settings.readers as u64);
    settings
}

pub(super) fn rules(raw: Rules, context: &mut Context<'_>) -> rules::Settings {
    let mut settings = rules::Settings::default();
    put(&mut settings.builtin, raw.builtin);
    put(&mut settings.files, raw.files);
    put(&mut settings.disabled, raw.disabled);
    for (at, path) in settings.files.iter().enumerate() {
        if let Err(error) = std::fs::File::open(path) {
            let problem = format!("cannot read {}: {error}", path.display());
            context.wrong(&format!("rules.files[{at}]"), problem, "check path and rights");
        }
    }
    settings
}

pub(super) fn redact(raw: &Redact) -> redact::Settings {
    let mut settings = redact::Settings::default();
    put(&mut settings.pseudonymise_ips, raw.pseudonymise_ips);
    settings
}
