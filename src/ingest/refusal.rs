//! What is wrong with a stream or an entry, in the words Loki's clients know, and how much was refused for it.

use std::fmt;

use crate::{
    model::{Labels, TenantId, Timestamp},
    telemetry::TenantIngestMetrics,
};

/// Different texts in one answer; further ones are only counted. Promtail shows the first 1,024 bytes anyway.
const MAX_TEXTS: usize = 10;

/// Why an entry or a stream is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    TooOld { secs: i64, oldest_secs: i64 },
    TooNew { secs: i64 },
    LineTooLong { bytes: usize, max: usize },
    MetadataDisallowed,
    MetadataTooLarge { bytes: usize, max: usize },
    MetadataTooMany { count: usize, max: usize },
    MetadataNameEmpty,
    MetadataName { name: String, normalised: String },
    TooManyLabels { count: usize, max: usize },
    LabelNameTooLong { name: String },
    LabelValueTooLong { value: String },
    DuplicateLabel { name: String },
    NoLabels,
    MissingLabels { names: String, tenant: TenantId },
}

impl Violation {
    /// The reason in the discard metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Violation::TooOld { .. } => "greater_than_max_sample_age",
            Violation::TooNew { .. } => "too_far_in_future",
            Violation::LineTooLong { .. } => "line_too_long",
            Violation::MetadataDisallowed => "disallowed_structured_metadata",
            Violation::MetadataTooLarge { .. } => "structured_metadata_too_large",
            Violation::MetadataTooMany { .. } => "structured_metadata_too_many",
            Violation::MetadataNameEmpty | Violation::MetadataName { .. } => "invalid_labels",
            Violation::TooManyLabels { .. } => "max_label_names_per_series",
            Violation::LabelNameTooLong { .. } => "label_name_too_long",
            Violation::LabelValueTooLong { .. } => "label_value_too_long",
            Violation::DuplicateLabel { .. } => "duplicate_label_names",
            Violation::NoLabels => "missing_labels",
            Violation::MissingLabels { .. } => "missing_enforced_labels",
        }
    }

    /// The text for the client; `stream` is the label set in text form.
    fn text(&self, stream: &str) -> String {
        const ADVICE: &str = "or contact your Loki administrator to increase it";
        match self {
            Violation::TooOld { secs, oldest_secs } => format!(
                "entry for stream '{stream}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                Seconds(*secs),
                Seconds(*oldest_secs)
            ),
            Violation::TooNew { secs } => {
                format!("entry for stream '{stream}' has timestamp too new: {}", Seconds(*secs))
            }
            Violation::LineTooLong { bytes, max } => format!(
                "max entry size '{max}' bytes exceeded for stream '{stream}' while adding an entry with length \
                 '{bytes}' bytes"
            ),
            Violation::MetadataDisallowed => format!(
                "stream '{stream}' includes structured metadata, but this feature is disallowed. Please see \
                 `limits_config.allow_structured_metadata` or contact your Loki administrator to enable it"
            ),
            Violation::MetadataTooLarge { bytes, max } => format!(
                "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: '{max}' bytes. \
                 Please see `limits_config.max_structured_metadata_size` {ADVICE}"
            ),
            Violation::MetadataTooMany { count, max } => format!(
                "stream '{stream}' has too many structured metadata labels: '{count}', limit: '{max}'. \
                 Please see `limits_config.max_structured_metadata_entries_count` {ADVICE}"
            ),
            Violation::MetadataNameEmpty => "label name is empty".to_owned(),
            Violation::MetadataName { name, normalised } => {
                format!("normalization for label name {name:?} resulted in invalid name {normalised:?}")
            }
            Violation::TooManyLabels { count, max } => {
                format!("entry for stream '{stream}' has {count} label names; limit {max}")
            }
            Violation::LabelNameTooLong { name } => {
                format!("stream '{stream}' has label name too long: '{name}'")
            }
            Violation::LabelValueTooLong { value } => {
                format!("stream '{stream}' has label value too long: '{value}'")
            }
            Violation::DuplicateLabel { name } => {
                format!("stream '{stream}' has duplicate label name: '{name}'")
            }
            Violation::NoLabels => "error at least one label pair is required per stream".to_owned(),
            Violation::MissingLabels { names, tenant } => {
                format!("missing required labels {names} for user {tenant} for stream {stream}")
            }
        }
    }
}

/// Whole seconds as RFC 3339; the time of an entry that was sent without one is year 1, as in Go.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Timestamp::MIN.as_secs() {
            f.write_str("0001-01-01T00:00:00Z")
        } else {
            Timestamp::from_secs(self.0).fmt(f)
        }
    }
}

/// Everything refused in one push, grouped for the answer and counted for the metrics.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    groups: Vec<Group>,
    unlisted: usize,
    discards: Vec<Discard>,
}

#[derive(Debug)]
struct Group {
    violation: Violation,
    stream: StreamText,
    count: usize,
}

/// A label set for a message: a valid one stays itself until somebody reads the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamText {
    Valid(Labels),
    Invalid(String),
}

#[derive(Debug)]
struct Discard {
    reason: &'static str,
    lines: u64,
    bytes: u64,
}

