//! Online backup: a consistent copy of one moment, taken while the server goes on writing.
//!
//! The copy is made beside the target under a temporary name and renamed at the end, so that a target which exists is
//! always whole. The source is held at one moment by a read transaction; otherwise every commit would start it over.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};

use super::open;

/// Pages copied between two reports of progress.
const STEP_PAGES: i32 = 512;

/// A backup failed; nothing is left behind under the target's name.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file already.
    #[error("'{}' exists already; choose another name", .0.display())]
    Exists(PathBuf),
    /// There is no database to copy.
    #[error("there is no database at '{}'", .0.display())]
    Missing(PathBuf),
    /// The target cannot be written.
    #[error("cannot write '{}': {cause}", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Copying failed.
    #[error("the copy failed: {0}")]
    Copy(#[from] rusqlite::Error),
}

/// Copies the database in `data_dir`, whether or not a server uses it, to `target`; reports (done, total) pages.
pub fn backup(data_dir: &Path, target: &Path, progress: impl FnMut(u64, u64)) -> Result<(), BackupError> {
    copy(&data_dir.join(open::FILE_NAME), target, progress)
}

pub(super) fn copy(source: &Path, target: &Path, progress: impl FnMut(u64, u64)) -> Result<(), BackupError> {
    if !source.exists() {
        return Err(BackupError::Missing(source.to_owned()));
    }
    if target.exists() {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let finished = copy_pages(source, &partial, progress).and_then(|()| publish(&partial, target));
    if finished.is_err() {
        // What could not be finished is of no use; the error that matters is the first one.
        let _ = std::fs::remove_file(&partial);
    }
    finished
}

fn copy_pages(source: &Path, partial: &Path, mut progress: impl FnMut(u64, u64)) -> Result<(), BackupError> {
    let failed = |cause| BackupError::Target { path: partial.to_owned(), cause };
    open::private_file().truncate(true).open(partial).map_err(failed)?;
    let source = open::reader(source)?;
    let snapshot = source.unchecked_transaction()?;
    // A transaction begins with its first read.
    snapshot.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut target = Connection::open(partial)?;
    let backup = Backup::new(&snapshot, &mut target)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let state = backup.progress();
        let total = u64::try_from(state.pagecount).unwrap_or(0);
        progress(total.saturating_sub(u64::try_from(state.remaining).unwrap_or(0)), total);
        match step {
            StepResult::Done => return Ok(()),
            // `Busy` and `Locked` pass: nobody else writes to the copy.
            _ => continue,
        }
    }
}

fn publish(partial: &Path, target: &Path) -> Result<(), BackupError> {
    let failed = |cause| BackupError::Target { path: target.to_owned(), cause };
    OpenOptions::new().write(true).open(partial).and_then(|file| file.sync_all()).map_err(failed)?;
    // A link, unlike a rename, does not replace a file that has appeared meanwhile.
    std::fs::hard_link(partial, target).map_err(failed)?;
    std::fs::remove_file(partial).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        block,
        testing::{self, push},
    };

    #[tokio::test]
    async fn a_backup_is_whole_and_never_replaces_a_file() {
        let store = testing::store();
        store.append(push(&store, 1, &[(1, 1, b"before")])).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("copy.db");
        let mut last = (0, 0);
        store.backup(&target, |done, total| last = (done, total)).unwrap();
        assert!(last.0 > 0 && last.0 == last.1, "{last:?}");
        store.append(push(&store, 2, &[(1, 2, b"after")])).await.unwrap();
        let copy = open::writer(&target, 0).unwrap();
        let blocks = block::read_after(&copy, 0, usize::MAX).unwrap();
        assert_eq!(blocks.iter().flat_map(|b| b.iter().map(|e| e.line)).collect::<Vec<_>>(), [b"before"]);
        let again = backup(&store.settings.data_dir, &target, |_, _| {});
        assert!(matches!(again, Err(BackupError::Exists(_))));
        assert!(matches!(backup(folder.path(), &target, |_, _| {}), Err(BackupError::Missing(_))));
        assert_eq!(
            std::fs::read_dir(folder.path())
                .unwrap()
                .filter(|f| { f.as_ref().unwrap().file_name().to_string_lossy().ends_with("partial") })
                .count(),
            0
        );
    }
}
