//! Mined templates: kept so that a restart goes on with what was learnt.

use rusqlite::Row;
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
    /// Lines in committed windows.
    pub count: u64,
    /// First line's time.
    pub first_seen: Timestamp,
    /// Last line's time.
    pub last_seen: Timestamp,
    /// The miner's own state; opaque here.
    #[serde(skip)]
    pub state: Vec<u8>,
}

const COLUMNS: &str = "id, tenant_id, text, sample, count, first_ns, last_ns, state";

/// Inserts templates without lines, or replaces their text and state. Lines are counted by [`add_counts`] only: the miner
/// has also seen lines that are not committed yet, and will see those again after a crash.
pub fn put(tx: &Transaction<'_>, templates: &[TemplateRow]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO template (id, tenant_id, text, sample, count, first_ns, last_ns, state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (id) DO UPDATE SET tenant_id = excluded.tenant_id, text = excluded.text,
            sample = excluded.sample, first_ns = MIN(first_ns, excluded.first_ns), state = excluded.state";
    let mut statement = tx.prepare_cached(SQL)?;
    for template in templates {
        statement.execute(rusqlite::params![
            template.id.0.cast_signed(),
            template.tenant,
            template.text,
            template.sample,
            0,
            template.first_seen.as_nanos(),
            template.first_seen.as_nanos(),
            template.state,
        ])?;
    }
    Ok(())
}

/// Counts the lines of committed windows: by template how many, and the time of the last. Unknown templates are passed over.
pub fn add_counts(tx: &Transaction<'_>, counts: &[(TemplateId, u64, Timestamp)]) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE template SET count = count + ?2, last_ns = MAX(last_ns, ?3) WHERE id = ?1";
    let mut statement = tx.prepare_cached(SQL)?;
    for (id, lines, last) in counts {
        statement.execute((id.0.cast_signed(), lines.cast_signed(), last.as_nanos()))?;
    }
    Ok(())
}

/// Moves the lines counted for templates to those they were merged into; the former are left without lines.
pub fn move_counts(tx: &Transaction<'_>, merged: &[(TemplateId, TemplateId)]) -> Result<(), StoreError> {
    const MOVE: &str = "UPDATE template SET count = template.count + other.count,
            first_ns = MIN(template.first_ns, other.first_ns), last_ns = MAX(template.last_ns, other.last_ns)
        FROM (SELECT count, first_ns, last_ns FROM template WHERE id = ?1) AS other WHERE template.id = ?2";
    let mut add = tx.prepare_cached(MOVE)?;
    let mut clear = tx.prepare_cached("UPDATE template SET count = 0 WHERE id = ?1")?;
    for (from, into) in merged {
        add.execute((from.0.cast_signed(), into.0.cast_signed()))?;
        clear.execute([from.0.cast_signed()])?;
    }
    Ok(())
}

/// Removes templates the miner has evicted.
pub fn remove(tx: &Transaction<'_>, ids: &[TemplateId]) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached("DELETE FROM template WHERE id = ?1")?;
    for id in ids {
        statement.execute([id.0.cast_signed()])?;
    }
    Ok(())
}

