//! Reading lines back by stream and time, from blocks and chunks alike, each entry once.

use bytes::Bytes;

use crate::{
    model::{Metadata, StreamId, Timestamp},
    store::{Connection, StoreError},
};

/// A stored line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// Which stream.
    pub stream: StreamId,
    /// The sender's time.
    pub timestamp: Timestamp,
    /// The line.
    pub line: Bytes,
    /// Structured metadata.
    pub metadata: Metadata,
}

/// Which lines, and in which order.
#[derive(Clone, Debug)]
pub struct LineQuery {
    /// These streams.
    pub streams: Vec<StreamId>,
    /// From this time on.
    pub from: Timestamp,
    /// Up to before this time.
    pub to: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// Newest first (and the newest are kept when the limit cuts) instead of oldest first.
    pub backward: bool,
}

/// The lines in order of time; identical (stream, timestamp, line) entries appear once.
pub fn read(_conn: &Connection, _query: &LineQuery) -> Result<Vec<StoredLine>, StoreError> {
    todo!()
}
