//! Space kept back on the disk, so that a full one can be dealt with: deleting from a database needs room too.
//!
//! The reserve is a file of real blocks that holds nothing. When the disk is full it is removed, the log is copied
//! into the database and old lines are shed in the space it leaves; when there is room again it is made anew. It also
//! says how much of the file system is free, where the system tells.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::store::open::private_file;

/// The reserve's file name within the data folder.
const NAME: &str = "reserve";
/// Its size on all but small disks: twice what the write-ahead log grows to.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Its size on the smallest disks: some hundred pages of the database, enough to delete a few rows.
const BYTES_MIN: u64 = 1024 * 1024;
/// Part of the file system that it takes where that is less.
const SHARE: u64 = 16;

/// The reserve of a data folder. Belongs to the writer thread.
pub(crate) struct Reserve {
    folder: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve of `folder`, sized to its file system; makes no file yet.
    pub(crate) fn new(folder: &Path) -> Self {
        let bytes =
            space(folder).map_or(BYTES_MAX, |space| (space.total / SHARE).clamp(BYTES_MIN, BYTES_MAX));
        Reserve { folder: folder.to_owned(), bytes }
    }

    /// Its size when held.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Room that pushes must leave to the engines, whose writes let old lines be shed at all.
    pub(crate) fn margin(&self) -> u64 {
        self.bytes / 4
    }

    /// What is free on the file system; `None` where the system does not tell.
    pub(crate) fn free(&self) -> Option<u64> {
        space(&self.folder).map(|space| space.free)
    }

    /// Whether the file is there in full.
    pub(crate) fn is_held(&self) -> bool {
        self.path().metadata().is_ok_and(|file| file.len() >= self.bytes)
    }

    /// Gives the space free.
    pub(crate) fn release(&self) {
        match std::fs::remove_file(self.path()) {
            Ok(()) => tracing::warn!(bytes = self.bytes, "disk is full, using the space kept in reserve"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "cannot release the disk space kept in reserve"),
        }
    }

    /// Takes the space again if as much stays free.
    pub(crate) fn hold(&self) {
        let needed = self.bytes.saturating_mul(2);
        if self.is_held() || self.free().is_some_and(|free| free < needed) {
            return;
        }
        if let Err(error) = private_file().open(self.path()).and_then(|file| fill(&file, self.bytes)) {
            tracing::warn!(%error, bytes = self.bytes, "cannot keep disk space in reserve");
            let _ = std::fs::remove_file(self.path());
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }
}

struct Space {
    total: u64,
    free: u64,
}

#[cfg(unix)]
fn space(folder: &Path) -> Option<Space> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    // Some special file systems say that they have no blocks at all: nothing is known of them.
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    (total > 0).then(|| Space { total, free: stat.f_bavail.saturating_mul(stat.f_frsize) })
}

#[cfg(not(unix))]
fn space(_: &Path) -> Option<Space> {
    None
}

/// Gives the file `bytes` of real blocks.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; 64 * 1024];
    let (mut file, mut left) = (file, bytes);
    while left > 0 {
        let part = zeros.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(&zeros);
        file.write_all(part)?;
        left -= part.len() as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_takes_real_space_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(folder.path());
        assert!((BYTES_MIN..=BYTES_MAX).contains(&reserve.bytes()));
        assert!(!reserve.is_held());
        reserve.hold();
        assert!(reserve.is_held());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let blocks = folder.path().join(NAME).metadata().unwrap().blocks();
            assert!(blocks * 512 >= reserve.bytes(), "{blocks} blocks");
        }
        reserve.release();
        assert!(!reserve.is_held());
        reserve.release();
    }
}
