//! Blocks: one row per accepted push, the queue that every engine follows with a position of its own.
//!
//! A push is encoded and compressed (LZ4, cheap) by the task that brings it; the writer thread only inserts the bytes.
//! A block that cannot be decoded is skipped and logged: one damaged row must not hold an engine for ever.

use crate::{
    model::{LineRef, PushBatch, StreamId, Timestamp},
    store::{
        Connection, StoreError,
        entries::{Encoder, Entries, RawMetadata},
        writer::LAST_SEQ,
    },
};

/// Largest plain size of a block or chunk that is written, and that a stored length is believed. Above any push
/// that the size limits of the API let through.
pub(crate) const PLAIN_MAX: usize = 256 * 1024 * 1024;
/// LZ4 cannot expand a byte to more than this many; a stored length beyond it is a lie.
const LZ4_EXPANSION_MAX: usize = 255;

/// A block as read back: decompressed, its entries decoded on the fly.
pub struct Block {
    /// Sequence number; grows with every commit.
    pub seq: u64,
    /// The tenant's number, see `Streams::tenant_of`.
    pub tenant: i64,
    /// When the push arrived.
    pub received: Timestamp,
    /// How many entries there are.
    pub entries: u32,
    /// Decompressed entries.
    plain: Entries,
}

/// One entry of a block, borrowed from its bytes.
pub struct BlockEntry<'a> {
    /// The entry's name for good (until the block is compacted).
    pub at: LineRef,
    /// Which stream it belongs to. Entries of one stream follow each other.
    pub stream: StreamId,
    /// The sender's time.
    pub timestamp: Timestamp,
    /// The line.
    pub line: &'a [u8],
    /// Encoded metadata; see `metadata`.
    metadata: RawMetadata<'a>,
}

impl<'a> BlockEntry<'a> {
    /// Name and value pairs in the sender's order.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> {
        self.metadata
    }
}

impl Block {
    /// The entries, stream by stream, in the sender's order.
    pub fn iter(&self) -> impl Iterator<Item = BlockEntry<'_>> {
        self.plain.iter().map(|raw| BlockEntry {
            at: LineRef { block: self.seq, index: raw.index },
            stream: raw.stream,
            timestamp: raw.timestamp,
            line: raw.line,
            metadata: raw.metadata,
        })
    }

    /// Size in memory.
    pub fn plain_len(&self) -> usize {
        self.plain.plain_len()
    }
}

/// A push made ready for its row.
pub(crate) struct EncodedPush {
    pub(crate) received: Timestamp,
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    pub(crate) entries: u32,
    pub(crate) streams: i64,
    pub(crate) line_bytes: u64,
    pub(crate) push_hash: u128,
    pub(crate) payload: Vec<u8>,
}

/// Encodes and compresses a push; `None` when it has no entries at all.
pub(crate) fn encode(push: &PushBatch) -> Result<Option<EncodedPush>, StoreError> {
    let entries = push.streams.iter().map(|stream| stream.entries.len()).sum();
    let bytes = push.streams.iter().flat_map(|stream| &stream.entries).map(|entry| entry.line.len()).sum();
    let mut encoder = Encoder::with_room(entries, bytes);
    for stream in &push.streams {
        encoder.stream(stream.id, stream.entries.len());
        for entry in &stream.entries {
            let metadata = entry.metadata.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
            encoder.entry(entry.timestamp, &entry.line, metadata);
        }
    }
    let Some((min, max)) = encoder.range() else { return Ok(None) };
    let entries = encoder.entries();
    let plain = encoder.finish();
    if plain.len() > PLAIN_MAX {
        return Err(StoreError::TooLarge { bytes: plain.len(), limit: PLAIN_MAX });
    }
    Ok(Some(EncodedPush {
        received: push.received,
        min,
        max,
        entries,
        streams: stream_mask(push.streams.iter().map(|stream| stream.id)),
        line_bytes: bytes as u64,
        push_hash: push.push_hash,
        payload: lz4_flex::block::compress_prepend_size(&plain),
    }))
}

/// One bit per stream, by its number: a block whose mask has none of the wanted bits holds none of the wanted streams.
pub(crate) fn stream_mask(streams: impl Iterator<Item = StreamId>) -> i64 {
    streams.fold(0_u64, |mask, stream| mask | 1 << (stream.0 % 64)).cast_signed()
}

/// Decompresses and checks the payload of a block.
pub(crate) fn decode(payload: &[u8]) -> Result<Entries, StoreError> {
    let damaged = |cause: String| StoreError::Damaged { what: "block", cause };
    let (plain_len, compressed) =
        lz4_flex::block::uncompressed_size(payload).map_err(|error| damaged(error.to_string()))?;
    if plain_len > PLAIN_MAX || plain_len > compressed.len().saturating_mul(LZ4_EXPANSION_MAX) {
        return Err(damaged(format!("implausible length of {plain_len} bytes")));
    }
    let plain =
        lz4_flex::block::decompress(compressed, plain_len).map_err(|error| damaged(error.to_string()))?;
    Entries::open(plain).map_err(|cause| damaged(cause.to_owned()))
}

/// The highest sequence number ever given.
pub(crate) fn last_seq(conn: &Connection) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT MAX(
        (SELECT COALESCE(MAX(seq), 0) FROM block),
        (SELECT COALESCE(MAX(seq), 0) FROM position),
        COALESCE((SELECT value FROM meta WHERE key = ?1), 0))";
    Ok(conn.query_row(SQL, [LAST_SEQ], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// The blocks after `after` in order, at least one if there is one, then as many as fit `max_bytes` (plain bytes).
pub fn read_after(conn: &Connection, after: u64, max_bytes: usize) -> Result<Vec<Block>, StoreError> {
    // Walks the primary key.
    const SQL: &str =
        "SELECT seq, tenant_id, received_ns, bytes, payload FROM block WHERE seq > ?1 ORDER BY seq";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query([i64::try_from(after).unwrap_or(i64::MAX)])?;
    let (mut blocks, mut total) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let bytes = usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        if !blocks.is_empty() && total.saturating_add(bytes) > max_bytes {
            break;
        }
        let seq = row.get::<_, i64>(0)?.unsigned_abs();
        let payload = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        let plain = match decode(payload) {
            Ok(plain) => plain,
            Err(error) => {
                tracing::error!(block = seq, %error, "skipping a block that cannot be read");
                continue;
            }
        };
        total = total.saturating_add(plain.plain_len());
        blocks.push(Block {
            seq,
            tenant: row.get(1)?,
            received: Timestamp::from_nanos(row.get(2)?),
            entries: plain.count(),
            plain,
        });
    }
    Ok(blocks)
}
