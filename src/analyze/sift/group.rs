//! What the rules remember of one group, across windows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Sifter, StreamRules, Verdict, draft,
    join::{self, Heads},
    recovery::Recoveries,
    track::{Exhibit, Sighting, Track},
};
use crate::{
    analyze::line::Line,
    model::{EvidenceLine, FindingDraft, Severity, TemplateId, Timestamp},
    rules::{After, Field, Fields, Hit, Rule, Threshold},
};

/// Tracks at most; a hostile stream invents addresses and users.
const MAX_TRACKS: usize = 1024;
/// Bytes of evidence at most.
const MAX_EVIDENCE_BYTES: usize = 256 << 10;
/// A quoted line is cut here.
pub(super) const MAX_LINE: usize = 4 * 1024;
/// A quoted line of an event that no threshold has reached yet is cut here.
const MAX_PENDING_LINE: usize = 1024;
/// One `message repeated n times` counts for at most so many.
const MAX_REPEAT: u64 = 1000;

/// Names a track: rule, threshold, and host with the value it counts by.
pub(super) type TrackKey = (u64, u8, Box<str>);

/// The state of one group. Serialised as its snapshot; bounded whatever the lines say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupSift {
    #[serde(with = "pairs")]
    tracks: BTreeMap<TrackKey, Track>,
    heads: Heads,
    evidence_bytes: usize,
    evicted: u64,
    /// What is over since the window began; its lines are read again after a restart.
    #[serde(skip)]
    recoveries: Recoveries,
}

impl GroupSift {
    /// Sifts one line.
    pub fn line(&mut self, sifter: &Sifter, rules: &StreamRules, line: &Line<'_>) -> Verdict {
        let (message, weight) = repeated(&line.envelope.message);
        let hits = sifter.rules().scan(&rules.scope, line.envelope.program.as_deref(), message);
        let head = self.heads.of(rules.stream, line.envelope.is_continuation, message).cloned();
        if hits.is_empty() {
            match head {
                Some(head) => self.append(&head.seen_by, head.at, message),
                None => self.heads.begin(rules.stream, line.at, message, Vec::new()),
            }
            return Verdict::default();
        }
        let mut verdict = Verdict::default();
        let mut seen_by = Vec::new();
        for hit in &hits {
            let Some(rule) = sifter.rules().rule(hit.rule) else { continue };
            if rule.resolves.is_some() {
                let at = (line.host, line.timestamp);
                self.recoveries.note(sifter.rules(), &self.tracks, (rule, &hit.fields), at);
                continue;
            }
            let mut exhibit = exhibit(line, rule);
            if let Some(head) = &head {
                exhibit = join::under(head, exhibit);
            }
            seen_by.extend(self.sight(rule, hit, &Seen { line, exhibit, weight }, &mut verdict));
        }
        match head {
            None => self.heads.begin(rules.stream, line.at, message, seen_by),
            Some(_) => {
                if let Some(head) = self.heads.of(rules.stream, true, message) {
                    head.seen_by.extend(seen_by);
                    head.seen_by.truncate(8);
                }
            }
        }
        self.bound();
        verdict
    }

    /// The findings of the window so far. Changes nothing: may be called before the window closes and again then.
    pub fn drafts(
        &self,
        sifter: &Sifter,
        templates: &dyn Fn(TemplateId) -> Option<String>,
    ) -> Vec<FindingDraft> {
        draft::drafts(sifter.rules(), &self.tracks, templates)
    }

    /// What is over since the last call: fingerprints, each with the time it was said.
    pub fn take_recoveries(&mut self) -> Vec<(String, Timestamp)> {
        self.recoveries.take()
    }

    /// Forgets what belongs to the window that ends; keeps sliding counts younger than a day.
    pub fn end_window(&mut self, now: Timestamp) {
        const KEPT: std::time::Duration = std::time::Duration::from_secs(86_400);
        let oldest = now.minus(KEPT);
        for track in self.tracks.values_mut() {
            track.end_window();
        }
        // Lines of another clock (a replayed file) are kept while others of their time come.
        let newest = self.tracks.values().map(|track| track.last).max().unwrap_or(now);
        let oldest = oldest.min(newest.minus(KEPT));
        self.tracks.retain(|_, track| track.last >= oldest);
        self.evidence_bytes = self.tracks.values().map(Track::bytes).sum();
    }

