//! `analyze`: windows and what happens in them.

use serde::Deserialize;

use super::{Context, put};
use crate::{
    analyze::{
        Settings,
        mine::{self, MAX_WORDS},
    },
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
    mine: RawMine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawMine {
    max_templates: Option<Size>,
    max_bytes: Option<Size>,
    max_message_bytes: Option<Size>,
    max_words: Option<Size>,
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
    mine(&raw.mine, &mut settings.mine, context);
    if settings.window.is_zero() {
        context.wrong("analyze.window", "must not be 0", "write a duration such as 60s");
    }
    context.positive("analyze.max_window_lines", settings.max_window_lines);
    context.positive("analyze.max_open_templates", settings.max_open_templates as u64);
    settings
}

fn mine(raw: &RawMine, settings: &mut mine::Settings, context: &mut Context<'_>) {
    put(&mut settings.max_templates, raw.max_templates);
    put(&mut settings.max_bytes, raw.max_bytes);
    put(&mut settings.max_message_bytes, raw.max_message_bytes);
    put(&mut settings.max_words, raw.max_words);
    context.positive("analyze.mine.max_templates", settings.max_templates as u64);
    context.positive("analyze.mine.max_bytes", settings.max_bytes as u64);
    context.positive("analyze.mine.max_message_bytes", settings.max_message_bytes as u64);
    if !(1..=MAX_WORDS).contains(&settings.max_words) {
        let problem = format!("must be from 1 to {MAX_WORDS}");
        context.wrong("analyze.mine.max_words", problem, "leave the key out for the default");
    }
}
