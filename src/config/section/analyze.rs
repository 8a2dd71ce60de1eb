//! `analyze`: windows and what happens in them.

use serde::Deserialize;

use super::{Context, put};
use crate::{
    analyze::Settings,
    config::value::{Size, Span},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    enabled: Option<bool>,
    window: Option<Span>,
    max_window_lines: Option<Size>,
    group_by: Option<Vec<String>>,
    dedup: Option<Span>,
    urgent_interval: Option<Span>,
    max_open_templates: Option<Size>,
}

pub(super) fn fill(raw: Raw, context: &mut Context<'_>) -> Settings {
    let mut settings = Settings::default();
    put(&mut settings.enabled, raw.enabled);
    put(&mut settings.window, raw.window);
    put(&mut settings.max_window_lines, raw.max_window_lines);
    put(&mut settings.group_by, raw.group_by);
    put(&mut settings.dedup, raw.dedup);
    put(&mut settings.urgent_interval, raw.urgent_interval);
    put(&mut settings.max_open_templates, raw.max_open_templates);
    if settings.window.is_zero() {
        context.wrong("analyze.window", "must not be 0", "write a duration such as 60s");
    }
    context.positive("analyze.max_window_lines", settings.max_window_lines);
    context.positive("analyze.max_open_templates", settings.max_open_templates as u64);
    settings
}