/// Every template of every tenant, for the miner at start.
pub fn all(conn: &Connection) -> Result<Vec<TemplateRow>, StoreError> {
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM template ORDER BY id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Templates of a tenant, most lines first, after the given (count, id) cursor.
pub fn list(
    conn: &Connection,
    tenant: i64,
    text: Option<&str>,
    before: Option<(u64, TemplateId)>,
    limit: usize,
) -> Result<Vec<TemplateRow>, StoreError> {
    // Walks the index template_frequent backwards.
    let sql = format!(
        "SELECT {COLUMNS} FROM template
         WHERE tenant_id = ?1 AND count > 0 AND (?2 IS NULL OR instr(lower(text), lower(?2)) > 0)
           AND (?3 IS NULL OR (count, id) < (?3, ?4))
         ORDER BY count DESC, id DESC LIMIT ?5"
    );
    let (count, id) = before.map(|(count, id)| (count.cast_signed(), id.0.cast_signed())).unzip();
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((tenant, text, count, id, limit), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<TemplateRow> {
    Ok(TemplateRow {
        id: TemplateId(row.get::<_, i64>(0)?.cast_unsigned()),
        tenant: row.get(1)?,
        text: row.get(2)?,
        sample: row.get(3)?,
        count: row.get::<_, i64>(4)?.cast_unsigned(),
        first_seen: Timestamp::from_nanos(row.get(5)?),
        last_seen: Timestamp::from_nanos(row.get(6)?),
        state: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn row(id: u64, count: u64, text: &str) -> TemplateRow {
        TemplateRow {
            id: TemplateId(id),
            tenant: 1,
            text: text.into(),
            sample: format!("sample of {id}"),
            count,
            first_seen: Timestamp::from_secs(1),
            last_seen: Timestamp::from_secs(2),
            state: vec![1, 2],
        }
    }

    fn written_with_counts(tx: &Transaction<'_>, rows: &[TemplateRow]) -> Result<(), StoreError> {
        put(tx, rows)?;
        let counts: Vec<_> = rows.iter().map(|row| (row.id, row.count, row.last_seen)).collect();
        add_counts(tx, &counts)
    }

    #[test]
    fn pages_go_from_many_lines_to_few() {
        let store = testing::store();
        let rows = [row(u64::MAX, 5, "Failed password"), row(2, 9, "session opened"), row(3, 5, "failed su")];
        let written = rows.clone();
        store.write_blocking(move |tx| written_with_counts(tx, &written)).unwrap();
        let list = |text: Option<&'static str>, before, limit| {
            let found = store.read_blocking(|conn| list(conn, 1, text, before, limit)).unwrap();
            found.into_iter().map(|row| row.id.0).collect::<Vec<_>>()
        };
        assert_eq!(list(None, None, 2), [2, 3]);
        assert_eq!(list(None, Some((5, TemplateId(3))), 2), [u64::MAX]);
        assert_eq!(list(Some("FAILED"), None, 9), [3, u64::MAX]);
        assert!(store.read_blocking(|conn| super::list(conn, 2, None, None, 9)).unwrap().is_empty());
    }

    #[test]
    fn a_template_is_replaced_and_removed_by_id_and_its_lines_are_only_added_to() {
        let store = testing::store();
        store.write_blocking(|tx| written_with_counts(tx, &[row(1, 4, "a"), row(2, 1, "b")])).unwrap();
        store.write_blocking(|tx| put(tx, &[row(1, 99, "c")])).unwrap();
        let later = Timestamp::from_secs(9);
        store
            .write_blocking(move |tx| add_counts(tx, &[(TemplateId(1), 3, later), (TemplateId(7), 3, later)]))
            .unwrap();
        store.write_blocking(|tx| remove(tx, &[TemplateId(2)])).unwrap();
        let expected = TemplateRow { last_seen: later, ..row(1, 7, "c") };
        assert_eq!(store.read_blocking(all).unwrap(), [expected]);
    }

    #[test]
    fn a_merged_template_takes_its_lines_along() {
        let store = testing::store();
        let (mut old, new) = (row(2, 5, "b"), row(1, 4, "a"));
        (old.first_seen, old.last_seen) = (Timestamp::from_secs(0), Timestamp::from_secs(8));
        store.write_blocking(move |tx| written_with_counts(tx, &[new, old])).unwrap();
        let merged = [(TemplateId(2), TemplateId(1))];
        store.write_blocking(move |tx| move_counts(tx, &merged)).unwrap();
        store.write_blocking(move |tx| move_counts(tx, &merged)).unwrap();
        let rows = store.read_blocking(all).unwrap();
        assert_eq!((rows[0].count, rows[1].count), (9, 0), "the second time there is nothing left to move");
        assert_eq!(
            (rows[0].first_seen, rows[0].last_seen),
            (Timestamp::from_secs(0), Timestamp::from_secs(8))
        );
        let listed = store.read_blocking(|conn| list(conn, 1, None, None, 9)).unwrap();
        assert_eq!(listed.len(), 1, "templates without lines are not shown");
    }
}
