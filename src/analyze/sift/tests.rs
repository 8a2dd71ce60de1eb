use super::*;
use crate::{
    analyze::line::Line,
    model::{Category, FindingDraft, LineRef, Timestamp},
    rules,
    wire::{envelope, level::Level},
};

/// A group that is fed lines, a second number beside each.
struct Group {
    sifter: Sifter,
    state: GroupSift,
    next: u32,
}

impl Group {
    fn new() -> Self {
        let sifter = Sifter::new(rules::load(&rules::Settings::default()).unwrap());
        Group { sifter, state: GroupSift::default(), next: 0 }
    }

    fn line(&mut self, second: i64, text: &str) -> Verdict {
        let labels = Labels::from_pairs([("host", "vps1")]).unwrap();
        let envelope = envelope::open(text.as_bytes());
        let line = Line {
            at: LineRef { block: 1, index: self.next },
            labels: &labels,
            host: "vps1",
            timestamp: Timestamp::from_secs(1_000_000 + second),
            level: Level::Unknown,
            raw: text.as_bytes(),
            envelope: &envelope,
            template: None,
        };
        self.next += 1;
        let rules = self.sifter.stream_rules(&labels);
        self.state.line(&self.sifter, &rules, &line)
    }

    fn failure(&mut self, second: i64, user: &str, ip: &str) -> Verdict {
        let pid = 100 + self.next;
        self.line(
            second,
            &format!("Nov 21 10:00:00 vps1 sshd[{pid}]: Failed password for {user} from {ip} port 4000 ssh2"),
        )
    }

    fn drafts(&self) -> Vec<FindingDraft> {
        self.state.drafts(&self.sifter, &|_| None)
    }
}

#[test]
fn five_failures_are_life_and_the_sixth_is_an_urgent_finding_once() {
    let mut group = Group::new();
    for second in 0..5 {
        let verdict = group.failure(second, "bob", "192.0.2.9");
        assert_eq!((verdict.hit, verdict.severity, verdict.urgent), (true, Some(Severity::Info), false));
    }
    assert_eq!(group.drafts(), []);
    assert!(group.failure(6, "bob", "192.0.2.9").urgent);
    assert!(!group.failure(7, "bob", "192.0.2.9").urgent);
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].title, "sshd on vps1: 7 failed logins for bob from 192.0.2.9 in 7 s");
    assert_eq!((drafts[0].severity, drafts[0].category), (Severity::Medium, Category::BruteForce));
    assert_eq!(drafts[0].count, 7);
    assert!(drafts[0].evidence[0].line.contains("sshd[100]"));
}

#[test]
fn failures_spread_wider_than_the_period_make_no_finding() {
    let mut group = Group::new();
    for at in 0..8 {
        group.failure(at * 3600, "bob", "192.0.2.9");
    }
    assert_eq!(group.drafts(), []);
}

#[test]
fn a_success_after_failures_takes_them_over() {
    let mut group = Group::new();
    for second in 0..9 {
        group.failure(second, "deploy", "192.0.2.9");
    }
    let verdict = group
        .line(10, "Nov 21 10:00:10 vps1 sshd[7]: Accepted password for deploy from 192.0.2.9 port 4000 ssh2");
    assert!(verdict.urgent);
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1, "{drafts:?}");
    assert_eq!((drafts[0].severity, drafts[0].category), (Severity::High, Category::AuthCompromise));
    assert_eq!(
        drafts[0].title,
        "sshd on vps1: 9 failed logins from 192.0.2.9 in 10 s, then a success for deploy"
    );
    assert!(drafts[0].evidence.iter().any(|line| line.line.contains("Accepted password")));
    assert!(drafts[0].evidence.iter().any(|line| line.line.contains("Failed password")));
}

