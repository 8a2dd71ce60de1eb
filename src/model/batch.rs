//! What a push becomes once it is checked: entries per stream, ready to be stored.

use bytes::Bytes;

use super::{Labels, StreamId, TenantId, Timestamp};

/// Structured metadata of one entry: name and value pairs in the sender's order.
pub type Metadata = Vec<(Bytes, Bytes)>;

/// One log line with its time. The line is kept as the sender's bytes, which need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The sender's time.
    pub timestamp: Timestamp,
    /// The line without its line end.
    pub line: Bytes,
    /// Structured metadata; mostly empty.
    pub metadata: Metadata,
}

/// The entries of one stream within one push, in the sender's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamBatch {
    /// The stream, as `store::Streams::admit` numbered it.
    pub id: StreamId,
    /// Valid, sorted label set.
    pub labels: Labels,
    /// At least one entry.
    pub entries: Vec<Entry>,
}

/// One accepted push of one tenant: what `ingest` makes and `store` appends in one transaction.
#[derive(Clone, Debug)]
pub struct PushBatch {
    /// Whose lines these are.
    pub tenant: TenantId,
    /// When the push arrived.
    pub received: Timestamp,
    /// Hash of the body as received, by which a retried push is recognised.
    pub push_hash: u128,
    /// The streams with at least one valid entry.
    pub streams: Vec<StreamBatch>,
}
