//! `explain` and `knowledge`: what the model is told beside the lines of a window.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Context, put};
use crate::{
    analyze::{context::Settings, knowledge},
    config::value::{Size, Span},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    earlier: Option<Size>,
    normal: RawNormal,
    related: RawRelated,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawNormal {
    windows: Option<u64>,
    days: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawRelated {
    span: Option<Span>,
    max_lines: Option<Size>,
    max_tokens: Option<u64>,
    max_scan_bytes: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct RawKnowledge {
    dir: Option<PathBuf>,
    poll: Option<Span>,
    max_tokens: Option<u64>,
}

pub(super) fn fill(raw: &Raw, settings: &mut Settings, context: &mut Context<'_>) {
    put(&mut settings.earlier, raw.earlier);
    put(&mut settings.daily.windows, raw.normal.windows);
    put(&mut settings.daily.days, raw.normal.days);
    put(&mut settings.related.span, raw.related.span);
    put(&mut settings.related.max_lines, raw.related.max_lines);
    put(&mut settings.related.max_tokens, raw.related.max_tokens);
    put(&mut settings.related.max_scan_bytes, raw.related.max_scan_bytes);
    context.positive("explain.normal.windows", settings.daily.windows);
    context.positive("explain.normal.days", settings.daily.days);
}

pub(super) fn knowledge(
    raw: RawKnowledge,
    settings: &mut Settings,
    context: &mut Context<'_>,
) -> knowledge::Settings {
    let mut folder = knowledge::Settings { dir: raw.dir, ..knowledge::Settings::default() };
    put(&mut folder.poll, raw.poll);
    put(&mut settings.note_tokens, raw.max_tokens);
    if let Some(Err(error)) = folder.dir.as_ref().map(std::fs::read_dir) {
        context.wrong("knowledge.dir", format!("cannot be read: {error}"), "check path and rights");
    }
    if folder.poll.is_zero() {
        context.wrong("knowledge.poll", "must not be 0", "write a duration such as 30s");
    }
    folder
}
