//! `analyze`: windows and what happens in them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Context, put};
use crate::{
    analyze::{
        Settings,
        detect::{self, DETECTORS, parameter, sequence},
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
    max_groups: Option<Size>,
    mine: RawMine,
    detect: RawDetect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawMine {
    max_templates: Option<Size>,
    max_bytes: Option<Size>,
    max_message_bytes: Option<Size>,
    max_words: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawDetect {
    enabled: Option<bool>,
    threshold: Option<f64>,
    weights: Option<BTreeMap<String, f64>>,
    parameter: RawParameter,
    sequence: RawSequence,
    learning: Option<Span>,
    learning_windows: Option<u64>,
    settle: Option<Span>,
    spike_min: Option<u64>,
    spike_ratio: Option<f64>,
    silence: Option<Span>,
    max_templates: Option<Size>,
    max_bytes: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawSequence {
    session_key: Option<String>,
    idle: Option<Span>,
    max_open: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawParameter {
    enabled: Option<bool>,
    max_templates: Option<Size>,
    max_bytes: Option<Size>,
    max_joint: Option<Size>,
    joint_from: Option<Size>,
    least_score: Option<f64>,
    max_evidence: Option<Size>,
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
    put(&mut settings.max_groups, raw.max_groups);
    mine(&raw.mine, &mut settings.mine, context);
    detect(raw.detect, &mut settings.detect, context);
    if settings.window.is_zero() {
        context.wrong("analyze.window", "must not be 0", "write a duration such as 60s");
    }
    context.positive("analyze.max_window_lines", settings.max_window_lines);
    context.positive("analyze.max_open_templates", settings.max_open_templates as u64);
    context.positive("analyze.max_groups", settings.max_groups as u64);
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

fn parameter(raw: &RawParameter, settings: &mut parameter::Settings, context: &mut Context<'_>) {
    put(&mut settings.enabled, raw.enabled);
    put(&mut settings.max_templates, raw.max_templates);
    put(&mut settings.max_bytes, raw.max_bytes);
    put(&mut settings.max_joint, raw.max_joint);
    put(&mut settings.joint_from, raw.joint_from);
    put(&mut settings.least_score, raw.least_score);
    put(&mut settings.max_evidence, raw.max_evidence);
    context.positive("analyze.detect.parameter.max_templates", settings.max_templates as u64);
    context.positive("analyze.detect.parameter.max_bytes", settings.max_bytes as u64);
    context.positive("analyze.detect.parameter.max_evidence", settings.max_evidence as u64);
    if !(0.0..=1.0).contains(&settings.least_score) {
        let key = "analyze.detect.parameter.least_score";
        context.wrong(key, "must be from 0 to 1", "leave the key out for the default");
    }
}

fn sequence(raw: &RawSequence, settings: &mut sequence::Settings, context: &mut Context<'_>) {
    put(&mut settings.idle, raw.idle);
    put(&mut settings.max_open, raw.max_open);
    context.positive("analyze.detect.sequence.max_open", settings.max_open as u64);
    match raw.session_key.as_deref().map(regex::Regex::new).transpose() {
        Ok(key) => settings.key = key,
        Err(error) => {
            let key = "analyze.detect.sequence.session_key";
            context.wrong(key, error, "leave the key out, then sessions find themselves");
        }
    }
}

fn detect(raw: RawDetect, settings: &mut detect::Settings, context: &mut Context<'_>) {
    put(&mut settings.enabled, raw.enabled);
    put(&mut settings.threshold, raw.threshold);
    if !(0.0..=1.0).contains(&settings.threshold) {
        context.wrong("analyze.detect.threshold", "must be from 0 to 1", "leave the key out for the default");
    }
    parameter(&raw.parameter, &mut settings.parameter, context);
    sequence(&raw.sequence, &mut settings.sequence, context);
    put(&mut settings.learning, raw.learning);
    put(&mut settings.learning_windows, raw.learning_windows);
    put(&mut settings.settle, raw.settle);
    put(&mut settings.spike_min, raw.spike_min);
    put(&mut settings.spike_ratio, raw.spike_ratio);
    put(&mut settings.silence, raw.silence);
    put(&mut settings.max_templates, raw.max_templates);
    put(&mut settings.max_bytes, raw.max_bytes);
    context.positive("analyze.detect.max_templates", settings.max_templates as u64);
    context.positive("analyze.detect.max_bytes", settings.max_bytes as u64);
    if !(settings.spike_ratio >= 1.0 && settings.spike_ratio.is_finite()) {
        let key = "analyze.detect.spike_ratio";
        context.wrong(key, "must be a number from 1 on", "leave the key out for the default");
    }
    for (name, weight) in raw.weights.into_iter().flatten() {
        let key = format!("analyze.detect.weights.{name}");
        if !DETECTORS.iter().any(|(known, _)| *known == name) {
            let names: Vec<_> = DETECTORS.iter().map(|(known, _)| *known).collect();
            context.wrong(&key, "is no detector", format!("take one of {}", names.join(", ")));
        } else if !(weight > 0.0 && weight <= 1.0) {
            context.wrong(&key, "must be above 0 and at most 1", "leave the key out for the default");
        } else {
            settings.weights.insert(name, weight);
        }
    }
}