#[test]
fn sudo_by_the_account_that_was_broken_into_is_told_and_by_others_is_not() {
    let mut group = Group::new();
    for second in 0..9 {
        group.failure(second, "deploy", "192.0.2.9");
    }
    let sudo = |user: &str| {
        format!("Nov 21 10:01:00 vps1 sudo[8]: {user} : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/bash")
    };
    assert!(!group.line(5, &sudo("deploy")).hit, "before the login");
    group
        .line(10, "Nov 21 10:00:10 vps1 sshd[7]: Accepted password for deploy from 192.0.2.9 port 4000 ssh2");
    group.state.end_window(Timestamp::from_secs(1_000_060));
    assert!(!group.line(70, &sudo("ann")).hit);
    assert!(group.line(71, &sudo("deploy")).urgent);
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].title, "sudo on vps1: deploy ran /bin/bash after a suspicious login");
    group.state.end_window(Timestamp::from_secs(1_000_120));
    assert!(!group.line(10 + 3_601, &sudo("deploy")).hit, "long after it");
}

#[test]
fn only_what_had_failed_here_recovers() {
    let mut group = Group::new();
    let started =
        |unit: &str| format!("Nov 21 10:00:00 vps1 systemd[1]: Started {unit}.service - A service.");
    assert!(!group.line(0, &started("shop")).hit);
    group.line(1, "Nov 21 10:00:01 vps1 systemd[1]: shop.service: Failed with result 'exit-code'.");
    group.line(2, &started("other"));
    assert_eq!(group.state.take_recoveries(), []);
    group.line(3, &started("shop"));
    group.line(4, &started("shop"));
    let print = group.drafts()[0].fingerprint.clone();
    assert_eq!(print, "service_failure/unit/vps1/shop");
    assert_eq!(group.state.take_recoveries(), [(print, Timestamp::from_secs(1_000_004))]);
    assert_eq!(group.state.take_recoveries(), []);
}

#[test]
fn a_login_after_one_typo_is_nothing() {
    let mut group = Group::new();
    group.failure(0, "ann", "192.0.2.9");
    let verdict = group
        .line(3, "Nov 21 10:00:03 vps1 sshd[7]: Accepted password for ann from 192.0.2.9 port 4000 ssh2");
    assert!(!verdict.hit);
    assert_eq!(group.drafts(), []);
}

#[test]
fn the_lines_of_one_attempt_count_once() {
    let mut group = Group::new();
    for attempt in 0..6 {
        for text in [
            "Invalid user bob from 192.0.2.9 port 4000",
            "Failed password for invalid user bob from 192.0.2.9 port 4000 ssh2",
            "Connection closed by invalid user bob 192.0.2.9 port 4000 [preauth]",
        ] {
            group.line(attempt * 10, &format!("Nov 21 10:00:00 vps1 sshd[{}]: {text}", 50 + attempt));
        }
    }
    assert_eq!(group.drafts()[0].count, 6);
}

#[test]
fn many_addresses_with_one_try_each_are_one_spray() {
    let mut group = Group::new();
    for at in 0..12 {
        group.failure(at, "root", &format!("198.51.100.{at}"));
    }
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1);
    assert!(drafts[0].title.contains("from many addresses"), "{}", drafts[0].title);
    assert_eq!(drafts[0].source_ips.len(), 12);
}

#[test]
fn a_brute_force_over_windows_keeps_its_fingerprint_and_counts_each_event_once() {
    let mut group = Group::new();
    (0..8).for_each(|at| drop(group.failure(at, "bob", "192.0.2.9")));
    let first = group.drafts();
    group.state.end_window(Timestamp::from_secs(1_000_060));
    assert_eq!(group.drafts(), []);
    (60..63).for_each(|at| drop(group.failure(at, "eve", "192.0.2.9")));
    let second = group.drafts();
    assert_eq!(first[0].fingerprint, second[0].fingerprint);
    assert_eq!((first[0].count, second[0].count), (8, 3));
    // The words speak of the whole episode.
    assert!(second[0].title.contains("11 failed logins for 2 users"), "{}", second[0].title);
    assert!(second[0].title.contains("in 62 s") || second[0].title.contains("1 min"), "{}", second[0].title);
}

