//! A full disk: clients are told to come back, nothing crashes, and all goes on when there is room.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::json;

use crate::harness::{
    TestServer, now_nanos,
    server::{Options, stream},
    wait_for,
};

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let path = tempfile::tempdir().unwrap().keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A line that does not compress.
fn noise(seed: u64) -> String {
    let mut state = seed | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..100_000).map(|_| letter()).collect()
}

#[test]
fn a_full_disk_is_answered_503_and_recovered_from() {
    let Some(disk) = SmallDisk::mount("24m") else {
        // Even a CI machine may forbid mounting; this is the one part that depends on rights rather than packages.
        eprintln!("skipped: mounting a tmpfs is not permitted here");
        return;
    };
    let ballast = disk.0.join("ballast");
    let config = "ingest: {limits: {ingestion_rate_bytes: 0, per_stream_rate_bytes: 0}}\n".to_owned();
    let options = Options { config: Some(config), data_dir: Some(disk.0.join("data")), ..Options::default() };
    let server = TestServer::with(options);
    std::fs::write(&ballast, vec![0; 12 << 20]).unwrap();
    let mut taken = 0_usize;
    let push = |n: u64| {
        let line = format!("{n} {}", noise(now_nanos() ^ n));
        server.push_json(&stream(&json!({"job": "full"}), &[line])).unwrap().status
    };
    let refused = (0..400).map(push).find(|status| {
        taken += usize::from(*status == 204);
        *status != 204
    });
    assert_eq!(refused, Some(503), "after {taken} pushes");
    assert!(server.get("/api/v1/status").status == 200, "readers are still served");
    std::fs::remove_file(&ballast).unwrap();
    wait_for("room to be noticed", Duration::from_secs(20), || (push(1_000) == 204).then_some(()));
    let stored =
        server.get_json("/api/v1/entries?selector=%7B%7D&limit=1")["entries"].as_array().unwrap().len();
    assert_eq!(stored, 1);
}
