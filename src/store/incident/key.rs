//! What findings share: one row per finding and key, so that whoever has the same is one index search away.

use std::time::Duration;

use crate::{
    model::{Finding, FindingId, IncidentId, Timestamp},
    store::{Connection, StoreError, Transaction},
};

/// Enough to tell a chain, and to see that a key is common or that a storm is on.
const NEAR_MAX: i64 = 100;

/// Something a finding may share with others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is: an address, an account on a host, …
    pub kind: &'static str,
    /// Which one.
    pub value: String,
}

/// A finding that has a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// The finding.
    pub finding: FindingId,
    /// Its incident, if it is open and no part of another.
    pub incident: Option<IncidentId>,
    /// Whether that incident is a folded storm.
    pub is_storm: bool,
    /// The finding's kind.
    pub story: String,
    /// Its first event.
    pub first: Timestamp,
    /// Its last event.
    pub last: Timestamp,
}

/// Writes the keys of a finding.
pub fn put_keys(
    tx: &Transaction<'_>,
    tenant: i64,
    finding: &Finding,
    keys: &[Key],
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO finding_key
            (tenant_id, kind, value, finding_id, story, first_ns, last_ns, seen_ns)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (tenant_id, kind, value, finding_id) DO UPDATE SET
            first_ns = excluded.first_ns, last_ns = excluded.last_ns, seen_ns = excluded.seen_ns";
    let mut statement = tx.prepare_cached(SQL)?;
    for key in keys {
        statement.execute((
            tenant,
            key.kind,
            &key.value,
            &finding.id.0,
            finding.kind(),
            finding.first_seen.as_nanos(),
            finding.last_seen.as_nanos(),
            finding.updated_at.as_nanos(),
        ))?;
    }
    Ok(())
}

/// Other findings with this key whose events are at most `span` away from those of the finding, newest first.
pub fn near(
    conn: &Connection,
    tenant: i64,
    key: &Key,
    finding: &Finding,
    span: Duration,
) -> Result<Vec<Sharer>, StoreError> {
    // Searches the index finding_key_newest from the newest down to the span.
    const SQL: &str = "SELECT finding_id, incident.id, incident.storm, story, finding_key.first_ns, finding_key.last_ns
        FROM finding_key JOIN finding ON finding.id = finding_id
        LEFT JOIN incident ON incident.id = finding.incident_id AND incident.status IN ('open', 'acknowledged')
        WHERE finding_key.tenant_id = ?1 AND finding_key.kind = ?2 AND value = ?3 AND finding_id <> ?4
            AND finding_key.last_ns >= ?5 AND finding_key.first_ns <= ?6
        ORDER BY finding_key.last_ns DESC LIMIT ?7";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map(
        (
            tenant,
            key.kind,
            &key.value,
            &finding.id.0,
            finding.first_seen.minus(span).as_nanos(),
            finding.last_seen.plus(span).as_nanos(),
            NEAR_MAX,
        ),
        |row| {
            Ok(Sharer {
                finding: FindingId(row.get(0)?),
                incident: row.get::<_, Option<String>>(1)?.map(IncidentId),
                is_storm: row.get::<_, Option<bool>>(2)?.unwrap_or(false),
                story: row.get(3)?,
                first: Timestamp::from_nanos(row.get(4)?),
                last: Timestamp::from_nanos(row.get(5)?),
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many kinds of findings have had this key at other times: what is seen always and everywhere joins nothing.
pub fn elsewhere(
    conn: &Connection,
    tenant: i64,
    key: &Key,
    finding: &Finding,
    span: Duration,
) -> Result<usize, StoreError> {
    // Searches the index finding_key_newest; a key with so many rows is common in any case.
    const SQL: &str = "SELECT COUNT(DISTINCT story) FROM (SELECT story FROM finding_key
        WHERE tenant_id = ?1 AND kind = ?2 AND value = ?3 AND finding_id <> ?4
            AND (last_ns < ?5 OR first_ns > ?6) LIMIT 200)";
    let count = conn.prepare_cached(SQL)?.query_row(
        (
            tenant,
            key.kind,
            &key.value,
            &finding.id.0,
            finding.first_seen.minus(span).as_nanos(),
            finding.last_seen.plus(span).as_nanos(),
        ),
        |row| row.get::<_, i64>(0),
    )?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Whether there are keys of findings last written before `oldest`.
pub fn has_old_keys(conn: &Connection, oldest: Timestamp) -> Result<bool, StoreError> {
    // Searches the index finding_key_age.
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM finding_key WHERE seen_ns < ?1)";
    Ok(conn.prepare_cached(SQL)?.query_row([oldest.as_nanos()], |row| row.get(0))?)
}

/// Forgets keys of findings last written before `oldest`, at most `limit`; says how many went.
pub fn drop_old_keys(tx: &Transaction<'_>, oldest: Timestamp, limit: usize) -> Result<usize, StoreError> {
    // Searches the index finding_key_age.
    const SQL: &str = "DELETE FROM finding_key WHERE (tenant_id, kind, value, finding_id) IN
        (SELECT tenant_id, kind, value, finding_id FROM finding_key WHERE seen_ns < ?1 LIMIT ?2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.prepare_cached(SQL)?.execute((oldest.as_nanos(), limit))?)
}
