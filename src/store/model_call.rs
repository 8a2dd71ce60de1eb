//! Model calls: usage booked per call, and answers to digests already asked about.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row};
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
pub fn book(tx: &Transaction<'_>, calls: &[ModelCall]) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO model_call (at_ns, tenant_id, window_id, model, tier, outcome, input_tokens,
        output_tokens, cost_micros, duration_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let mut statement = tx.prepare_cached(SQL)?;
    for call in calls {
        statement.execute(rusqlite::params![
            call.at.as_nanos(),
            call.tenant,
            call.window.map(|window| window.0),
            call.model,
            call.tier,
            call.outcome,
            call.input_tokens.cast_signed(),
            call.output_tokens.cast_signed(),
            call.cost_micros.map(u64::cast_signed),
            i64::try_from(call.duration.as_millis()).unwrap_or(i64::MAX),
        ])?;
    }
    Ok(())
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

const SUMS: &str = "COUNT(*), COALESCE(SUM(outcome <> 'ok'), 0), COALESCE(SUM(input_tokens), 0),
    COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cost_micros), 0), COALESCE(SUM(cost_micros IS NULL), 0)";

/// Usage since `from`; of one tenant, or of all.
pub fn usage_since(conn: &Connection, from: Timestamp, tenant: Option<i64>) -> Result<Usage, StoreError> {
    // Searches the index model_call_time.
    let sql = format!("SELECT {SUMS} FROM model_call WHERE at_ns >= ?1 AND (?2 IS NULL OR tenant_id = ?2)");
    Ok(conn.prepare_cached(&sql)?.query_row((from.as_nanos(), tenant), |row| sums(row, 0))?)
}

/// Usage per model since `from`.
pub fn usage_by_model(
    conn: &Connection,
    from: Timestamp,
    tenant: Option<i64>,
) -> Result<Vec<(String, Usage)>, StoreError> {
    // Searches the index model_call_time.
    let sql = format!(
        "SELECT model, {SUMS} FROM model_call WHERE at_ns >= ?1 AND (?2 IS NULL OR tenant_id = ?2)
         GROUP BY model ORDER BY model"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map((from.as_nanos(), tenant), |row| Ok((row.get(0)?, sums(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The stored answer to an equal digest, if it is not older than `oldest`.
pub fn cached_answer(
    conn: &Connection,
    hash: &[u8],
    oldest: Timestamp,
) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT answer FROM model_answer WHERE digest_hash = ?1 AND at_ns >= ?2";
    let answer = conn.prepare_cached(SQL)?.query_row((hash, oldest.as_nanos()), |row| row.get(0));
    Ok(answer.optional()?)
}

/// Stores an answer, and forgets those older than `oldest`.
pub fn cache_answer(
    tx: &Transaction<'_>,
    hash: &[u8],
    answer: &str,
    now: Timestamp,
    oldest: Timestamp,
) -> Result<(), StoreError> {
    // Searches the index model_answer_age.
    tx.prepare_cached("DELETE FROM model_answer WHERE at_ns < ?1")?.execute([oldest.as_nanos()])?;
    const SQL: &str = "INSERT OR REPLACE INTO model_answer (digest_hash, answer, at_ns) VALUES (?1, ?2, ?3)";
    tx.prepare_cached(SQL)?.execute((hash, answer, now.as_nanos()))?;
    Ok(())
}

fn sums(row: &Row<'_>, at: usize) -> rusqlite::Result<Usage> {
    let sum = |offset| row.get::<_, i64>(at + offset).map(i64::unsigned_abs);
    Ok(Usage {
        calls: sum(0)?,
        failed: sum(1)?,
        input_tokens: sum(2)?,
        output_tokens: sum(3)?,
        cost_micros: sum(4)?,
        unpriced_calls: sum(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn call(at: i64, tenant: i64, model: &str, outcome: &str, cost: Option<u64>) -> ModelCall {
        ModelCall {
            at: Timestamp::from_secs(at),
            tenant,
            window: Some(WindowId(1)),
            model: model.into(),
            tier: "explain".into(),
            outcome: outcome.into(),
            input_tokens: 100,
            output_tokens: 10,
            cost_micros: cost,
            duration: Duration::from_millis(250),
        }
    }

    #[test]
    fn usage_counts_failures_and_calls_without_a_price() {
        let store = testing::store();
        let calls = [
            call(10, 1, "big", "ok", Some(7)),
            call(20, 1, "small", "ok", None),
            call(30, 2, "big", "timeout", Some(5)),
        ];
        store.write_blocking(move |tx| book(tx, &calls)).unwrap();
        let since = |at, tenant| {
            store.read_blocking(|conn| usage_since(conn, Timestamp::from_secs(at), tenant)).unwrap()
        };
        let all = since(0, None);
        assert_eq!((all.calls, all.failed, all.input_tokens, all.output_tokens), (3, 1, 300, 30));
        assert_eq!((all.cost_micros, all.unpriced_calls), (12, 1));
        assert_eq!(since(20, Some(1)).calls, 1);
        assert_eq!(since(31, None), Usage::default());
        let by_model = store.read_blocking(|conn| usage_by_model(conn, Timestamp::MIN, None)).unwrap();
        let counts: Vec<_> = by_model.iter().map(|(model, usage)| (model.as_str(), usage.calls)).collect();
        assert_eq!(counts, [("big", 2), ("small", 1)]);
    }

    #[test]
    fn answers_are_forgotten_when_too_old() {
        let store = testing::store();
        let at = Timestamp::from_secs;
        store.write_blocking(move |tx| cache_answer(tx, b"one", "first", at(10), at(0))).unwrap();
        let cached = |hash: &'static [u8], oldest| {
            store.read_blocking(|conn| cached_answer(conn, hash, at(oldest))).unwrap()
        };
        assert_eq!(cached(b"one", 10).as_deref(), Some("first"));
        assert_eq!(cached(b"one", 11), None, "too old for the one who asks");
        store.write_blocking(move |tx| cache_answer(tx, b"two", "second", at(20), at(15))).unwrap();
        assert_eq!(cached(b"one", 0), None, "removed");
        assert_eq!(cached(b"two", 0).as_deref(), Some("second"));
    }
}
