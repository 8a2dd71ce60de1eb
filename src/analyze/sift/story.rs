//! Stories: sightings of one trouble by several rules become one finding.

use std::collections::BTreeMap;

use super::{group::TrackKey, track::Track};
use crate::{
    model::{Category, Severity},
    rules::{Field, Rule, RuleSet, Threshold},
};

/// How far apart a cause and its symptom may be.
const SAME_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// A track with the rule that made it.
#[derive(Clone, Copy)]
pub(super) struct Chapter<'a> {
    pub rule: &'a Rule,
    pub threshold: &'a Threshold,
    pub track: &'a Track,
}

/// What becomes one finding: the chapter that leads it, and the others.
pub(super) struct Story<'a> {
    pub host: String,
    /// What the finding is kept apart by: an address, a unit, a device; may be empty.
    pub value: String,
    pub chapters: Vec<Chapter<'a>>,
}

impl<'a> Story<'a> {
    /// The chapter that names the finding: the worst, and of equals the earliest.
    pub fn lead(&self) -> Option<Chapter<'a>> {
        let rank =
            |c: &Chapter<'_>| (c.track.severity, c.track.absorbs.is_some(), std::cmp::Reverse(c.track.first));
        self.chapters.iter().copied().max_by_key(rank)
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.chapters.iter().map(|chapter| chapter.track.severity).max().unwrap_or(Severity::Info)
    }

    /// What the store knows it by, independent of wording and counts.
    pub fn fingerprint(&self, lead: &Chapter<'_>) -> String {
        let category: Category = lead.rule.category;
        format!("{}/{}/{}/{}", category.as_str(), lead.rule.story, self.host, self.value)
    }

    /// Two attackers on one host at one time are two stories.
    fn is_of_another_address(&self, other: &Story<'_>) -> bool {
        let by_address =
            |story: &Story<'_>| story.chapters.first().map(|c| c.threshold.by) == Some(Some(Field::Ip));
        by_address(self) && by_address(other) && self.value != other.value
    }

    fn touches(&self, other: &Story<'_>) -> bool {
        let span = |story: &Story<'_>| {
            let first = story.chapters.iter().map(|c| c.track.first).min();
            let last = story.chapters.iter().map(|c| c.track.last).max();
            first.zip(last)
        };
        let (Some((first, last)), Some((from, to))) = (span(self), span(other)) else { return false };
        self.host == other.host && first.minus(SAME_TIME) <= to && from.minus(SAME_TIME) <= last
    }
}

/// The stories of the window.
pub(super) fn stories<'a>(rules: &'a RuleSet, tracks: &'a BTreeMap<TrackKey, Track>) -> Vec<Story<'a>> {
    let mut told: BTreeMap<(&str, String, String), Story<'a>> = BTreeMap::new();
    for ((key, number, place), track) in tracks.iter().filter(|(_, track)| track.is_active) {
        let Some(rule) = rules.rules().iter().find(|rule| rule.key == *key) else { continue };
        let Some(threshold) = rule.thresholds.get(usize::from(*number)) else { continue };
        let (host, value) = place.split_once('\t').unwrap_or((place, ""));
        let value = subject(threshold.by, value);
        let story = told.entry((&rule.story, host.to_owned(), value.clone())).or_insert_with(|| Story {
            host: host.to_owned(),
            value,
            chapters: Vec::new(),
        });
        story.chapters.push(Chapter { rule, threshold, track });
    }
    let mut stories: Vec<_> = told.into_values().collect();
    absorb_failures(&mut stories);
    absorb_symptoms(&mut stories);
    stories.retain(|story| story.severity() > Severity::Info);
    stories
}

/// A partition stands for its disk, a service's unit and its program for one name.
pub(super) fn subject(by: Option<Field>, value: &str) -> String {
    match by {
        Some(Field::Dev) => {
            let name = value.trim_start_matches("/dev/");
            // A journal is named after its device and inode: `sda1-8`.
            let name =
                name.split_once('-').filter(|(_, rest)| rest.parse::<u32>().is_ok()).map_or(name, |(n, _)| n);
            let parted = name.trim_end_matches(|c: char| c.is_ascii_digit());
            match parted.strip_suffix('p') {
                Some(disk) if name.starts_with("nvme") || name.starts_with("mmcblk") => disk.to_owned(),
                _ if parted.starts_with("sd") || parted.starts_with("vd") || parted.starts_with("xvd") => {
                    parted.to_owned()
                }
                _ => name.to_owned(),
            }
        }
        Some(Field::Unit | Field::Proc) => value.trim_end_matches(".service").to_owned(),
        _ => value.to_owned(),
    }
}

/// A success takes over the failures before it.
fn absorb_failures(stories: &mut Vec<Story<'_>>) {
    let successes: Vec<_> = stories
        .iter()
        .filter_map(|story| {
            let rule = story.chapters.iter().find_map(|chapter| chapter.track.absorbs)?;
            Some((story.host.clone(), story.value.clone(), rule))
        })
        .collect();
    for (host, value, rule) in successes {
        let is_failures = |story: &Story<'_>| {
            story.host == host && story.value == value && story.chapters.iter().all(|c| c.rule.key == rule)
        };
        let Some(from) = stories.iter().position(is_failures) else { continue };
        let failures = stories.remove(from);
        let success = stories.iter_mut().find(|s| {
            s.host == host && s.value == value && s.chapters.iter().any(|c| c.track.absorbs == Some(rule))
        });
        if let Some(success) = success {
            success.chapters.extend(failures.chapters);
        }
    }
}

/// A symptom belongs to its cause when both happen at one time.
fn absorb_symptoms(stories: &mut Vec<Story<'_>>) {
    let mut at = 0;
    while let Some(story) = stories.get(at) {
        let causes: Vec<&str> =
            story.chapters.iter().flat_map(|chapter| &chapter.rule.symptom_of).map(String::as_str).collect();
        let is_cause = |(place, other): &(usize, &Story<'_>)| {
            *place != at
                && other.chapters.iter().any(|chapter| causes.contains(&chapter.rule.story.as_str()))
                && other.severity() > Severity::Info
                && !other.is_of_another_address(story)
                && other.touches(story)
        };
        let Some((cause, _)) = stories.iter().enumerate().find(is_cause) else {
            at += 1;
            continue;
        };
        let symptom = stories.remove(at);
        let cause = if cause > at { cause - 1 } else { cause };
        if let Some(cause) = stories.get_mut(cause) {
            cause.chapters.extend(symptom.chapters);
        }
    }
}