#[test]
fn a_slow_brute_force_crosses_windows_and_is_counted_once_with_one_fingerprint() {
    // One try in 20 minutes: the period of 6 hours sees 12 after 220 minutes, no window of a minute sees two.
    let mut group = Group::new();
    let (mut fingerprints, mut told) = (Vec::new(), 0);
    for at in 0..16 {
        group.failure(at * 1200, "bob", "192.0.2.9");
        for draft in group.drafts() {
            told += draft.count;
            fingerprints.push(draft.fingerprint);
        }
        group.state.end_window(Timestamp::from_secs(1_000_000 + at * 1200 + 60));
    }
    assert_eq!((fingerprints.len(), told), (5, 16));
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 1);
}

#[test]
fn lines_out_of_order_reach_a_threshold_as_ordered_ones_do() {
    let mut group = Group::new();
    let reached: Vec<bool> = [50, 10, 40, 0, 30, 20]
        .into_iter()
        .map(|second| group.failure(second, "bob", "192.0.2.9").severity > Some(Severity::Info))
        .collect();
    assert_eq!(reached, [false, false, false, false, false, true]);
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].first_seen, Timestamp::from_secs(1_000_000));
    assert_eq!(drafts[0].last_seen, Timestamp::from_secs(1_000_050));
}

#[test]
fn a_late_line_of_another_hour_does_not_count_into_the_period() {
    let mut group = Group::new();
    (0..5).for_each(|at| drop(group.failure(7200 + at, "bob", "192.0.2.9")));
    group.failure(0, "bob", "192.0.2.9");
    assert_eq!(group.drafts(), []);
}

#[test]
fn registry_clients_that_are_asked_to_log_in_first_are_no_attack() {
    let mut group = Group::new();
    for second in 0..40 {
        group.line(
            second,
            r#"192.0.2.9 - - [21/Nov/2026:10:00:00 +0000] "GET /v2/app/manifests/1 HTTP/1.1" 401 12 "-" "docker/27.0""#,
        );
    }
    assert_eq!(group.drafts(), []);
}

#[test]
fn a_restart_from_a_snapshot_gives_the_same_drafts() {
    let mut group = Group::new();
    (0..5).for_each(|at| drop(group.failure(at, "bob", "192.0.2.9")));
    let mut restarted = Group::new();
    restarted.state = serde_json::from_slice(&serde_json::to_vec(&group.state).unwrap()).unwrap();
    restarted.next = group.next;
    for group in [&mut group, &mut restarted] {
        group.failure(6, "bob", "192.0.2.9");
        group.line(7, "Nov 21 10:00:00 vps1 kernel: Out of memory: Killed process 8 (mysqld) total-vm:1kB");
    }
    assert_eq!(group.drafts().len(), 2);
    assert_eq!(group.drafts(), restarted.drafts());
}

#[test]
fn an_oom_kill_and_what_follows_from_it_are_one_finding() {
    let mut group = Group::new();
    for text in [
        "kernel: [9.1] mysqld invoked oom-killer: gfp_mask=0x140dca, order=0, oom_score_adj=0",
        "kernel: [9.2] Out of memory: Killed process 812 (mysqld) total-vm:2012345kB, anon-rss:8kB",
        "systemd[1]: mysql.service: A process of this unit has been killed by the OOM killer.",
        "systemd[1]: mysql.service: Main process exited, code=killed, status=9/KILL",
        "systemd[1]: mysql.service: Failed with result 'oom-kill'.",
    ] {
        group.line(1, &format!("Nov 21 10:00:00 vps1 {text}"));
    }
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1, "{:?}", drafts.iter().map(|draft| &draft.title).collect::<Vec<_>>());
    assert_eq!(drafts[0].title, "vps1: out of memory, the kernel killed mysqld");
    assert_eq!(drafts[0].severity, Severity::Critical);
}

