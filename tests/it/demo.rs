//! The demo as a person runs it: six known incidents become findings, nothing else does, and nothing is left behind.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::harness::wait_for;

/// Generous: the day is analysed by a binary that is not optimised, beside other tests.
const LIMIT: Duration = Duration::from_secs(150);

fn start(folder: &Path, args: &[&str]) -> Child {
    std::fs::create_dir(folder.join("tmp")).unwrap();
    let out = File::create(folder.join("out")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_sigyn"))
        .args(["demo", "--port", "0"])
        .args(args)
        .env_clear()
        .env("TMPDIR", folder.join("tmp"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .unwrap()
}

fn printed(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("out")).unwrap()
}

/// Waits for the end, which must be a good one with an empty temporary folder.
fn finish(mut child: Child, folder: &Path) -> String {
    let status = wait_for("the demo to end", LIMIT, || child.try_wait().unwrap());
    let text = printed(folder);
    assert!(status.success(), "{status}\n{text}");
    assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0, "{text}");
    assert!(!text.contains("panicked at"), "{text}");
    text
}

#[test]
fn every_incident_of_the_day_is_told_with_its_lines_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(folder.path(), &["--fast", "--exit-after-replay"]);
    let text = finish(child, folder.path());
    let (cards, summary) = text.split_once("────").expect("a summary");

    // Place and kind, a word of the title, and a line as it was logged.
    let incidents = [
        ("web-1  web scan", "198.51.100.23 looks for weak spots", "│ 198.51.100.23 - - ["),
        (
            "bastion-1  auth compromise",
            "failed logins from 203.0.113.77",
            "sshd[41990]: Accepted password for deploy from 203.0.113.77 port 51990 ssh2",
        ),
        ("bastion-1  privilege escalation", "deploy ran", "sudo:   deploy : TTY="),
        ("app-1  crash", "app-1:", "Exception in thread"),
        ("app-2  app error", "unhandled application error", "Traceback (most recent call last):"),
        ("db-1  oom", "out of memory, the kernel killed postgres", "db-1 kernel: "),
        (
            "web-1  upstream error",
            "the backend http://10.0.0.21:8080",
            "connect() failed (111: Connection refused)",
        ),
        ("backup-1  disk full", "no space left on a disk", "backup-1 restic[30411]: write /srv/backup/data/"),
    ];
    for (place, title, line) in incidents {
        let card = cards.split("\n\n").find(|card| card.contains(place));
        let card = card.unwrap_or_else(|| panic!("no card '{place}' in\n{text}"));
        assert!(card.contains(title) && card.contains(line) && card.contains("What to do: "), "{card}");
    }

    // A success may be preceded by the card of its failures; everything else that matters is an incident.
    let heads = cards.lines().filter(|line| {
        ["medium ", "high ", "critical "].iter().any(|severity| line.starts_with(severity))
            && !line.contains('▲')
    });
    let unknown: Vec<_> = heads
        .filter(|head| !incidents.iter().any(|(place, ..)| head.contains(place)))
        .filter(|head| !head.contains("bastion-1  brute force"))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}\n{text}");
    assert!(summary.contains(" lines pushed in ") && summary.contains("critical"), "{summary}");
}

#[test]
fn a_signal_in_the_middle_ends_the_demo_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(folder.path(), &[]);
    wait_for("the demo to start", LIMIT, || printed(folder.path()).contains("page  http://").then_some(()));
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 1);
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    finish(child, folder.path());
}
