//! A store in a folder of its own for the tests of this module.

use std::{ops::Deref, path::PathBuf, process::Command, time::Duration};

use bytes::Bytes;
use prometheus::Registry;

use crate::{
    model::{Entry, Labels, PushBatch, StreamBatch, TenantId, Timestamp},
    runtime::Clock,
    store::{Settings, Store},
    telemetry::StoreMetrics,
};

/// When tests begin.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A small file system in memory, unmounted when dropped.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// Mounts one; `None`, said aloud, where that is not permitted.
    pub(crate) fn mount(mebibytes: u32) -> Option<Self> {
        let path = tempfile::tempdir().unwrap().keep();
        let size = format!("size={mebibytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(path));
        }
        eprintln!("skipped: mounting a tmpfs is not permitted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A store, its folder (removed when dropped) and its clock.
pub(crate) struct TestStore {
    store: Option<Store>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    _folder: tempfile::TempDir,
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

impl TestStore {
    /// Closes the store and opens the same folder again.
    pub(crate) fn reopen(&mut self) {
        self.store = None;
        self.store = Some(open(&self.settings, &self.clock));
    }
}

/// A new store whose single tenant has number 1.
pub(crate) fn store() -> TestStore {
    store_with(|_| {})
}

/// A new store with changed settings.
pub(crate) fn store_with(change: impl FnOnce(&mut Settings)) -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        data_dir: folder.path().to_owned(),
        compact_after: Duration::ZERO,
        retry_window: Duration::from_secs(60),
        ..Settings::default()
    };
    change(&mut settings);
    let clock = Clock::manual(START);
    let store = open(&settings, &clock);
    assert_eq!(store.streams().tenant_number(&TenantId::single()), 1);
    TestStore { store: Some(store), clock, settings, _folder: folder }
}

fn open(settings: &Settings, clock: &Clock) -> Store {
    let metrics = StoreMetrics::register(&Registry::new()).unwrap();
    Store::open(settings, clock.clone(), metrics).unwrap()
}

/// A push of lines `(stream, seconds after START, line)` in the order given; streams are told apart by a label.
pub(crate) fn push(store: &Store, hash: u128, lines: &[(u8, i64, &[u8])]) -> PushBatch {
    let tenant = TenantId::single();
    let mut streams: Vec<StreamBatch> = Vec::new();
    for (stream, secs, line) in lines {
        let labels = Labels::from_pairs([("stream", stream.to_string())]).unwrap();
        let id = store.streams().admit(&tenant, &labels, 1_000, START).unwrap();
        let timestamp = START.plus(Duration::from_secs(secs.unsigned_abs()));
        let entry = Entry { timestamp, line: Bytes::copy_from_slice(line), metadata: Vec::new() };
        match streams.iter_mut().find(|batch| batch.id == id) {
            Some(batch) => batch.entries.push(entry),
            None => streams.push(StreamBatch { id, labels, entries: vec![entry] }),
        }
    }
    PushBatch { tenant, received: START, push_hash: hash, streams }
}