#[test]
fn two_attackers_on_one_host_are_told_apart_line_by_line() {
    let mut group = Group::new();
    for ip in ["203.0.113.7", "203.0.113.17"] {
        for n in 0..20 {
            let pid = 100 + n;
            group.line(
                1,
                &format!(
                    "Nov 21 10:00:00 vps1 sshd[{pid}]: Failed password for root from {ip} port {pid} ssh2"
                ),
            );
        }
        group.line(
            1,
            &format!("Nov 21 10:00:01 vps1 sshd[900]: Accepted password for root from {ip} port 900 ssh2"),
        );
    }
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 2, "{:?}", drafts.iter().map(|draft| &draft.title).collect::<Vec<_>>());
    for draft in drafts {
        let ip = draft.source_ips.first().unwrap();
        assert_eq!(draft.source_ips.len(), 1);
        assert!(
            draft.evidence.iter().all(|line| line.line.contains(&format!("from {ip} port"))),
            "{draft:?}"
        );
    }
}

#[test]
fn errors_of_a_partition_and_its_disk_are_one_finding() {
    let mut group = Group::new();
    for text in [
        "blk_update_request: I/O error, dev sda, sector 2048 op 0x0:(READ)",
        "Aborting journal on device sda1-8.",
        "EXT4-fs (sda1): Remounting filesystem read-only",
    ] {
        group.line(1, &format!("Nov 21 10:00:00 vps1 kernel: [9.1] {text}"));
    }
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].title, "vps1: file system on sda damaged or read-only");
    assert_eq!((drafts[0].severity, drafts[0].count), (Severity::Critical, 2));
}

#[test]
fn a_database_that_panics_on_a_full_disk_is_critical() {
    let mut group = Group::new();
    group.line(1, "PANIC:  could not write to file \"pg_wal/xlogtemp.7\": No space left on device");
    assert_eq!(group.drafts()[0].severity, Severity::Critical);
}

#[test]
fn a_stack_trace_is_quoted_with_its_head_line() {
    let mut group = Group::new();
    group.line(1, "Traceback (most recent call last):");
    group.line(1, "  File \"/app/x.py\", line 3, in <module>");
    group.line(1, "ZeroDivisionError: division by zero");
    let drafts = group.drafts();
    assert_eq!(drafts.len(), 1);
    assert_eq!(drafts[0].evidence.len(), 1);
    assert!(drafts[0].evidence[0].line.ends_with("in <module>\nZeroDivisionError: division by zero"));
}

#[test]
fn invented_addresses_do_not_grow_the_state_without_bound() {
    let mut group = Group::new();
    for at in 0..5000_i64 {
        group.failure(at / 100, "x", &format!("10.{}.{}.1", at / 250, at % 250));
    }
    assert!(group.state.evicted() > 0);
    assert!(serde_json::to_vec(&group.state).unwrap().len() < 8 << 20);
}

#[test]
fn harmless_lines_say_nothing() {
    let mut group = Group::new();
    for text in [
        "sshd[1]: Received disconnect from 192.0.2.9 port 4000:11: disconnected by user",
        "CRON[2]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
        "sudo: ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/usr/bin/apt update",
        "kernel: [1.0] Command line: BOOT_IMAGE=/vmlinuz ro panic=10",
        "kernel: [1.0] EXT4-fs (sda1): re-mounted. Opts: errors=remount-ro",
        "systemd[1]: Started systemd-oomd.service - Userspace Out-Of-Memory (OOM) Killer.",
        "systemd[1]: shop.service: Scheduled restart job, restart counter is at 1.",
        "systemd[1]: shop.service: Main process exited, code=exited, status=143/n/a",
        "postgres[3]: LOG:  automatic analyze of table \"shop.public.errors\"",
        "dockerd[4]: Container failed to exit within 10s of signal 15 - using the force",
        "certbot[5]: Certificate not yet due for renewal",
    ] {
        assert!(!group.line(1, &format!("Nov 21 10:00:00 vps1 {text}")).hit, "{text}");
    }
    assert_eq!(group.drafts(), []);
}
