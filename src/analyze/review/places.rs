//! Remembers where quoted lines were read: a stored finding knows what a line says, not its number in a file.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::Place;
use crate::model::EvidenceLine;

/// Places remembered before those of lines that no finding quotes any more are forgotten: 24 MB.
const MAX_PLACES: usize = 1_000_000;

/// Places by what identifies a quoted line in a finding: stream, time and text.
#[derive(Default)]
pub(super) struct Places(FxHashMap<u64, Place>);

impl Places {
    /// Takes the places of lines that are or may be quoted.
    pub fn learn<'a>(&mut self, lines: impl Iterator<Item = &'a EvidenceLine>) {
        for line in lines {
            if let Some(at) = line.at {
                // Of equal lines at one time the first is meant.
                self.0.entry(key(line)).or_insert_with(|| at.into());
            }
        }
    }

    /// Where a line was read.
    pub fn of(&self, line: &EvidenceLine) -> Option<Place> {
        self.0.get(&key(line)).copied()
    }

    /// Whether something should be forgotten.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_PLACES
    }

    /// Forgets all but these; with still too many, those as well.
    pub fn keep_only<'a>(&mut self, lines: impl Iterator<Item = &'a EvidenceLine>) {
        let kept = lines.filter_map(|line| Some((key(line), self.of(line)?)));
        self.0 = kept.take(MAX_PLACES / 2).collect();
    }
}

fn key(line: &EvidenceLine) -> u64 {
    let mut hasher = FxHasher::default();
    (line.timestamp_ns, &line.line, &line.stream).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, LineRef, Timestamp};

    #[test]
    fn a_line_is_known_again_by_what_a_stored_finding_keeps_of_it() {
        let line = |text: &str, at: Option<LineRef>| EvidenceLine {
            stream: Labels::default(),
            timestamp_ns: Timestamp::from_secs(1),
            line: text.to_owned(),
            template: None,
            at,
        };
        let mut places = Places::default();
        places.0.insert(key(&line("a", None)), Place { file: 1, line: 7 });
        places.0.insert(key(&line("b", None)), Place { file: 1, line: 8 });
        assert_eq!(places.of(&line("a", None)), Some(Place { file: 1, line: 7 }));
        assert_eq!(places.of(&line("c", None)), None);
        places.keep_only([line("b", None)].iter());
        assert_eq!((places.of(&line("a", None)), places.0.len()), (None, 1));
    }
}
