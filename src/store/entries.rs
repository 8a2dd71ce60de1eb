//! The layout that blocks and chunks share: entries grouped by stream, all numbers first, all lines after them.
//!
//! `version, header length, header, lines`. The header holds, per stream, its number and entry count, and per entry the
//! time as a difference to the entry before, the line's length, and metadata. Bytes are checked in full when they
//! are opened, so walking them afterwards cannot fail. Nothing is allocated per entry.

use crate::model::{StreamId, Timestamp};

/// The first byte; a later layout gets another one.
const VERSION: u8 = 1;
/// The longest varint of a 64-bit number.
const VARINT_MAX: u32 = 10;

/// Collects entries. The caller opens each stream with its entry count and then pushes exactly that many.
#[derive(Default)]
pub(crate) struct Encoder {
    header: Vec<u8>,
    lines: Vec<u8>,
    previous: i64,
    min: Option<i64>,
    max: Option<i64>,
    entries: u32,
}

impl Encoder {
    /// An encoder with room for lines of that many bytes in that many entries.
    pub(crate) fn with_room(entries: usize, line_bytes: usize) -> Self {
        Encoder {
            header: Vec::with_capacity(entries.saturating_mul(8).saturating_add(64)),
            lines: Vec::with_capacity(line_bytes),
            ..Encoder::default()
        }
    }

    /// Opens a stream.
    pub(crate) fn stream(&mut self, id: StreamId, entries: usize) {
        put_varint(&mut self.header, id.0);
        put_varint(&mut self.header, entries as u64);
    }

    /// Adds an entry to the open stream.
    pub(crate) fn entry<'m>(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: impl ExactSizeIterator<Item = (&'m [u8], &'m [u8])>,
    ) {
        let nanos = timestamp.as_nanos();
        put_varint(&mut self.header, zigzag(nanos.wrapping_sub(self.previous)));
        self.previous = nanos;
        let has_metadata = metadata.len() > 0;
        put_varint(&mut self.header, (line.len() as u64) << 1 | u64::from(has_metadata));
        if has_metadata {
            put_varint(&mut self.header, metadata.len() as u64);
            for (name, value) in metadata {
                put_bytes(&mut self.header, name);
                put_bytes(&mut self.header, value);
            }
        }
        self.lines.extend_from_slice(line);
        self.min = Some(self.min.map_or(nanos, |min| min.min(nanos)));
        self.max = Some(self.max.map_or(nanos, |max| max.max(nanos)));
        self.entries = self.entries.saturating_add(1);
    }

    /// How many entries were pushed.
    pub(crate) fn entries(&self) -> u32 {
        self.entries
    }

    /// How many line bytes were pushed.
    pub(crate) fn line_bytes(&self) -> usize {
        self.lines.len()
    }

    /// The earliest and latest time; `None` without entries.
    pub(crate) fn range(&self) -> Option<(Timestamp, Timestamp)> {
        Some((Timestamp::from_nanos(self.min?), Timestamp::from_nanos(self.max?)))
    }

    /// The encoded bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(self.header.len() + self.lines.len() + 8);
        plain.push(VERSION);
        put_varint(&mut plain, self.header.len() as u64);
        plain.extend_from_slice(&self.header);
        plain.extend_from_slice(&self.lines);
        plain
    }
}

/// Encoded entries whose structure has been checked.
#[derive(Debug)]
pub(crate) struct Entries {
    plain: Vec<u8>,
    header_at: usize,
    lines_at: usize,
    count: u32,
}

/// One entry as it is walked over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawEntry<'a> {
    pub(crate) index: u32,
    pub(crate) stream: StreamId,
    pub(crate) timestamp: Timestamp,
    pub(crate) line: &'a [u8],
    pub(crate) metadata: RawMetadata<'a>,
}

/// Encoded metadata of one entry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawMetadata<'a> {
    rest: &'a [u8],
    left: usize,
}

impl Entries {
    /// Checks encoded bytes from end to end; the error says what is wrong with them.
    pub(crate) fn open(plain: Vec<u8>) -> Result<Self, &'static str> {
        let mut rest = plain.as_slice();
        if take(&mut rest, 1) != Some(&[VERSION]) {
            return Err("unknown layout version");
        }
        let header_len = take_varint(&mut rest).and_then(|len| usize::try_from(len).ok());
        let header_at = plain.len() - rest.len();
        let (header, lines) =
            header_len.and_then(|len| rest.split_at_checked(len)).ok_or("header is cut off")?;
        let lines_at = header_at + header.len();
        let mut walk = Walk::new(header, lines);
        while walk.step().is_some() {}
        if !(walk.header.is_empty() && walk.lines.is_empty() && walk.in_stream == 0) {
            return Err("header and lines do not fit each other");
        }
        let count = walk.index;
        Ok(Entries { header_at, lines_at, count, plain })
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Size in memory.
    pub(crate) fn plain_len(&self) -> usize {
        self.plain.len()
    }

