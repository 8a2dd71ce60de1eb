//! Opens the database file: one server per folder, known layout only, migrations forward, a clear word on what is wrong.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// The database's file name within the data folder.
pub(crate) const FILE_NAME: &str = "sigyn.db";
/// The file that is locked while a server uses the folder.
const LOCK_NAME: &str = "sigyn.lock";
/// "SGYN" in the file's header: a SQLite file that is not ours is left alone.
const APPLICATION_ID: i32 = 0x5347_594e;
/// Layouts in order; `user_version` counts how many are applied. Only ever appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_init.sql"),
    include_str!("../../migrations/0002_window_severity.sql"),
    include_str!("../../migrations/0003_detect.sql"),
    include_str!("../../migrations/0004_context.sql"),
    include_str!("../../migrations/0005_analysis_bounds.sql"),
    include_str!("../../migrations/0006_incident.sql"),
    include_str!("../../migrations/0007_alert.sql"),
];

/// Fixed when the file is made. Pushes are a few KB to a few hundred KB, so pages larger than SQLite's 4096 save work.
pub(crate) const PAGE_BYTES: u32 = 8_192;
/// Pages in the write-ahead log before they are copied into the database, at most. The log's space is reused, not
/// truncated: rewriting space that exists is several times cheaper than growing a file.
const CHECKPOINT_PAGES: u64 = 2_048;
/// The same on the smallest disks.
const CHECKPOINT_PAGES_MIN: u64 = 64;
/// Page cache of the writer and of each reader, in KiB. Small: the operating system caches the file anyway.
const WRITER_CACHE_KIB: u32 = 2_048;
const READER_CACHE_KIB: u32 = 1_024;
/// How long to wait for a lock of another process (a backup command).
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be made or used.
    #[error("cannot use '{}': {cause}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Another process has the folder open.
    #[error("another server is using '{}'; stop it or choose another data folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A later version wrote the database.
    #[error(
        "'{}' has layout {found}, this version knows up to {known}; use the newer version or another data folder",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The latest known one.
        known: usize,
    },
    /// A SQLite database of another program.
    #[error("'{}' is a database of another program; choose another data folder", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a database or its content is broken.
    #[error(
        "'{}' is damaged ({cause}); restore a backup or move the file aside to start with an empty one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was noticed.
        cause: String,
    },
    /// Any other failure.
    #[error("cannot open '{}': {cause}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
}

/// The lock on a data folder; released when dropped, also by a crash.
pub(crate) struct FolderLock(#[expect(dead_code, reason = "held open for its lock")] File);

/// Makes the folder if needed and locks it.
pub(crate) fn lock_folder(folder: &Path) -> Result<FolderLock, OpenError> {
    let failed = |path: &Path, cause| OpenError::Folder { path: path.to_owned(), cause };
    private_folder().create(folder).map_err(|cause| failed(folder, cause))?;
    let path = folder.join(LOCK_NAME);
    let file = private_file().open(&path).map_err(|cause| failed(&path, cause))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(failed(&path, cause)),
    }
}

/// Opens the database for writing, makes it when there is none, and brings its layout up to date. The log is copied into
/// the database when it is about `log_bytes` long.
pub(crate) fn writer(path: &Path, log_bytes: u64) -> Result<Connection, OpenError> {
    // Made here, not by SQLite, so that nobody else may read it; the log files inherit its mode.
    private_file().open(path).map_err(|cause| OpenError::Folder { path: path.to_owned(), cause })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).map_err(|error| explain(path, &error))?;
    prepare(path, opened, log_bytes)
}

/// Opens a read-only connection to an existing database.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "cache_size", -i64::from(READER_CACHE_KIB))?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

/// Whether a database has the layout that this version reads.
pub(crate) fn check_layout(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let sql = |error: rusqlite::Error| explain(path, &error);
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql)?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sql)?;
    let (path, known) = (path.to_owned(), MIGRATIONS.len());
    match usize::try_from(version).unwrap_or(usize::MAX).cmp(&known) {
        _ if application != APPLICATION_ID => Err(OpenError::NotOurs { path }),
        std::cmp::Ordering::Greater => Err(OpenError::Newer { path, found: version, known }),
        std::cmp::Ordering::Less => {
            let cause = format!("it has layout {version}; start this version's server on it once");
            Err(OpenError::Failed { path, cause })
        }
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// Says what an error while opening means for the operator.
pub(crate) fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, cause) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, cause },
        _ => OpenError::Failed { path, cause },
    }
}

fn prepare(path: &Path, mut conn: Connection, log_bytes: u64) -> Result<Connection, OpenError> {
    let sql = |error: rusqlite::Error| explain(path, &error);
    conn.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql)?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sql)?;
    let tables: i64 =
        conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    let is_new = version == 0 && application == 0 && tables == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(OpenError::NotOurs { path: path.to_owned() });
    }
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied > MIGRATIONS.len() {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known: MIGRATIONS.len() });
    }
    if is_new {
        // Both only take effect before the first table.
        conn.pragma_update(None, "page_size", PAGE_BYTES).map_err(sql)?;
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(sql)?;
    }
    configure(&conn, log_bytes).map_err(sql)?;
    migrate(&mut conn, applied).map_err(sql)?;
    Ok(conn)
}

fn configure(conn: &Connection, log_bytes: u64) -> rusqlite::Result<()> {
    let pages = (log_bytes / u64::from(PAGE_BYTES)).clamp(CHECKPOINT_PAGES_MIN, CHECKPOINT_PAGES);
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", pages.cast_signed())?;
    conn.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // Deleting and inserting statements of all aggregates together.
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(conn: &mut Connection, applied: usize) -> rusqlite::Result<()> {
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(applied) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", at as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_is_private_and_can_shrink() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("data");
        let _lock = lock_folder(&inside).unwrap();
        let conn = writer(&inside.join(FILE_NAME), 0).unwrap();
        let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((number("auto_vacuum"), number("page_size"), number("synchronous")), (2, 8_192, 2));
        assert_eq!(number("user_version"), MIGRATIONS.len() as i64);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&inside), 0o700);
            assert_eq!(mode(&inside.join(FILE_NAME)), 0o600);
            assert_eq!(mode(&inside.join("sigyn.db-wal")), 0o600);
        }
    }

    #[test]
    fn one_folder_serves_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let lock = lock_folder(folder.path()).unwrap();
        assert!(matches!(lock_folder(folder.path()), Err(OpenError::InUse { .. })));
        drop(lock);
        assert!(lock_folder(folder.path()).is_ok());
    }

    #[test]
    fn a_newer_layout_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        writer(&path, 0).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let message = writer(&path, 0).unwrap_err().to_string();
        let expected = format!("has layout 99, this version knows up to {}", MIGRATIONS.len());
        assert!(message.contains(&expected), "{message}");
    }

    #[test]
    fn a_file_that_is_no_database_is_named_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, "certainly not a database".repeat(100)).unwrap();
        let message = writer(&path, 0).unwrap_err().to_string();
        assert!(
            message.contains("sigyn.db' is damaged") && message.contains("restore a backup"),
            "{message}"
        );
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(writer(&path, 0), Err(OpenError::NotOurs { .. })));
    }
}
