//! A day's lines → pushes: slices of the day in order, each within Promtail's batch size, one stream per file.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use super::day::{Line, Place};
use crate::{
    model::{Entry, Metadata, Timestamp},
    wire::encode::Stream,
};

/// Promtail's default.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// How much of the day goes into one push.
const SLICE: Duration = Duration::from_secs(600);

/// What is pushed at one time.
pub(super) struct Batch {
    /// The first line's time.
    pub(super) at: Timestamp,
    /// How many lines there are.
    pub(super) lines: u64,
    streams: BTreeMap<Place, Vec<Entry>>,
    bytes: usize,
}

/// Cuts the day into pushes. Expects the lines oldest first.
pub(super) fn batches(lines: Vec<Line>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for line in lines {
        let fits = |batch: &&mut Batch| {
            line.at < batch.at.plus(SLICE) && batch.bytes + line.text.len() <= MAX_BATCH_BYTES
        };
        match batches.last_mut().filter(fits) {
            Some(batch) => batch.add(line),
            None => {
                let mut batch = Batch { at: line.at, lines: 0, streams: BTreeMap::new(), bytes: 0 };
                batch.add(line);
                batches.push(batch);
            }
        }
    }
    batches
}

impl Batch {
    fn add(&mut self, line: Line) {
        self.lines += 1;
        self.bytes += line.text.len();
        let entry = Entry { timestamp: line.at, line: Bytes::from(line.text), metadata: Metadata::default() };
        self.streams.entry(line.place).or_default().push(entry);
    }

    /// The streams of the push.
    pub(super) fn into_streams(self) -> Vec<Stream> {
        let stream = |(place, entries): (Place, Vec<Entry>)| Stream { labels: labels(place), entries };
        self.streams.into_iter().map(stream).collect()
    }
}

/// The labels a Promtail with the usual `scrape_configs` sends.
fn labels(place: Place) -> Bytes {
    let Place { host, job, filename } = place;
    format!("{{filename=\"{filename}\", host=\"{host}\", job=\"{job}\"}}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::day;

    #[test]
    fn every_line_is_in_one_batch_and_batches_follow_each_other() {
        let lines = day::lines(Timestamp::from_secs(1_800_000_000));
        let total = lines.len() as u64;
        let batches = batches(lines);
        assert_eq!(batches.iter().map(|batch| batch.lines).sum::<u64>(), total);
        assert!(batches.is_sorted_by_key(|batch| batch.at) && batches.len() >= 140);
        assert!(batches.iter().all(|batch| batch.bytes <= MAX_BATCH_BYTES));
    }

    #[test]
    fn a_line_that_would_make_a_batch_too_large_begins_the_next() {
        let place = Place { host: "h", job: "j", filename: "f" };
        let line = |n| Line { at: Timestamp::from_secs(n), place, text: "x".repeat(400_000) };
        let cut = batches(vec![line(0), line(1), line(2)]);
        assert_eq!(cut.iter().map(|batch| batch.lines).collect::<Vec<_>>(), [2, 1]);
        let labels = cut.into_iter().next().unwrap().into_streams().remove(0).labels;
        assert_eq!(labels, "{filename=\"f\", host=\"h\", job=\"j\"}");
    }
}
