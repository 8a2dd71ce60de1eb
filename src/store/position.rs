//! Positions of the engines in the intake log, and the analysis state carried per group.

use crate::store::{Connection, StoreError, Transaction};

/// The engines that follow the intake log. Compaction and retention by size never pass the slowest registered one.
pub mod name {
    /// The analysis.
    pub const ANALYZE: &str = "analyze";
    /// The forwarder.
    pub const FORWARD: &str = "forward";
}

/// The last block the engine is done with; 0 before the first.
pub fn get(_conn: &Connection, _engine: &str) -> Result<u64, StoreError> {
    todo!()
}

/// Moves the engine's position.
pub fn set(
    _tx: &Transaction<'_>,
    _engine: &str,
    _seq: u64,
    _now: crate::model::Timestamp,
) -> Result<(), StoreError> {
    todo!()
}

/// Forgets an engine that no longer runs (forward switched off), so that it holds nothing back.
pub fn remove(_tx: &Transaction<'_>, _engine: &str) -> Result<(), StoreError> {
    todo!()
}

/// A group's analysis position and state.
pub struct Group {
    /// The tenant's number.
    pub tenant: i64,
    /// The group's name within the tenant.
    pub name: String,
    /// Every block up to this one is analysed for this group.
    pub seq: u64,
    /// What the engine carries from window to window; opaque here.
    pub state: Vec<u8>,
}

/// Every group.
pub fn groups(_conn: &Connection) -> Result<Vec<Group>, StoreError> {
    todo!()
}

/// Writes a group's position and state.
pub fn set_group(_tx: &Transaction<'_>, _group: &Group) -> Result<(), StoreError> {
    todo!()
}
