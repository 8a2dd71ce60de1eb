//! Drafts of findings out of the stories of a window: words, evidence, who and where.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    group::{MAX_LINE, TrackKey},
    story::{self, Chapter, Story},
    title,
    track::{Exhibit, Track},
};
use crate::{
    model::{EvidenceLine, FindingDraft, Origin, Severity, TemplateId},
    rules::{RuleSet, Threshold},
};

/// Lines quoted in one finding.
const MAX_EVIDENCE: usize = 8;
/// Addresses and users named in one finding.
const MAX_NAMED: usize = 64;

/// The findings of the window, in the order of their first event.
pub(super) fn drafts(
    rules: &RuleSet,
    tracks: &BTreeMap<TrackKey, Track>,
    templates: &dyn Fn(TemplateId) -> Option<String>,
) -> Vec<FindingDraft> {
    let stories = story::stories(rules, tracks);
    let mut drafts: Vec<_> = stories.iter().filter_map(|story| draft(story, templates)).collect();
    drafts.sort_by(|a, b| (a.first_seen, &a.fingerprint).cmp(&(b.first_seen, &b.fingerprint)));
    drafts
}

fn draft(story: &Story<'_>, templates: &dyn Fn(TemplateId) -> Option<String>) -> Option<FindingDraft> {
    let lead = story.lead()?;
    let tracks = || story.chapters.iter().map(|chapter| chapter.track);
    let union = |pick: fn(&Track) -> &BTreeSet<String>| -> BTreeSet<String> {
        tracks().flat_map(pick).take(MAX_NAMED).cloned().collect()
    };
    let (ips, users) = (union(|track| &track.ips), union(|track| &track.users));
    let template = lead.threshold.title.as_deref().unwrap_or(&lead.rule.title);
    let count = count(story, |track| track.count);
    // Words speak of all that has happened, the count is what this window adds.
    let facts = Facts {
        ips: tracks().flat_map(Track::episode_ips).collect(),
        users: tracks().flat_map(Track::episode_users).collect(),
        count: self::count(story, Track::episode_count),
    };
    let named = |name: &str| value(name, story, &lead, &facts);
    let severity = story.severity();
    Some(FindingDraft {
        fingerprint: story.fingerprint(&lead),
        title: title::fill(template, &named),
        severity,
        category: lead.rule.category,
        summary: title::fill_text(&lead.rule.summary, &named),
        recommendation: title::fill_text(&lead.rule.recommendation, &named),
        root_cause: None,
        evidence: evidence(story, &lead, templates),
        affected_service: service(&lead),
        hosts: union(|track| &track.hosts),
        count,
        score: score(severity),
        origin: story.chapters.iter().map(|c| Origin::Rule { id: c.rule.id.clone() }).collect(),
        first_seen: tracks().map(|track| track.first).min()?,
        last_seen: tracks().map(|track| track.last).max()?,
        source_ips: ips,
        users,
    })
}

/// What a title speaks of beside the fields.
struct Facts<'a> {
    ips: BTreeSet<&'a String>,
    users: BTreeSet<&'a String>,
    count: u64,
}

/// Events. Rules of one story mostly tell of the same events (a request in the access log and in the error log), so
/// the largest number is what surely happened; a sum would tell some twice.
fn count(story: &Story<'_>, of: fn(&Track) -> u64) -> u64 {
    let mut per_threshold: BTreeMap<(&str, *const Threshold), u64> = BTreeMap::new();
    for chapter in &story.chapters {
        *per_threshold.entry((&chapter.rule.id, std::ptr::from_ref(chapter.threshold))).or_default() +=
            of(chapter.track);
    }
    per_threshold.into_values().max().unwrap_or(1).max(1)
}

