//! `incident`: when findings belong together, and when they are over.

use serde::Deserialize;

use super::{Context, put};
use crate::{
    config::value::{Size, Span},
    incident::Settings,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    span: Option<Span>,
    resolve_after: Option<Span>,
    reopen_within: Option<Span>,
    storm: Option<Size>,
}

pub(super) fn fill(raw: &Raw, context: &mut Context<'_>) -> Settings {
    let mut settings = Settings::default();
    put(&mut settings.span, raw.span);
    put(&mut settings.resolve_after, raw.resolve_after);
    put(&mut settings.reopen_within, raw.reopen_within);
    put(&mut settings.storm, raw.storm);
    if settings.resolve_after.is_zero() {
        context.wrong("incident.resolve_after", "must not be 0", "write a duration such as 6h");
    }
    if settings.storm < 2 {
        context.wrong("incident.storm", "must be at least 2", "leave the key out for the default");
    }
    settings
}