impl Refusals {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Notes one violation that cost `lines` with `bytes`.
    pub fn add(&mut self, violation: Violation, stream: &StreamText, lines: usize, bytes: usize) {
        self.discard(violation.reason(), lines as u64, bytes as u64);
        let same = |group: &&mut Group| group.violation == violation && group.stream == *stream;
        if let Some(group) = self.groups.iter_mut().find(same) {
            group.count += 1;
        } else if self.groups.len() < MAX_TEXTS {
            self.groups.push(Group { violation, stream: stream.clone(), count: 1 });
        } else {
            self.unlisted += 1;
        }
    }

    /// Counts lines refused for a reason that has an answer of its own.
    pub fn discard(&mut self, reason: &'static str, lines: u64, bytes: u64) {
        match self.discards.iter_mut().find(|discard| discard.reason == reason) {
            Some(discard) => {
                discard.lines += lines;
                discard.bytes += bytes;
            }
            None => self.discards.push(Discard { reason, lines, bytes }),
        }
    }

    /// Moves the counts to the metrics.
    pub fn report(&mut self, metrics: &TenantIngestMetrics) {
        for discard in self.discards.drain(..) {
            metrics.count_discarded(discard.reason, discard.lines, discard.bytes);
        }
    }

    /// The answer: one text alone is given as it is, several with their counts.
    pub fn text(&self) -> String {
        let text = |group: &Group| match &group.stream {
            StreamText::Valid(labels) => group.violation.text(&labels.to_string()),
            StreamText::Invalid(stream) => group.violation.text(stream),
        };
        if let ([only], 0) = (self.groups.as_slice(), self.unlisted) {
            return text(only);
        }
        let mut texts: Vec<String> =
            self.groups.iter().map(|group| format!("{} errors like: {}", group.count, text(group))).collect();
        if self.unlisted > 0 {
            texts.push(format!("{} other errors", self.unlisted));
        }
        texts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamText {
        StreamText::Valid(Labels::from_pairs([("a", "b")]).unwrap())
    }

    #[track_caller]
    fn says(violation: Violation, text: &str) {
        let mut refusals = Refusals::default();
        refusals.add(violation, &stream(), 1, 10);
        assert_eq!(refusals.text(), text);
    }

    #[test]
    fn every_violation_has_lokis_words() {
        says(
            Violation::LineTooLong { bytes: 262_145, max: 262_144 },
            "max entry size '262144' bytes exceeded for stream '{a=\"b\"}' while adding an entry with length \
             '262145' bytes",
        );
        says(
            Violation::TooOld { secs: 1_794_534_669, oldest_secs: 1_794_621_069 },
            "entry for stream '{a=\"b\"}' has timestamp too old: 2026-11-13T01:51:09Z, oldest acceptable \
             timestamp is: 2026-11-14T01:51:09Z",
        );
        says(
            Violation::TooNew { secs: 1_795_226_529 },
            "entry for stream '{a=\"b\"}' has timestamp too new: 2026-11-21T02:02:09Z",
        );
        says(
            Violation::TooManyLabels { count: 16, max: 15 },
            "entry for stream '{a=\"b\"}' has 16 label names; limit 15",
        );
        says(
            Violation::DuplicateLabel { name: "a".into() },
            "stream '{a=\"b\"}' has duplicate label name: 'a'",
        );
        says(
            Violation::MetadataName { name: "é".into(), normalised: "_".into() },
            "normalization for label name \"é\" resulted in invalid name \"_\"",
        );
        says(
            Violation::MetadataTooLarge { bytes: 65_537, max: 65_536 },
            "stream '{a=\"b\"}' has structured metadata too large: '65537' bytes, limit: '65536' bytes. Please see \
             `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it",
        );
    }

    #[test]
    fn an_entry_without_a_time_is_shown_as_year_one() {
        let text = Violation::TooOld { secs: Timestamp::MIN.as_secs(), oldest_secs: 0 }.text("{}");
        assert!(
            text.contains(
                "too old: 0001-01-01T00:00:00Z, oldest acceptable timestamp is: 1970-01-01T00:00:00Z"
            )
        );
    }

    #[test]
    fn several_violations_are_grouped_by_text() {
        let mut refusals = Refusals::default();
        for _ in 0..2 {
            refusals.add(Violation::TooNew { secs: 0 }, &stream(), 1, 1);
        }
        assert_eq!(
            refusals.text(),
            "entry for stream '{a=\"b\"}' has timestamp too new: 1970-01-01T00:00:00Z"
        );
        refusals.add(Violation::NoLabels, &stream(), 1, 1);
        assert_eq!(
            refusals.text(),
            "2 errors like: entry for stream '{a=\"b\"}' has timestamp too new: 1970-01-01T00:00:00Z; \
             1 errors like: error at least one label pair is required per stream"
        );
    }

    #[test]
    fn a_million_different_violations_make_a_short_answer() {
        let mut refusals = Refusals::default();
        for secs in 0..1_000 {
            refusals.add(Violation::TooNew { secs }, &stream(), 1, 1);
        }
        assert!(refusals.text().ends_with("; 990 other errors"));
        assert!(refusals.text().len() < 2_000);
    }
}
