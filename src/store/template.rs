//! Mined templates: kept so that a restart goes on with what was learnt.

use std::collections::BTreeSet;

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
            first_ns = MIN(template.first_ns, other.first_ns), last_ns = MAX(template.last_ns, other.last_ns),
            is_flagged = MAX(template.is_flagged, other.is_flagged)
        FROM (SELECT count, first_ns, last_ns, is_flagged FROM template WHERE id = ?1) AS other
        WHERE template.id = ?2";
    let mut add = tx.prepare_cached(MOVE)?;
    let mut clear = tx.prepare_cached("UPDATE template SET count = 0 WHERE id = ?1")?;
    for (from, into) in merged {
        add.execute((from.0.cast_signed(), into.0.cast_signed()))?;
        clear.execute([from.0.cast_signed()])?;
    }
    Ok(())
}

/// Counts a committed window, at the server's time `now`, for each template in it, and marks those of which a rule or a
/// finding spoke.
pub fn count_windows(
    tx: &Transaction<'_>,
    templates: &[(TemplateId, bool)],
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str =
        "UPDATE template SET windows = windows + 1, days = days + (last_day < ?2), last_day = ?2,
        is_flagged = MAX(is_flagged, ?3) WHERE id = ?1";
    let day = now.as_secs().div_euclid(86_400);
    let mut statement = tx.prepare_cached(SQL)?;
    for (id, is_flagged) in templates {
        statement.execute((id.0.cast_signed(), day, is_flagged))?;
    }
    Ok(())
}

/// Marks a tenant's templates with these texts: a finding spoke of them.
pub fn flag(tx: &Transaction<'_>, tenant: i64, texts: &BTreeSet<String>) -> Result<(), StoreError> {
    if texts.is_empty() {
        return Ok(());
    }
    // Walks the tenant's templates, a few thousand: this happens when the model has found something of its own.
    const SQL: &str = "UPDATE template SET is_flagged = 1
        WHERE tenant_id = ?1 AND is_flagged = 0 AND text IN (SELECT value FROM json_each(?2))";
    let texts = serde_json::to_string(texts)
        .map_err(|error| StoreError::Damaged { what: "template", cause: error.to_string() })?;
    tx.prepare_cached(SQL)?.execute((tenant, texts))?;
    Ok(())
}

/// What makes a template one of daily life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daily {
    /// Windows it was seen in, at least.
    pub windows: u64,
    /// Different days on which it was seen, at least.
    pub days: u64,
}

/// The texts of a tenant's templates that belong to daily life: seen often enough, and never part of a finding.
pub fn daily(conn: &Connection, tenant: i64, daily: Daily) -> Result<BTreeSet<String>, StoreError> {
    // Searches the index template_frequent by tenant: a few thousand rows.
    const SQL: &str = "SELECT text FROM template
        WHERE tenant_id = ?1 AND windows >= ?2 AND days >= ?3 AND is_flagged = 0";
    let mut statement = conn.prepare_cached(SQL)?;
    let least = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let rows = statement.query_map((tenant, least(daily.windows), least(daily.days)), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
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

    fn day(n: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000).plus(std::time::Duration::from_secs(n * 86_400))
    }

    fn daily_texts(store: &testing::TestStore) -> Vec<String> {
        let often = Daily { windows: 3, days: 2 };
        store.read_blocking(|conn| daily(conn, 1, often)).unwrap().into_iter().collect()
    }

    #[test]
    fn what_comes_often_on_several_days_and_never_in_a_finding_is_daily_life() {
        let store = testing::store();
        store
            .write_blocking(|tx| put(tx, &[row(1, 0, "often"), row(2, 0, "one day"), row(3, 0, "bad")]))
            .unwrap();
        for n in 0..4 {
            let seen = [(TemplateId(1), false, n / 2), (TemplateId(2), false, 0), (TemplateId(3), n == 0, n)];
            for (id, is_flagged, on) in seen {
                store.write_blocking(move |tx| count_windows(tx, &[(id, is_flagged)], day(on))).unwrap();
            }
        }
        assert_eq!(daily_texts(&store), ["often"]);
        store.write_blocking(|tx| put(tx, &[row(1, 0, "often <*>")])).unwrap();
        assert_eq!(daily_texts(&store), ["often <*>"], "a wider text is still the same template");
        store.write_blocking(|tx| flag(tx, 1, &BTreeSet::from(["often <*>".to_owned()]))).unwrap();
        assert_eq!(daily_texts(&store), [] as [&str; 0]);
    }

    #[test]
    fn a_template_that_takes_in_one_of_a_finding_is_not_daily_life() {
        let store = testing::store();
        store.write_blocking(|tx| put(tx, &[row(1, 0, "a <*>"), row(2, 0, "a b")])).unwrap();
        for n in 0..4 {
            store.write_blocking(move |tx| count_windows(tx, &[(TemplateId(1), false)], day(n))).unwrap();
        }
        store.write_blocking(|tx| count_windows(tx, &[(TemplateId(2), true)], day(9))).unwrap();
        assert_eq!(daily_texts(&store), ["a <*>"]);
        store.write_blocking(|tx| move_counts(tx, &[(TemplateId(2), TemplateId(1))])).unwrap();
        assert_eq!(daily_texts(&store), [] as [&str; 0]);
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
