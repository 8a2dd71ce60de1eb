//! One entry against the limits. This runs for every line: comparisons only, nothing is allocated for a good line.

use std::{borrow::Cow, cell::Cell};

use bytes::Bytes;

use super::{Limits, refusal::Violation};
use crate::{
    model::{Entry, Metadata, Timestamp},
    wire::name::{BadName, legal},
};

/// The limits of one push, made absolute.
pub(super) struct EntryRules<'a> {
    limits: &'a Limits,
    oldest: Timestamp,
    newest: Timestamp,
    sanitized: Cell<u64>,
}

/// What a decoder writes for bytes that are no text, in UTF-8.
const REPLACEMENT: &str = "\u{fffd}";

impl<'a> EntryRules<'a> {
    pub fn new(limits: &'a Limits, now: Timestamp) -> Self {
        let oldest =
            if limits.reject_old_samples { now.minus(limits.max_sample_age) } else { Timestamp::MIN };
        let newest = now.plus(limits.creation_grace_period);
        EntryRules { limits, oldest, newest, sanitized: Cell::new(0) }
    }

    /// Metadata values mended so far.
    pub fn sanitized(&self) -> u64 {
        self.sanitized.get()
    }

    /// Checks an entry in Loki's order; cuts a long line and mends metadata names where that is asked for.
    pub fn check(&self, entry: &mut Entry) -> Result<(), Violation> {
        if entry.timestamp < self.oldest {
            let oldest_secs = self.oldest.as_secs();
            return Err(Violation::TooOld { secs: entry.timestamp.as_secs(), oldest_secs });
        }
        if entry.timestamp > self.newest {
            return Err(Violation::TooNew { secs: entry.timestamp.as_secs() });
        }
        let max = self.limits.max_line_bytes;
        if entry.line.len() > max {
            if !self.limits.truncate_long_lines {
                return Err(Violation::LineTooLong { bytes: entry.line.len(), max });
            }
            entry.line.truncate(max);
        }
        if entry.metadata.is_empty() { Ok(()) } else { self.check_metadata(&mut entry.metadata) }
    }

    fn check_metadata(&self, metadata: &mut Metadata) -> Result<(), Violation> {
        if !self.limits.allow_structured_metadata {
            return Err(Violation::MetadataDisallowed);
        }
        let (bytes, max) = (metadata_bytes(metadata), self.limits.max_structured_metadata_bytes);
        if bytes > max {
            return Err(Violation::MetadataTooLarge { bytes, max });
        }
        let (count, max) = (metadata.len(), self.limits.max_structured_metadata_entries);
        if count > max {
            return Err(Violation::MetadataTooMany { count, max });
        }
        for (name, value) in metadata {
            if let Cow::Owned(mended) = legal(name).map_err(violation)? {
                *name = Bytes::from(mended);
            }
            if let Some(mended) = sanitize(value) {
                *value = mended;
                self.sanitized.set(self.sanitized.get() + 1);
            }
        }
        Ok(())
    }
}

/// The bytes of an entry as the rates count them.
pub(super) fn metadata_bytes(metadata: &Metadata) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn violation(bad: BadName) -> Violation {
    match bad {
        BadName::Empty => Violation::MetadataNameEmpty,
        BadName::Nothing { name, normalised } => Violation::MetadataName { name, normalised },
    }
}

/// A metadata value in which characters that stand for lost bytes became blanks; `None` when there are none.
fn sanitize(value: &[u8]) -> Option<Bytes> {
    // The first byte alone is rare enough to spare most values the search.
    memchr::memchr(0xef, value)?;
    memchr::memmem::find(value, REPLACEMENT.as_bytes())?;
    let mut mended = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest, REPLACEMENT.as_bytes()) {
        mended.extend(rest.iter().take(at));
        mended.push(b' ');
        rest = rest.get(at + REPLACEMENT.len()..).unwrap_or_default();
    }
    mended.extend_from_slice(rest);
    Some(mended.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_226_529);

    fn entry(timestamp: Timestamp, line: usize) -> Entry {
        Entry { timestamp, line: vec![b'x'; line].into(), metadata: Metadata::new() }
    }

    fn check(limits: &Limits, mut entry: Entry) -> Result<Entry, Violation> {
        EntryRules::new(limits, NOW).check(&mut entry).map(|()| entry)
    }

    #[test]
    fn times_from_a_week_ago_to_ten_minutes_ahead_are_taken() {
        let limits = Limits::default();
        let week = Duration::from_secs(7 * 24 * 3_600);
        let nano = Duration::from_nanos(1);
        assert!(check(&limits, entry(NOW.minus(week), 1)).is_ok());
        let too_old = check(&limits, entry(NOW.minus(week).minus(nano), 1));
        assert!(matches!(too_old, Err(Violation::TooOld { .. })));
        assert!(check(&limits, entry(NOW.plus(Duration::from_secs(600)), 1)).is_ok());
        assert!(matches!(check(&limits, entry(Timestamp::MAX, 1)), Err(Violation::TooNew { .. })));
        let any_age = Limits { reject_old_samples: false, ..limits };
        assert!(check(&any_age, entry(Timestamp::MIN, 1)).is_ok());
    }

    #[test]
    fn the_longest_line_is_taken_and_a_longer_one_refused_or_cut() {
        let limits = Limits::default();
        assert!(check(&limits, entry(NOW, 262_144)).is_ok());
        let too_long = Violation::LineTooLong { bytes: 262_145, max: 262_144 };
        assert_eq!(check(&limits, entry(NOW, 262_145)), Err(too_long));
        let cutting = Limits { truncate_long_lines: true, ..limits };
        assert_eq!(check(&cutting, entry(NOW, 262_145)).unwrap().line.len(), 262_144);
    }

    #[test]
    fn lost_characters_in_metadata_values_become_blanks_and_are_counted() {
        let limits = Limits::default();
        let rules = EntryRules::new(&limits, NOW);
        let pairs = [("a", "x\u{fffd}\u{fffd}y"), ("b", "ｗｉｄｅ"), ("c", "\u{fffd}")];
        let metadata = pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let mut entry = Entry { metadata, ..entry(NOW, 1) };
        rules.check(&mut entry).unwrap();
        let values: Vec<_> = entry.metadata.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(values, ["x  y", "ｗｉｄｅ", " "]);
        assert_eq!(rules.sanitized(), 2);
    }

    #[test]
    fn metadata_is_bounded_and_its_names_are_mended() {
        let limits = Limits {
            max_structured_metadata_bytes: 10,
            max_structured_metadata_entries: 2,
            ..Limits::default()
        };
        let with = |pairs: &[(&'static str, &'static str)]| {
            let metadata = pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
            check(&limits, Entry { metadata, ..entry(NOW, 1) }).map(|entry| entry.metadata)
        };
        assert_eq!(with(&[("a.b", "1")]).unwrap()[0].0, "a_b");
        assert_eq!(with(&[("1a", "1")]).unwrap()[0].0, "key_1a");
        assert!(with(&[("a", "123456789")]).is_ok());
        assert_eq!(with(&[("a", "1234567890")]), Err(Violation::MetadataTooLarge { bytes: 11, max: 10 }));
        assert_eq!(
            with(&[("a", ""), ("b", ""), ("c", "")]),
            Err(Violation::MetadataTooMany { count: 3, max: 2 })
        );
        assert_eq!(with(&[("", "x")]), Err(Violation::MetadataNameEmpty));
        let refused = Violation::MetadataName { name: "é".into(), normalised: "_".into() };
        assert_eq!(with(&[("é", "x")]), Err(refused));
    }
}