fn value(name: &str, story: &Story<'_>, lead: &Chapter<'_>, facts: &Facts<'_>) -> Option<String> {
    let several = |set: &BTreeSet<&String>, noun: &str| match set.len() {
        0 => None,
        1 => set.first().map(|only| (*only).clone()),
        n => Some(format!("{n} {noun}")),
    };
    match name {
        "count" => Some(facts.count.to_string()),
        "failures" => {
            let failures = story.chapters.iter().filter(|chapter| chapter.track.absorbs.is_none());
            failures.map(|chapter| chapter.track.episode_count()).max().map(|count| count.to_string())
        }
        "host" => lead.track.hosts.first().cloned().or_else(|| Some("this host".to_owned())),
        "ips" => several(&facts.ips, "addresses"),
        "users" => several(&facts.users, "users"),
        "span" => {
            let first = story.chapters.iter().map(|c| c.track.episode_first()).min()?;
            let last = story.chapters.iter().map(|c| c.track.last).max()?;
            Some(title::span(last.since(first).as_secs()))
        }
        "program" => service(lead).or_else(|| Some("a service".to_owned())),
        // Partition and journal names were joined under their disk.
        "dev" if !story.value.is_empty() => Some(story.value.clone()),
        "s" => Some(if facts.count == 1 { "" } else { "s" }.to_owned()),
        _ => {
            let own = lead.track.fields.iter();
            let others = story.chapters.iter().flat_map(|chapter| &chapter.track.fields);
            own.chain(others).find(|(field, _)| field.as_str() == name).map(|(_, value)| value.clone())
        }
    }
}

fn service(lead: &Chapter<'_>) -> Option<String> {
    let named = |field: &str| {
        lead.track.fields.iter().find(|(known, _)| known.as_str() == field).map(|(_, value)| value.clone())
    };
    match lead.rule.service.as_deref() {
        Some(template) if template.starts_with('{') => named(template.trim_matches(['{', '}']))
            .map(|value| value.trim_end_matches(".service").to_owned()),
        Some(service) => Some(service.to_owned()),
        None => lead.track.program.clone(),
    }
}

/// First and last lines of the lead, then those of the other chapters; each line once, in order of time.
fn evidence(
    story: &Story<'_>,
    lead: &Chapter<'_>,
    templates: &dyn Fn(TemplateId) -> Option<String>,
) -> Vec<EvidenceLine> {
    let others = story.chapters.iter().filter(|chapter| !std::ptr::eq(chapter.track, lead.track));
    let share = if story.chapters.len() > 1 { MAX_EVIDENCE / 2 } else { MAX_EVIDENCE };
    let mut chosen: Vec<&Exhibit> = ends(&lead.track.evidence, share).collect();
    for exhibit in others.flat_map(|chapter| ends(&chapter.track.evidence, 3)) {
        if chosen.len() < MAX_EVIDENCE && !chosen.iter().any(|known| known.at == exhibit.at) {
            chosen.push(exhibit);
        }
    }
    chosen.sort_by_key(|exhibit| (exhibit.line.timestamp_ns, exhibit.at));
    chosen.into_iter().map(|exhibit| quoted(exhibit, templates)).collect()
}

/// Half from the beginning, half from the end.
fn ends(evidence: &[Exhibit], limit: usize) -> impl Iterator<Item = &Exhibit> {
    let head = limit.div_ceil(2).min(evidence.len());
    let skip = evidence.len().saturating_sub(limit - limit.div_ceil(2)).max(head);
    evidence.iter().take(head).chain(evidence.iter().skip(skip))
}

fn quoted(exhibit: &Exhibit, templates: &dyn Fn(TemplateId) -> Option<String>) -> EvidenceLine {
    let mut line = exhibit.line.clone();
    line.line.truncate(line.line.floor_char_boundary(MAX_LINE));
    line.template = exhibit.template.and_then(templates);
    line.at = Some(exhibit.at);
    line
}

/// A rule is sure of what it saw; how much it matters is the severity's.
fn score(severity: Severity) -> f64 {
    match severity {
        Severity::Info | Severity::Low => 0.7,
        Severity::Medium => 0.8,
        Severity::High => 0.9,
        Severity::Critical => 0.95,
    }
}
