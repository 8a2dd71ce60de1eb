//! Blocks: one row per accepted push, the queue that every engine follows with a position of its own.

use bytes::Bytes;

use crate::{
    model::{LineRef, StreamId, TenantId, Timestamp},
    store::{Connection, StoreError},
};

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
    plain: Vec<u8>,
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
    metadata: &'a [u8],
}

impl<'a> BlockEntry<'a> {
    /// Name and value pairs in the sender's order.
    pub fn metadata(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let _ = self.metadata;
        std::iter::empty()
    }
}

impl Block {
    /// The entries, stream by stream, in the sender's order.
    pub fn iter(&self) -> impl Iterator<Item = BlockEntry<'_>> {
        let _ = &self.plain;
        std::iter::empty()
    }
}

/// The blocks after `after` in order, at least one if there is one, then as many as fit `max_bytes` (plain bytes).
pub fn read_after(_conn: &Connection, _after: u64, _max_bytes: usize) -> Result<Vec<Block>, StoreError> {
    let _: Option<(Bytes, TenantId)> = None;
    todo!()
}
