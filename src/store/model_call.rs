//! Model calls: usage booked per call, and answers to digests already asked about.

use std::time::Duration;

use serde::Serialize;

use crate::{
    model::{Timestamp, WindowId},
    store::{Connection, StoreError, Transaction},
};

/// One call to a model, successful or not.
#[derive(Clone, Debug)]
pub struct ModelCall {
    /// When.
    pub at: Timestamp,
    /// The tenant's number.
    pub tenant: i64,
    /// For which window.
    pub window: Option<WindowId>,
    /// Provider and model.
    pub model: String,
    /// `screen`, `explain` or `repair`.
    pub tier: String,
    /// `ok` or the kind of failure.
    pub outcome: String,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Millionths of a dollar, where a price is configured.
    pub cost_micros: Option<u64>,
    /// How long it took.
    pub duration: Duration,
}

/// Books calls.
pub fn book(_tx: &Transaction<'_>, _calls: &[ModelCall]) -> Result<(), StoreError> {
    todo!()
}

/// Sums over a time range.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Calls made.
    pub calls: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Millionths of a dollar over the calls with a known price.
    pub cost_micros: u64,
    /// Calls whose price is not known.
    pub unpriced_calls: u64,
}

/// Usage since `from`; of one tenant, or of all.
pub fn usage_since(_conn: &Connection, _from: Timestamp, _tenant: Option<i64>) -> Result<Usage, StoreError> {
    todo!()
}

/// Usage per model since `from`.
pub fn usage_by_model(
    _conn: &Connection,
    _from: Timestamp,
    _tenant: Option<i64>,
) -> Result<Vec<(String, Usage)>, StoreError> {
    todo!()
}

/// The stored answer to an equal digest, if it is not older than `oldest`.
pub fn cached_answer(
    _conn: &Connection,
    _hash: &[u8],
    _oldest: Timestamp,
) -> Result<Option<String>, StoreError> {
    todo!()
}

/// Stores an answer, and forgets those older than `oldest`.
pub fn cache_answer(
    _tx: &Transaction<'_>,
    _hash: &[u8],
    _answer: &str,
    _now: Timestamp,
    _oldest: Timestamp,
) -> Result<(), StoreError> {
    todo!()
}