    /// Tracks given up so far because memory is bounded.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Books one hit in every track it counts for; says in which.
    fn sight(&mut self, rule: &Rule, hit: &Hit, seen: &Seen<'_>, verdict: &mut Verdict) -> Vec<TrackKey> {
        let Seen { line, exhibit, weight } = seen;
        let mut seen_by = Vec::new();
        let at = line.timestamp.as_secs();
        let failures = match &rule.after {
            Some(after) => match self.failures(rule, &hit.fields, line.host, at) {
                Some(count) if count >= u64::from(after.count) => Some(after.rule),
                _ => return seen_by,
            },
            None => None,
        };
        verdict.hit = true;
        verdict.severity = verdict.severity.max(Some(Severity::Info));
        verdict.standing = verdict.standing.max(rule.thresholds.iter().map(|known| known.severity).max());
        if verdict.source.is_none() {
            verdict.source = hit.fields.get(Field::Ip).filter(|text| is_address(text)).map(Box::from);
        }
        verdict.rules.push(hit.rule);
        if verdict.source_ip.is_none() {
            verdict.source_ip = hit.fields.get(Field::Ip).map(str::to_owned);
        }
        let mut has_own_case = false;
        for (number, threshold) in rule.thresholds.iter().enumerate() {
            // A source that has a finding of its own is no part of a spray of many sources.
            if has_own_case && threshold.distinct == Some(Field::Ip) {
                continue;
            }
            let Some(key) = key(rule, number, threshold, &hit.fields, line.host) else { continue };
            let track = self.tracks.entry(key.clone()).or_insert_with(|| Track::new(line.timestamp));
            let begins = !rule.fold || track.attempts.begins(line.envelope.pid, at, hit.pattern);
            let begins =
                begins && !(exhibit.joined > 0 && track.evidence.iter().any(|known| known.at == exhibit.at));
            let severity = severity(rule, threshold, &hit.fields, track.count);
            let was_active = track.is_active;
            let before = track.bytes();
            let reached = track.book(
                threshold,
                Sighting {
                    fields: &hit.fields,
                    weight: *weight,
                    severity,
                    exhibit: exhibit.clone(),
                    host: line.host,
                    program: line.envelope.program.as_deref(),
                    begins,
                },
            );
            self.evidence_bytes = self.evidence_bytes.saturating_add(track.bytes()).saturating_sub(before);
            seen_by.push(key);
            if !reached {
                continue;
            }
            track.is_active = true;
            track.absorbs = failures;
            has_own_case = true;
            verdict.severity = verdict.severity.max(Some(track.severity));
            verdict.urgent |= rule.urgent && !was_active && track.severity > Severity::Info;
        }
        seen_by
    }

    /// Failures before a success, as the rule's link asks.
    fn failures(&self, rule: &Rule, fields: &Fields, host: &str, at: i64) -> Option<u64> {
        let after = rule.after.as_ref()?;
        let value = key_text(host, Some(fields.get(after.same)?));
        let from = (after.rule, 0, value.clone());
        let to = (after.rule, u8::MAX, value.clone());
        let tracks = self.tracks.range(from..=to).filter(|((_, _, known), _)| *known == value);
        // Slices are as wide as the threshold that counts them; the finest covers the least, the coarsest the most.
        let counted = tracks.map(|(_, track)| track.recent(at, after.within_secs, after.within_secs)).max();
        counted.or_else(|| self.named_by(after, fields.get(after.same)?, host, at))
    }

    /// One, where the other rule counts by something else and its last sighting on the host named the same value.
    fn named_by(&self, after: &After, value: &str, host: &str, at: i64) -> Option<u64> {
        let tracks = self.tracks.range((after.rule, 0, Box::default())..);
        let mut tracks = tracks.take_while(|((rule, _, _), _)| *rule == after.rule);
        let names = |(field, known): &(Field, String)| *field == after.same && known == value;
        let is_it = |((_, _, place), track): (&TrackKey, &Track)| {
            let here = place.split_once('\t').is_some_and(|(known, _)| known == host);
            here && (0..=after.within_secs).contains(&(at - track.last.as_secs()))
                && track.fields.iter().any(names)
        };
        tracks.any(is_it).then_some(1)
    }

