//! Windows: what was analysed, with what, and what became of it.

use rusqlite::{OptionalExtension, Row, types::Type};

use crate::{
    model::{ModelUse, Severity, TenantId, Timestamp, WindowId, WindowRecord, WindowState},
    store::{Connection, StoreError, Transaction},
};

/// A window as the analysis writes it. Written twice under one (tenant, group, first block), it stays one row.
#[derive(Clone, Debug)]
pub struct WindowDraft {
    /// The tenant's number.
    pub tenant: i64,
    /// The group.
    pub group: String,
    /// The first block it has lines of; with tenant and group the window's identity across restarts.
    pub first_seq: u64,
    /// First line's time.
    pub from: Timestamp,
    /// Last line's time.
    pub to: Timestamp,
    /// When it was closed.
    pub closed: Timestamp,
    /// Lines.
    pub lines: u64,
    /// Lines that rules or detectors pointed at.
    pub suspicious: u64,
    /// Distinct templates.
    pub templates: u64,
    /// That of its gravest finding; `info` without one.
    pub severity: Severity,
    /// Its state.
    pub state: WindowState,
    /// For `Pending`: what the model is shown and what its references mean; opaque here.
    pub exhibit: Option<Vec<u8>>,
}

/// Level of the compression of exhibits: text that is written once and mostly read once.
const EXHIBIT_LEVEL: i32 = 3;
/// Largest exhibit that is written, and that a stored length is believed.
const EXHIBIT_MAX: usize = 64 * 1024 * 1024;

/// Inserts or replaces a window. Its tries and when it is due are kept.
pub fn put(tx: &Transaction<'_>, window: &WindowDraft) -> Result<WindowId, StoreError> {
    // Finds the row by the index of UNIQUE (tenant_id, grp, first_seq).
    const SQL: &str = "INSERT INTO window (tenant_id, grp, first_seq, from_ns, to_ns, closed_ns, lines, suspicious,
            templates, state, exhibit, severity) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
        ON CONFLICT (tenant_id, grp, first_seq) DO UPDATE SET from_ns = excluded.from_ns, to_ns = excluded.to_ns,
            closed_ns = excluded.closed_ns, lines = excluded.lines, suspicious = excluded.suspicious,
            templates = excluded.templates, state = excluded.state, exhibit = excluded.exhibit,
            severity = excluded.severity
        RETURNING id";
    let exhibit = window.exhibit.as_deref().map(pack).transpose()?;
    let id = tx.prepare_cached(SQL)?.query_row(
        rusqlite::params![
            window.tenant,
            window.group,
            window.first_seq.cast_signed(),
            window.from.as_nanos(),
            window.to.as_nanos(),
            window.closed.as_nanos(),
            window.lines.cast_signed(),
            window.suspicious.cast_signed(),
            window.templates.cast_signed(),
            window.state.as_str(),
            exhibit,
            window.severity.rank(),
        ],
        |row| row.get(0),
    )?;
    Ok(WindowId(id))
}

/// A window that waits for the model.
pub struct Pending {
    /// Identity.
    pub id: WindowId,
    /// The window as written.
    pub window: WindowDraft,
    /// Tries so far.
    pub attempts: u32,
}

/// Of the pending windows that are due at `now` the gravest, and of those the newest: where not all can be asked about,
/// what is old and slight is left over.
pub fn next_pending(conn: &Connection, now: Timestamp) -> Result<Option<Pending>, StoreError> {
    // Walks the partial index window_first.
    const SQL: &str =
        "SELECT id, tenant_id, grp, first_seq, from_ns, to_ns, closed_ns, lines, suspicious, templates,
            attempts, exhibit, severity FROM window
        WHERE state = 'pending' AND due_ns <= ?1 ORDER BY severity DESC, id DESC LIMIT 1";
    let mut statement = conn.prepare_cached(SQL)?;
    let found = statement.query_row([now.as_nanos()], |row| {
        let window = WindowDraft {
            tenant: row.get(1)?,
            group: row.get(2)?,
            first_seq: unsigned(row, 3)?,
            from: time(row, 4)?,
            to: time(row, 5)?,
            closed: time(row, 6)?,
            lines: unsigned(row, 7)?,
            suspicious: unsigned(row, 8)?,
            templates: unsigned(row, 9)?,
            severity: Severity::from_rank(row.get(12)?),
            state: WindowState::Pending,
            exhibit: row.get(11)?,
        };
        Ok(Pending { id: WindowId(row.get(0)?), window, attempts: row.get(10)? })
    });
    let Some(mut pending) = found.optional()? else { return Ok(None) };
    pending.window.exhibit = pending.window.exhibit.as_deref().map(unpack).transpose()?;
    Ok(Some(pending))
}

