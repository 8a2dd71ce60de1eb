//! Mined templates: kept so that a restart goes on with what was learnt.

use serde::Serialize;

use crate::{
    model::{TemplateId, Timestamp},
    store::{Connection, StoreError, Transaction},
};

/// A template as stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TemplateRow {
    /// Identity; chosen by the miner, unique in the database.
    pub id: TemplateId,
    /// The tenant's number.
    #[serde(skip)]
    pub tenant: i64,
    /// The template's text with `<*>` and typed placeholders.
    pub text: String,
    /// A line that matches it.
    pub sample: String,
    /// Lines so far.
    pub count: u64,
    /// First line's time.
    pub first_seen: Timestamp,
    /// Last line's time.
    pub last_seen: Timestamp,
    /// The miner's own state; opaque here.
    #[serde(skip)]
    pub state: Vec<u8>,
}

/// Inserts or replaces templates.
pub fn put(_tx: &Transaction<'_>, _templates: &[TemplateRow]) -> Result<(), StoreError> {
    todo!()
}

/// Removes templates the miner has evicted.
pub fn remove(_tx: &Transaction<'_>, _ids: &[TemplateId]) -> Result<(), StoreError> {
    todo!()
}

/// Every template of every tenant, for the miner at start.
pub fn all(_conn: &Connection) -> Result<Vec<TemplateRow>, StoreError> {
    todo!()
}

/// Templates of a tenant, most lines first, after the given (count, id) cursor.
pub fn list(
    _conn: &Connection,
    _tenant: i64,
    _text: Option<&str>,
    _before: Option<(u64, TemplateId)>,
    _limit: usize,
) -> Result<Vec<TemplateRow>, StoreError> {
    todo!()
}
