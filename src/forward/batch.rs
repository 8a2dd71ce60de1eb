//! Blocks → pushes: entries regrouped per tenant and stream, cut to bounded bodies, in the order of the intake log.
//!
//! Pure. Order within a stream is never changed; streams of different tenants never share a push.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{
    model::{Entry, StreamId, TenantId},
    wire::encode,
};

/// A push that is ready to be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whose lines.
    pub tenant: TenantId,
    /// The streams, in order of their first entry.
    pub streams: Vec<encode::Stream>,
    /// How many entries there are.
    pub entries: usize,
}

impl Batch {
    fn new(tenant: TenantId) -> Self {
        Batch { tenant, streams: Vec::new(), entries: 0 }
    }

    /// Cuts the batch in two of about equal numbers of entries; `None` when there is nothing to cut.
    pub fn halves(self) -> Option<(Batch, Batch)> {
        if self.entries < 2 {
            return None;
        }
        let mut left = Batch::new(self.tenant.clone());
        let mut right = Batch::new(self.tenant);
        let half = self.entries / 2;
        for stream in self.streams {
            let mut head = stream.entries;
            let tail = head.split_off(head.len().min(half.saturating_sub(left.entries)));
            for (side, entries) in [(&mut left, head), (&mut right, tail)] {
                if !entries.is_empty() {
                    side.entries += entries.len();
                    side.streams.push(encode::Stream { labels: stream.labels.clone(), entries });
                }
            }
        }
        Some((left, right))
    }
}

/// Collects entries into batches.
pub struct Batcher {
    max_bytes: usize,
    max_entries: usize,
    full: Vec<Batch>,
    open: Vec<Open>,
}

/// The batch of one tenant that still takes entries.
struct Open {
    batch: Batch,
    bytes: usize,
    places: HashMap<StreamId, usize>,
}

impl Batcher {
    /// Cuts batches at these limits; a single larger entry makes a batch of its own.
    pub fn new(max_bytes: usize, max_entries: usize) -> Self {
        Batcher { max_bytes, max_entries, full: Vec::new(), open: Vec::new() }
    }

    /// Adds the next entry of the intake log.
    pub fn add(&mut self, tenant: &TenantId, stream: StreamId, labels: &Bytes, entry: Entry) {
        let size = size_of(&entry);
        let open = match self.open.iter().position(|open| open.batch.tenant == *tenant) {
            Some(at) => self.open.get_mut(at),
            None => {
                self.open.push(Open::new(tenant.clone()));
                self.open.last_mut()
            }
        };
        let Some(open) = open else { return };
        let is_full = open.bytes + size > self.max_bytes || open.batch.entries >= self.max_entries;
        if is_full && open.batch.entries > 0 {
            let next = Open::new(tenant.clone());
            self.full.push(std::mem::replace(open, next).batch);
        }
        open.add(stream, labels, entry, size);
    }

    /// The batches in order of sending.
    pub fn finish(self) -> Vec<Batch> {
        let rest = self.open.into_iter().map(|open| open.batch).filter(|batch| batch.entries > 0);
        self.full.into_iter().chain(rest).collect()
    }
}

impl Open {
    fn new(tenant: TenantId) -> Self {
        Open { batch: Batch::new(tenant), bytes: 0, places: HashMap::new() }
    }

    fn add(&mut self, id: StreamId, labels: &Bytes, entry: Entry, size: usize) {
        let streams = &mut self.batch.streams;
        let place = *self.places.entry(id).or_insert_with(|| {
            streams.push(encode::Stream { labels: labels.clone(), entries: Vec::new() });
            streams.len() - 1
        });
        if let Some(stream) = streams.get_mut(place) {
            stream.entries.push(entry);
            self.batch.entries += 1;
            self.bytes += size;
        }
    }
}

fn size_of(entry: &Entry) -> usize {
    let metadata: usize = entry.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    entry.line.len() + metadata
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Timestamp;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn entry(at: i64, line: &'static str) -> Entry {
        Entry { timestamp: Timestamp::from_nanos(at), line: line.into(), metadata: vec![] }
    }

    fn labels(id: u64) -> Bytes {
        Bytes::from(format!("{{s=\"{id}\"}}"))
    }

    #[test]
    fn a_batch_ends_before_the_entry_that_would_exceed_the_bytes() {
        let mut batcher = Batcher::new(10, 100);
        for (at, line) in [(1, "aaaa"), (2, "bbbb"), (3, "cccc"), (4, "ddddddddddddddd")] {
            batcher.add(&tenant("t"), StreamId(1), &labels(1), entry(at, line));
        }
        let sizes: Vec<_> = batcher.finish().iter().map(|batch| batch.entries).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn tenants_never_share_a_batch_and_streams_keep_their_labels() {
        let mut batcher = Batcher::new(1_000, 100);
        for (at, name, id) in [(1, "a", 1), (2, "b", 2), (3, "a", 3), (4, "a", 1)] {
            batcher.add(&tenant(name), StreamId(id), &labels(id), entry(at, "x"));
        }
        let batches = batcher.finish();
        assert_eq!(batches.iter().map(|b| b.tenant.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let first: Vec<_> = batches[0].streams.iter().map(|s| (s.labels.clone(), s.entries.len())).collect();
        assert_eq!(first, [(labels(1), 2), (labels(3), 1)]);
    }

    #[test]
    fn halves_hold_everything_once_and_one_entry_cannot_be_halved() {
        let mut batcher = Batcher::new(1_000, 100);
        for at in 1..=5 {
            batcher.add(&tenant("t"), StreamId(at % 2), &labels(at % 2), entry(at as i64, "x"));
        }
        let (left, right) = batcher.finish().remove(0).halves().unwrap();
        assert_eq!((left.entries, right.entries), (2, 3));
        let times = |batch: &Batch| -> Vec<i64> {
            batch.streams.iter().flat_map(|s| &s.entries).map(|e| e.timestamp.as_nanos()).collect()
        };
        assert_eq!((times(&left), times(&right)), (vec![1, 3], vec![5, 2, 4]));
        let (one, _) = left.halves().unwrap();
        assert_eq!(one.halves(), None);
    }

    proptest! {
        /// However the log is cut, each stream's entries go out once and in order, within the limits.
        #[test]
        fn order_within_a_stream_survives_every_cut(
            streams in proptest::collection::vec(0_u64..4, 0..200),
            max_entries in 1_usize..20,
        ) {
            let mut batcher = Batcher::new(usize::MAX, max_entries);
            for (at, id) in streams.iter().enumerate() {
                let tenant = tenant(if id % 2 == 0 { "even" } else { "odd" });
                batcher.add(&tenant, StreamId(*id), &labels(*id), entry(at as i64, "x"));
            }
            let batches = batcher.finish();
            prop_assert!(batches.iter().all(|batch| (1..=max_entries).contains(&batch.entries)));
            for id in 0..4 {
                let sent: Vec<usize> = batches.iter().flat_map(|batch| &batch.streams)
                    .filter(|stream| stream.labels == labels(id))
                    .flat_map(|stream| &stream.entries)
                    .map(|entry| entry.timestamp.as_nanos() as usize)
                    .collect();
                let expected: Vec<usize> = (0..streams.len()).filter(|at| streams[*at] == id).collect();
                prop_assert_eq!(sent, expected);
            }
        }
    }
}
