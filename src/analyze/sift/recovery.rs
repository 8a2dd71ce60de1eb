//! Recoveries: lines that say a known trouble is over.
//!
//! Only what has been seen as trouble here can be over: services start all day, and few of them had failed.

use std::collections::BTreeMap;

use super::{group::TrackKey, story::subject, track::Track};
use crate::{
    model::Timestamp,
    rules::{Fields, Rule, RuleSet},
};

/// Troubles that can be over in one window.
const RECOVERIES_MAX: usize = 64;

/// What is over since the window began, by fingerprint.
#[derive(Clone, Debug, Default)]
pub(super) struct Recoveries(BTreeMap<String, Timestamp>);

impl Recoveries {
    /// Takes note that a rule which resolves a story was seen on a host.
    pub fn note(
        &mut self,
        rules: &RuleSet,
        tracks: &BTreeMap<TrackKey, Track>,
        (rule, fields): (&Rule, &Fields),
        (host, at): (&str, Timestamp),
    ) {
        let (Some(story), Some(by)) = (&rule.resolves, rule.by) else { return };
        let Some(value) = fields.get(by).map(|value| subject(Some(by), value)) else { return };
        let is_here = |(_, _, place): &TrackKey| {
            place.split_once('\t').is_some_and(|(known, of)| known == host && subject(Some(by), of) == value)
        };
        for trouble in rules.rules().iter().filter(|trouble| trouble.story == *story) {
            let own = tracks.range((trouble.key, 0, Box::default())..);
            let mut own = own.take_while(|((key, _, _), _)| *key == trouble.key);
            if self.0.len() < RECOVERIES_MAX && own.any(|(key, _)| is_here(key)) {
                let print = format!("{}/{story}/{host}/{value}", trouble.category.as_str());
                let known = self.0.entry(print).or_insert(at);
                *known = at.max(*known);
            }
        }
    }

    /// Hands them out.
    pub fn take(&mut self) -> Vec<(String, Timestamp)> {
        std::mem::take(&mut self.0).into_iter().collect()
    }
}