/// When the next pending window is due, if there is one.
pub fn next_due(conn: &Connection) -> Result<Option<Timestamp>, StoreError> {
    // Walks the partial index window_pending.
    const SQL: &str = "SELECT due_ns FROM window WHERE state = 'pending' ORDER BY due_ns LIMIT 1";
    Ok(conn.prepare_cached(SQL)?.query_row([], |row| time(row, 0)).optional()?)
}

/// A pending window that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Identity.
    pub id: WindowId,
    /// The tenant's number.
    pub tenant: i64,
    /// Tries so far.
    pub attempts: u32,
}

/// Pending windows to be given up: those closed before `oldest`, and the slightest, oldest beyond `keep`. At most `limit`.
pub fn overdue(
    conn: &Connection,
    oldest: Timestamp,
    keep: usize,
    limit: usize,
) -> Result<Vec<Overdue>, StoreError> {
    // Walks the partial index window_first; no more than `keep` and a few windows are pending.
    const SQL: &str = "SELECT id, tenant_id, attempts FROM
            (SELECT id, tenant_id, attempts, closed_ns,
                ROW_NUMBER() OVER (ORDER BY severity DESC, id DESC) AS place FROM window WHERE state = 'pending')
        WHERE closed_ns < ?1 OR place > ?2 LIMIT ?3";
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map((oldest.as_nanos(), count(keep), count(limit)), |row| {
        Ok(Overdue { id: WindowId(row.get(0)?), tenant: row.get(1)?, attempts: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts a pending window off after a failed try.
pub fn postpone(tx: &Transaction<'_>, id: WindowId, due: Timestamp, error: &str) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE window SET due_ns = ?2, error = ?3, attempts = attempts + 1
        WHERE id = ?1 AND state = 'pending'";
    tx.prepare_cached(SQL)?.execute((id.0, due.as_nanos(), error))?;
    Ok(())
}

/// Ends a pending window. What the model was shown is no longer kept.
pub fn finish(
    tx: &Transaction<'_>,
    id: WindowId,
    state: WindowState,
    error: Option<&str>,
    used: Option<&ModelUse>,
) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE window SET state = ?2, error = ?3, model = ?4, exhibit = NULL WHERE id = ?1";
    let used = used.map(serde_json::to_string).transpose().map_err(|error| damaged(&error))?;
    tx.prepare_cached(SQL)?.execute((id.0, state.as_str(), error, used))?;
    Ok(())
}

/// Ends every pending window by the rules' word alone, where no model is configured any more.
pub fn release(tx: &Transaction<'_>) -> Result<usize, StoreError> {
    // Walks the partial index window_pending.
    const SQL: &str = "UPDATE window SET state = ?1, exhibit = NULL WHERE state = 'pending'";
    Ok(tx.prepare_cached(SQL)?.execute([WindowState::RulesOnly.as_str()])?)
}

/// Which windows to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct WindowFilter {
    /// The tenant's number.
    pub tenant: i64,
    /// Closed at or after.
    pub from: Option<Timestamp>,
    /// Closed before.
    pub to: Option<Timestamp>,
    /// Only this group.
    pub group: Option<String>,
    /// Only this state.
    pub state: Option<WindowState>,
    /// Only ids below this one (the page's cursor).
    pub before: Option<WindowId>,
    /// At most so many.
    pub limit: usize,
}

/// Lists windows, newest first.
pub fn list(conn: &Connection, filter: &WindowFilter) -> Result<Vec<WindowRecord>, StoreError> {
    // Walks the primary key backwards: ids are given in order of writing.
    const SQL: &str =
        "SELECT window.id, tenant.name, grp, from_ns, to_ns, closed_ns, lines, suspicious, templates,
            state, error, model
        FROM window JOIN tenant ON tenant.id = tenant_id
        WHERE tenant_id = ?1 AND closed_ns >= ?2 AND closed_ns < ?3 AND (?4 IS NULL OR grp = ?4)
            AND (?5 IS NULL OR state = ?5) AND window.id < ?6
        ORDER BY window.id DESC LIMIT ?7";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map(
        (
            filter.tenant,
            filter.from.unwrap_or(Timestamp::MIN).as_nanos(),
            filter.to.unwrap_or(Timestamp::MAX).as_nanos(),
            &filter.group,
            filter.state.map(WindowState::as_str),
            filter.before.map_or(i64::MAX, |id| id.0),
            i64::try_from(filter.limit).unwrap_or(i64::MAX),
        ),
        record,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<WindowRecord> {
    let text = |at: usize| row.get::<_, String>(at);
    let bad =
        |at: usize, cause: String| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, cause.into());
    let used: Option<String> = row.get(11)?;
    let used = used.map(|json| serde_json::from_str(&json)).transpose();
    Ok(WindowRecord {
        id: WindowId(row.get(0)?),
        tenant: TenantId::parse(&text(1)?).map_err(|error| bad(1, error.to_string()))?,
        group: row.get(2)?,
        from: time(row, 3)?,
        to: time(row, 4)?,
        closed_at: time(row, 5)?,
        lines: unsigned(row, 6)?,
        suspicious: unsigned(row, 7)?,
        templates: unsigned(row, 8)?,
        state: WindowState::parse(&text(9)?).ok_or_else(|| bad(9, "unknown window state".to_owned()))?,
        error: row.get(10)?,
        model: used.map_err(|error| bad(11, error.to_string()))?,
    })
}

fn pack(exhibit: &[u8]) -> Result<Vec<u8>, StoreError> {
    if exhibit.len() > EXHIBIT_MAX {
        return Err(StoreError::TooLarge { bytes: exhibit.len(), limit: EXHIBIT_MAX });
    }
    zstd::bulk::compress(exhibit, EXHIBIT_LEVEL).map_err(|error| damaged(&error))
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let len = zstd::bulk::Decompressor::upper_bound(packed).filter(|len| *len <= EXHIBIT_MAX);
    let len = len.ok_or_else(|| damaged(&"implausible length"))?;
    zstd::bulk::decompress(packed, len).map_err(|error| damaged(&error))
}

fn damaged(cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: "window", cause: cause.to_string() }
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get(at).map(Timestamp::from_nanos)
}

fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, testing};

    fn draft(group: &str, first_seq: u64, state: WindowState) -> WindowDraft {
        WindowDraft {
            tenant: 1,
            group: group.into(),
            first_seq,
            from: Timestamp::from_secs(10),
            to: Timestamp::from_secs(70),
            closed: Timestamp::from_secs(100 + first_seq as i64),
            lines: 1_000,
            suspicious: 3,
            templates: 12,
            severity: Severity::Info,
            state,
            exhibit: (state == WindowState::Pending).then(|| b"shown".repeat(50)),
        }
    }

    fn write(store: &Store, window: WindowDraft) -> WindowId {
        store.write_blocking(move |tx| put(tx, &window)).unwrap()
    }

    fn pending(store: &Store, now: i64) -> Option<Pending> {
        store.read_blocking(|conn| next_pending(conn, Timestamp::from_secs(now))).unwrap()
    }

    #[test]
    fn written_twice_a_window_stays_one() {
        let store = testing::store();
        let first = write(&store, draft("web-1", 5, WindowState::Open));
        let again = write(&store, draft("web-1", 5, WindowState::Quiet));
        assert_eq!(first, again);
        assert_ne!(first, write(&store, draft("web-2", 5, WindowState::Quiet)));
        let filter =
            WindowFilter { tenant: 1, group: Some("web-1".into()), limit: 9, ..WindowFilter::default() };
        let listed = store.read_blocking(|conn| list(conn, &filter)).unwrap();
        assert_eq!(listed.iter().map(|w| (w.id, w.state)).collect::<Vec<_>>(), [(first, WindowState::Quiet)]);
    }

    #[test]
    fn a_postponed_window_comes_back_when_it_is_due() {
        let store = testing::store();
        let id = write(&store, draft("web-1", 5, WindowState::Pending));
        assert_eq!(pending(&store, 0).unwrap().window.exhibit.unwrap(), b"shown".repeat(50));
        store.write_blocking(move |tx| postpone(tx, id, Timestamp::from_secs(50), "timeout")).unwrap();
        assert!(pending(&store, 49).is_none());
        assert_eq!(store.read_blocking(next_due).unwrap(), Some(Timestamp::from_secs(50)));
        assert_eq!(pending(&store, 50).unwrap().attempts, 1);
        let used = ModelUse { model: "m".into(), calls: 2, ..ModelUse::default() };
        let stored = used.clone();
        store.write_blocking(move |tx| finish(tx, id, WindowState::Analysed, None, Some(&stored))).unwrap();
        assert!(pending(&store, i64::MAX / 2_000_000_000).is_none());
        let filter = WindowFilter { tenant: 1, limit: 1, ..WindowFilter::default() };
        let listed = store.read_blocking(|conn| list(conn, &filter)).unwrap();
        assert_eq!((listed[0].state, listed[0].model.as_ref()), (WindowState::Analysed, Some(&used)));
    }

    #[test]
    fn the_gravest_window_is_first_then_the_newest_and_the_rest_is_given_up() {
        let store = testing::store();
        let mut ids = Vec::new();
        for (seq, severity) in
            [(1, Severity::Low), (2, Severity::High), (3, Severity::High), (4, Severity::Info)]
        {
            ids.push(write(&store, WindowDraft { severity, ..draft("g", seq, WindowState::Pending) }));
        }
        write(&store, draft("g", 5, WindowState::Quiet));
        assert_eq!(pending(&store, 0).unwrap().id, ids[2]);
        let given_up = |oldest, keep| {
            let at = Timestamp::from_secs(oldest);
            let found = store.read_blocking(|conn| overdue(conn, at, keep, 10)).unwrap();
            found.into_iter().map(|window| window.id).collect::<Vec<_>>()
        };
        assert_eq!(given_up(0, 4), []);
        assert_eq!(given_up(0, 2), [ids[0], ids[3]], "what is slight is left over");
        assert_eq!(given_up(102, 4), [ids[0]], "closed at 101");
    }

    #[test]
    fn what_the_model_was_shown_is_not_kept_once_the_window_has_ended() {
        let store = testing::store();
        for (seq, state) in
            [(1, WindowState::Analysed), (2, WindowState::Failed), (3, WindowState::OverBudget)]
        {
            let id = write(&store, draft("g", seq, WindowState::Pending));
            store.write_blocking(move |tx| finish(tx, id, state, None, None)).unwrap();
        }
        let kept = |store: &Store| {
            let sql = "SELECT COUNT(*) FROM window WHERE exhibit IS NOT NULL";
            store.read_blocking(|conn| Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))?)).unwrap()
        };
        assert_eq!(kept(&store), 0);
        write(&store, draft("g", 4, WindowState::Pending));
        assert_eq!(kept(&store), 1);
        store.write_blocking(release).unwrap();
        assert_eq!((kept(&store), pending(&store, 0).is_none()), (0, true));
    }

    #[test]
    fn pages_go_backwards_by_id() {
        let store = testing::store();
        let ids: Vec<WindowId> =
            (1..=3).map(|seq| write(&store, draft("g", seq, WindowState::Quiet))).collect();
        let page = |before| {
            let filter = WindowFilter { tenant: 1, before, limit: 2, ..WindowFilter::default() };
            let windows = store.read_blocking(|conn| list(conn, &filter)).unwrap();
            windows.into_iter().map(|window| window.id).collect::<Vec<_>>()
        };
        assert_eq!(page(None), [ids[2], ids[1]]);
        assert_eq!(page(Some(ids[1])), [ids[0]]);
    }
}