    /// The entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RawEntry<'_>> {
        let header = self.plain.get(self.header_at..self.lines_at).unwrap_or_default();
        let mut walk = Walk::new(header, self.plain.get(self.lines_at..).unwrap_or_default());
        std::iter::from_fn(move || walk.step())
    }
}

/// The state of walking over entries.
struct Walk<'a> {
    header: &'a [u8],
    lines: &'a [u8],
    stream: StreamId,
    in_stream: u64,
    previous: i64,
    index: u32,
}

impl<'a> Walk<'a> {
    fn new(header: &'a [u8], lines: &'a [u8]) -> Self {
        Walk { header, lines, stream: StreamId(0), in_stream: 0, previous: 0, index: 0 }
    }

    /// The next entry; `None` at the end or where the bytes make no sense (then something is left over).
    fn step(&mut self) -> Option<RawEntry<'a>> {
        while self.in_stream == 0 {
            if self.header.is_empty() {
                return None;
            }
            // Stays like this, and thereby is noticed, if the stream's numbers are cut off.
            self.in_stream = u64::MAX;
            self.stream = StreamId(take_varint(&mut self.header)?);
            self.in_stream = take_varint(&mut self.header)?;
        }
        let nanos = self.previous.wrapping_add(unzigzag(take_varint(&mut self.header)?));
        let tagged = take_varint(&mut self.header)?;
        let metadata =
            if tagged & 1 == 1 { take_metadata(&mut self.header)? } else { RawMetadata::default() };
        let line = take(&mut self.lines, usize::try_from(tagged >> 1).ok()?)?;
        let index = self.index;
        self.index = index.checked_add(1)?;
        self.previous = nanos;
        self.in_stream -= 1;
        Some(RawEntry { index, stream: self.stream, timestamp: Timestamp::from_nanos(nanos), line, metadata })
    }
}

impl<'a> Iterator for RawMetadata<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((take_bytes(&mut self.rest)?, take_bytes(&mut self.rest)?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for RawMetadata<'_> {}

fn take_metadata<'a>(header: &mut &'a [u8]) -> Option<RawMetadata<'a>> {
    let left = usize::try_from(take_varint(header)?).ok()?;
    let start = *header;
    for _ in 0..left {
        take_bytes(header)?;
        take_bytes(header)?;
    }
    Some(RawMetadata { rest: start, left })
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(rest)?).ok()?;
    take(rest, len)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for at in 0..VARINT_MAX {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn borrowed(pairs: &Pairs) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    #[test]
    fn numbers_come_first_and_lines_after_them() {
        let mut encoder = Encoder::default();
        encoder.stream(StreamId(7), 2);
        encoder.entry(Timestamp::from_nanos(3), b"ab", std::iter::empty());
        encoder.entry(Timestamp::from_nanos(2), b"c", borrowed(&vec![(b"k".to_vec(), b"v".to_vec())]));
        // version, header length 11, stream 7 with 2 entries, +3 and 2 bytes, -1 and 1 byte with one pair, lines
        let expected = [1, 11, 7, 2, 6, 4, 1, 3, 1, 1, b'k', 1, b'v', b'a', b'b', b'c'];
        assert_eq!(encoder.range(), Some((Timestamp::from_nanos(2), Timestamp::from_nanos(3))));
        assert_eq!(encoder.finish(), expected);
    }

    #[test]
    fn every_cut_is_noticed() {
        let mut encoder = Encoder::default();
        encoder.stream(StreamId(1), 1);
        encoder.entry(Timestamp::from_nanos(300), b"line", std::iter::empty());
        let whole = encoder.finish();
        for len in 0..whole.len() {
            assert!(Entries::open(whole[..len].to_vec()).is_err(), "cut to {len}");
        }
        let longer = [whole.as_slice(), b"x"].concat();
        assert_eq!(Entries::open(longer).unwrap_err(), "header and lines do not fit each other");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            streams in prop::collection::vec((any::<u64>(), prop::collection::vec(
                (any::<i64>(), prop::collection::vec(any::<u8>(), 0..40),
                 prop::collection::vec((prop::collection::vec(any::<u8>(), 0..5), prop::collection::vec(any::<u8>(), 0..5)), 0..3)),
                0..8)), 0..6)
        ) {
            let mut encoder = Encoder::default();
            let mut expected = Vec::new();
            for (id, entries) in &streams {
                encoder.stream(StreamId(*id), entries.len());
                for (nanos, line, pairs) in entries {
                    encoder.entry(Timestamp::from_nanos(*nanos), line, borrowed(pairs));
                    expected.push((*id, *nanos, line.clone(), pairs.clone()));
                }
            }
            let entries = Entries::open(encoder.finish()).unwrap();
            let read: Vec<_> = entries.iter().map(|e| {
                let pairs: Pairs = e.metadata.map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                (e.stream.0, e.timestamp.as_nanos(), e.line.to_vec(), pairs)
            }).collect();
            prop_assert_eq!(entries.count() as usize, expected.len());
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            if let Ok(entries) = Entries::open(bytes) {
                prop_assert_eq!(entries.iter().count(), entries.count() as usize);
            }
        }
    }
}
