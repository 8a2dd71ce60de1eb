//! Names for stored things: a stream, a line, a template.

use serde::{Deserialize, Serialize};

/// A stream (one tenant, one label set) in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId(pub u64);

/// A line as it was acknowledged: the block that brought it and its place in that block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LineRef {
    /// Sequence number of the block; grows with every commit.
    pub block: u64,
    /// Position of the entry within the block, counted over all its streams.
    pub index: u32,
}

/// A mined template, numbered within the whole database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TemplateId(pub u64);
