//! Normals: what people have declared normal, and how much each has hidden.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Row, types::Type};
use serde::{Deserialize, Serialize};

use crate::{
    model::{FindingId, Normal, Severity, Timestamp},
    store::{Connection, StoreError, Transaction, finding::uuid_at},
};

/// Normals of a tenant at most: each is asked about each finding.
pub const NORMALS_MAX: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Doc {
    selector: String,
    patterns: BTreeSet<String>,
    source_ips: BTreeSet<String>,
    users: BTreeSet<String>,
    note: Option<String>,
}

const COLUMNS: &str =
    "id, finding_id, severity, created_ns, expires_ns, hidden, last_hidden_ns, doc, tenant_id";

/// A new normal's id.
pub fn new_id(now: Timestamp) -> String {
    uuid_at(now)
}

/// Adds a normal; says whether there was room.
pub fn add(tx: &Transaction<'_>, tenant: i64, normal: &Normal) -> Result<bool, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM normal WHERE tenant_id = ?1";
    const SQL: &str = "INSERT INTO normal (id, tenant_id, finding_id, severity, created_ns, expires_ns, doc)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let known = tx.prepare_cached(COUNT)?.query_row([tenant], |row| row.get::<_, i64>(0))?;
    if usize::try_from(known).is_ok_and(|known| known >= NORMALS_MAX) {
        return Ok(false);
    }
    let doc = Doc {
        selector: normal.selector.clone(),
        patterns: normal.patterns.clone(),
        source_ips: normal.source_ips.clone(),
        users: normal.users.clone(),
        note: normal.note.clone(),
    };
    let doc = serde_json::to_string(&doc)
        .map_err(|error| StoreError::Damaged { what: "normal", cause: error.to_string() })?;
    tx.prepare_cached(SQL)?.execute((
        &normal.id,
        tenant,
        &normal.finding.0,
        normal.severity.rank(),
        normal.created_at.as_nanos(),
        normal.expires_at.map(Timestamp::as_nanos),
        doc,
    ))?;
    Ok(true)
}

/// The normals of a tenant, newest first; those that have expired, too: they say what they hid.
pub fn list(conn: &Connection, tenant: i64) -> Result<Vec<Normal>, StoreError> {
    // Walks the index normal_tenant backwards.
    let sql = format!("SELECT {COLUMNS} FROM normal WHERE tenant_id = ?1 ORDER BY created_ns DESC, id DESC");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([tenant], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every normal with its tenant's number.
pub fn all(conn: &Connection) -> Result<Vec<(i64, Normal)>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM normal ORDER BY created_ns, id");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(8)?, from_row(row)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes a normal; says whether there was one.
pub fn remove(tx: &Transaction<'_>, tenant: i64, id: &str) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM normal WHERE id = ?1 AND tenant_id = ?2";
    Ok(tx.prepare_cached(SQL)?.execute((id, tenant))? > 0)
}

/// What one window had hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// By which normal.
    pub normal: String,
    /// The window's group.
    pub group: String,
    /// The window's first block.
    pub first_seq: u64,
    /// How many findings.
    pub findings: u64,
}

/// Counts what a window had hidden. The windows of a group come in order; one written again counts only what is more
/// than before, and an older one nothing.
pub fn book_hidden(tx: &Transaction<'_>, hidden: &Hidden, now: Timestamp) -> Result<(), StoreError> {
    const KNOWN: &str = "SELECT first_seq, findings FROM normal_hit WHERE normal_id = ?1 AND grp = ?2";
    const HIT: &str = "INSERT OR REPLACE INTO normal_hit (normal_id, grp, first_seq, findings)
        SELECT id, ?2, ?3, ?4 FROM normal WHERE id = ?1";
    const ADD: &str = "UPDATE normal SET hidden = hidden + ?2, last_hidden_ns = ?3 WHERE id = ?1";
    let known = tx
        .prepare_cached(KNOWN)?
        .query_row((&hidden.normal, &hidden.group), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (seq, findings) = (hidden.first_seq.cast_signed(), hidden.findings.cast_signed());
    let more = match known {
        Some((known_seq, _)) if seq < known_seq => 0,
        Some((known_seq, counted)) if seq == known_seq => findings.saturating_sub(counted),
        _ => findings,
    };
    if more > 0 {
        tx.prepare_cached(HIT)?.execute((&hidden.normal, &hidden.group, seq, findings))?;
        tx.prepare_cached(ADD)?.execute((&hidden.normal, more, now.as_nanos()))?;
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Normal> {
    let doc: Doc = serde_json::from_str(&row.get::<_, String>(7)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(7, Type::Text, error.into()))?;
    let time = |at: usize| row.get::<_, Option<i64>>(at).map(|at| at.map(Timestamp::from_nanos));
    Ok(Normal {
        id: row.get(0)?,
        finding: FindingId(row.get(1)?),
        severity: Severity::from_rank(row.get(2)?),
        created_at: Timestamp::from_nanos(row.get(3)?),
        expires_at: time(4)?,
        hidden: row.get::<_, i64>(5)?.unsigned_abs(),
        last_hidden_at: time(6)?,
        selector: doc.selector,
        patterns: doc.patterns,
        source_ips: doc.source_ips,
        users: doc.users,
        note: doc.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, START};

    fn normal(id: &str) -> Normal {
        Normal {
            id: id.to_owned(),
            finding: FindingId("f".to_owned()),
            selector: "{}".to_owned(),
            patterns: BTreeSet::from(["backup took <qty>".to_owned()]),
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            severity: Severity::Medium,
            note: None,
            created_at: START,
            expires_at: None,
            hidden: 0,
            last_hidden_at: None,
        }
    }

    #[test]
    fn what_a_window_hid_counts_once() {
        let store = testing::store();
        store.write_blocking(|tx| add(tx, 1, &normal("n"))).unwrap();
        let hide = |group: &'static str, first_seq, findings| {
            let hidden = Hidden { normal: "n".to_owned(), group: group.to_owned(), first_seq, findings };
            store.write_blocking(move |tx| book_hidden(tx, &hidden, START)).unwrap();
            store.read_blocking(|conn| list(conn, 1)).unwrap()[0].hidden
        };
        assert_eq!(hide("a", 5, 1), 1);
        assert_eq!(hide("a", 5, 1), 1, "the same window again");
        assert_eq!(hide("a", 5, 3), 3, "the same window with more in it");
        assert_eq!(hide("b", 5, 1), 4, "another group");
        assert_eq!(hide("a", 9, 1), 5, "the next window");
        assert_eq!(hide("a", 5, 3), 5, "an old window");
        assert!(store.write_blocking(|tx| remove(tx, 1, "n")).unwrap());
        assert!(!store.write_blocking(|tx| remove(tx, 1, "n")).unwrap());
        let gone = Hidden { normal: "n".to_owned(), group: "a".to_owned(), first_seq: 10, findings: 1 };
        store.write_blocking(move |tx| book_hidden(tx, &gone, START)).unwrap();
        assert_eq!(store.read_blocking(|conn| list(conn, 1)).unwrap(), []);
    }

    #[test]
    fn another_tenant_neither_sees_nor_removes_it() {
        let store = testing::store();
        store.write_blocking(|tx| add(tx, 1, &normal("n"))).unwrap();
        assert_eq!(store.read_blocking(|conn| list(conn, 2)).unwrap(), []);
        assert!(!store.write_blocking(|tx| remove(tx, 2, "n")).unwrap());
        assert_eq!(store.read_blocking(all).unwrap(), [(1, normal("n"))]);
    }
}