    fn append(&mut self, tracks: &[TrackKey], head: crate::model::LineRef, message: &str) {
        for key in tracks {
            if let Some(track) = self.tracks.get_mut(key) {
                let before = track.bytes();
                track.join(head, message, MAX_LINE);
                self.evidence_bytes =
                    self.evidence_bytes.saturating_add(track.bytes()).saturating_sub(before);
            }
        }
    }

    /// Gives up the weakest quarter when a bound is passed.
    fn bound(&mut self) {
        if self.tracks.len() <= MAX_TRACKS && self.evidence_bytes <= MAX_EVIDENCE_BYTES {
            return;
        }
        let mut ranks: Vec<_> = self
            .tracks
            .iter()
            .map(|(key, t)| ((t.is_active, t.severity, t.count, t.last), key.clone()))
            .collect();
        ranks.sort_unstable();
        for (_, key) in ranks.into_iter().take(self.tracks.len() / 4 + 1) {
            self.tracks.remove(&key);
            self.evicted = self.evicted.saturating_add(1);
        }
        self.evidence_bytes = self.tracks.values().map(Track::bytes).sum();
    }
}

/// A line as one rule books it.
struct Seen<'a> {
    line: &'a Line<'a>,
    exhibit: Exhibit,
    /// How many events the line stands for.
    weight: u64,
}

/// rsyslog folds equal lines: `message repeated 5 times: [ text]`.
fn repeated(message: &str) -> (&str, u64) {
    let read = || {
        let (count, rest) = message.strip_prefix("message repeated ")?.split_once(" times: [")?;
        Some((rest.trim_start().strip_suffix(']')?, count.parse::<u64>().ok()?.min(MAX_REPEAT)))
    };
    read().unwrap_or((message, 1))
}

/// Whether a text has the form of an address: programs also log names, and octets with zeros in front.
fn is_address(text: &str) -> bool {
    text.contains(['.', ':'])
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
}

fn exhibit(line: &Line<'_>, rule: &Rule) -> Exhibit {
    let limit =
        if rule.thresholds.iter().any(|threshold| threshold.count > 1) { MAX_PENDING_LINE } else { MAX_LINE };
    let raw = line.raw.get(..limit).unwrap_or(line.raw);
    let mut text = String::from_utf8_lossy(raw).into_owned();
    // Cutting inside a character leaves its replacement sign, which the line never had.
    if raw.len() < line.raw.len() {
        text.truncate(text.trim_end_matches('\u{fffd}').len());
    }
    let line_text = EvidenceLine {
        stream: line.labels.clone(),
        timestamp_ns: line.timestamp,
        line: text,
        template: None,
        at: Some(line.at),
    };
    Exhibit { at: line.at, line: line_text, template: line.template, joined: 0 }
}

fn key(rule: &Rule, number: usize, threshold: &Threshold, fields: &Fields, host: &str) -> Option<TrackKey> {
    let value = match threshold.by {
        // A rule whose finding needs no key may lack the field; a count per source cannot.
        Some(field) => match fields.get(field) {
            Some(value) => Some(value),
            None if threshold.count > 1 || field == Field::Ip => return None,
            None => None,
        },
        None => None,
    };
    Some((rule.key, u8::try_from(number).unwrap_or(u8::MAX), key_text(host, value)))
}

fn key_text(host: &str, value: Option<&str>) -> Box<str> {
    format!("{host}\t{}", value.unwrap_or_default()).into()
}

fn severity(rule: &Rule, threshold: &Threshold, fields: &Fields, count: u64) -> Severity {
    let raised = rule.escalate.iter().filter(|escalation| {
        escalation.fits(fields) || escalation.count.is_some_and(|needed| count + 1 >= needed)
    });
    raised
        .map(|escalation| escalation.severity)
        .max()
        .map_or(threshold.severity, |worse| worse.max(threshold.severity))
}

/// JSON keys are strings: a map by track is written as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Track, TrackKey};

    pub fn serialize<S: Serializer>(
        map: &BTreeMap<TrackKey, Track>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<TrackKey, Track>, D::Error> {
        Ok(Vec::deserialize(d)?.into_iter().collect())
    }
}
