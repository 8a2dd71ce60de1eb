use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

use super::*;
use crate::{
    analyze::{detect, line::Line, mine, mine::Miner, window::OpenWindow},
    model::{Labels, LineRef, Timestamp},
    wire::{envelope, level::Level},
};

/// A host whose lines are mined and looked at, in windows of a minute.
struct Host {
    miner: Miner,
    settings: Settings,
    labels: Labels,
    detectors: Vec<Parameters>,
    now: i64,
    lines: u32,
    hit: bool,
}

type Rows = BTreeMap<(u8, u64), Vec<u8>>;

impl Host {
    fn new() -> Self {
        Host {
            miner: Miner::new(&mine::Settings::default(), 1, Arc::new(AtomicU64::new(1))),
            settings: Settings::default(),
            labels: Labels::from_pairs([("host", "vps1"), ("job", "test")]).unwrap(),
            detectors: vec![Parameters::default()],
            now: 1_800_000_000,
            lines: 0,
            hit: false,
        }
    }

    fn line(&mut self, text: &str) -> f32 {
        let envelope = envelope::open(text.as_bytes());
        let timestamp = Timestamp::from_secs(self.now);
        let seen = self.miner.observe(&envelope.message, timestamp);
        self.lines += 1;
        let line = Line {
            at: LineRef { block: 1, index: self.lines },
            labels: &self.labels,
            host: "vps1",
            timestamp,
            level: Level::Unknown,
            raw: text.as_bytes(),
            envelope: &envelope,
            template: Some(seen.template),
        };
        let sighting = Sighting {
            line: &line,
            template: seen.template,
            change: seen.change,
            values: seen.values,
            received: timestamp,
            hit: self.hit,
            level: Level::Info,
            is_late: false,
        };
        let surprises: Vec<f32> =
            self.detectors.iter_mut().map(|detector| detector.line(&self.settings, &sighting)).collect();
        assert!(surprises.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits()));
        surprises[0]
    }

    fn close(&mut self) -> Vec<Evidence> {
        self.close_after(60)
    }

    fn close_after(&mut self, secs: i64) -> Vec<Evidence> {
        self.now += secs;
        let (settings, window) =
            (detect::Settings::default(), OpenWindow::open(1, Timestamp::from_secs(self.now)));
        let miner = &self.miner;
        let closing = Closing {
            settings: &settings,
            group: "vps1",
            window: &window,
            now: Timestamp::from_secs(self.now),
            text_of: &|id| miner.template(id).map(|template| template.text.to_string()),
            resolve: &|id| miner.resolve(id),
        };
        let mut evidence: Vec<Vec<Evidence>> =
            self.detectors.iter_mut().map(|detector| detector.close(&self.settings, &closing)).collect();
        assert!(evidence.windows(2).all(|pair| pair[0] == pair[1]));
        evidence.swap_remove(0)
    }

    /// Days of an hour of lines each: long enough to know a position, short enough to test.
    fn learn(&mut self, windows: u32, lines: impl Fn(&mut Random) -> Vec<String>) {
        let mut random = Random(7);
        for _ in 0..windows {
            for line in lines(&mut random) {
                self.line(&line);
            }
            self.close_after(3_600);
        }
    }

    fn rows(&mut self, rows: &mut [Rows]) {
        for (detector, rows) in self.detectors.iter_mut().zip(rows) {
            let mut saved = Vec::new();
            detector.save(&mut saved);
            for row in saved {
                match row.state {
                    Some(state) => rows.insert((row.part, row.key), state),
                    None => rows.remove(&(row.part, row.key)),
                };
            }
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 >> 33 ^ self.0).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        mixed ^ mixed >> 33
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Log-normal around `middle`.
    fn spread(&mut self, middle: f64, sigma: f64) -> f64 {
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        middle * (sigma * normal).exp()
    }

    fn pick<'a>(&mut self, weighted: &[(&'a str, u64)]) -> &'a str {
        let mut at = self.below(weighted.iter().map(|(_, weight)| weight).sum());
        for (value, weight) in weighted {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return value,
            }
        }
        weighted[0].0
    }
}

fn access(random: &mut Random, status: &str) -> String {
    let (a, b) = (random.below(200) + 1, random.below(250));
    let path = random.below(400);
    let size = random.spread(4_000.0, 1.2) as u64;
    format!(
        r#"198.51.{a}.{b} - - [21/Nov/2026:10:00:00 +0000] "GET /p/{path}?q={a} HTTP/1.1" {status} {size} "-" "Mozilla/5.0 ({path}) Firefox/{b}""#
    )
}

fn accesses(random: &mut Random) -> Vec<String> {
    let statuses = [("200", 90), ("304", 8), ("404", 2)];
    (0..100)
        .map(|_| {
            let status = random.pick(&statuses);
            access(random, status)
        })
        .collect()
}

#[test]
fn a_server_error_where_none_ever_was_is_told_with_what_is_normal() {
    let mut host = Host::new();
    host.learn(40, accesses);
    let mut random = Random(1);
    assert!(host.line(&access(&mut random, "200")) < 0.3);
    for _ in 0..3 {
        assert!(host.line(&access(&mut random, "502")) > 0.8);
    }
    let evidence = host.close();
    assert_eq!(evidence.len(), 1, "{evidence:#?}");
    let told = &evidence[0];
    assert_eq!(
        (told.observed.as_str(), told.expected.as_str(), told.count),
        ("status 502", "200, 304, 404", 3)
    );
    assert!(told.sentence.starts_with("unusual value 502 for status in `"), "{}", told.sentence);
    assert!(told.sentence.ends_with("(normally 200, 304, 404), seen 3 times"), "{}", told.sentence);
    assert!(told.score >= 0.8 && told.lines[0].line.contains("502"));
    // It is known from now on.
    host.line(&access(&mut random, "502"));
    assert!(host.close().is_empty());
}

#[test]
fn a_request_that_takes_a_hundred_times_too_long_is_told_with_the_normal_range() {
    for unit in ["ms", " ms"] {
        let mut host = Host::new();
        let line = |value: u64| format!("request to backend took {value}{unit}");
        host.learn(40, |random| (0..50).map(|_| line(12 + random.below(69))).collect());
        assert!(host.line(&line(130)) < 0.5);
        host.line(&line(9_800));
        let evidence = host.close();
        assert_eq!(evidence.len(), 1, "{evidence:#?}");
        assert!(
            evidence[0].sentence.starts_with("unusually large duration 9800"),
            "{}",
            evidence[0].sentence
        );
        let expected = &evidence[0].expected;
        assert!(
            ["12–80 ms", "12–81 ms", "13–80 ms", "12–79 ms", "13–79 ms"].contains(&expected.as_str()),
            "{expected}"
        );
        assert!(evidence[0].score > 0.9);
    }
}

#[test]
fn a_login_from_a_network_never_seen_is_told_only_where_addresses_do_not_always_vary() {
    let login = |address: &str| format!("session of deploy accepted, peer {address} key rsa");
    let mut host = Host::new();
    host.learn(40, |random| {
        (0..20).map(|_| login(&format!("10.20.{}.{}", random.below(3), random.below(250)))).collect()
    });
    host.line(&login("10.20.1.77"));
    assert!(host.close().is_empty());
    host.line(&login("203.0.113.9"));
    let evidence = host.close();
    assert_eq!(evidence.len(), 1, "{evidence:#?}");
    assert_eq!(evidence[0].source_ips, BTreeSet::from(["203.0.113.9".to_owned()]));
    assert!(evidence[0].sentence.starts_with("address 203.0.113.9 of a network never seen here in `"));
    assert!(evidence[0].expected.contains("10.20.0.0/24"), "{}", evidence[0].expected);

    let mut open = Host::new();
    open.learn(40, |random| {
        (0..20)
            .map(|_| {
                login(&format!("{}.{}.{}.9", 1 + random.below(220), random.below(250), random.below(250)))
            })
            .collect()
    });
    open.line(&login("203.0.113.9"));
    assert!(open.close().is_empty());
}

#[test]
fn a_user_never_seen_is_told_as_a_user() {
    let mut host = Host::new();
    let line = |user: &str, n: u64| format!(r#"{{"event": "login", "user": "{user}", "took": {n}}}"#);
    host.learn(40, |random| {
        (0..20).map(|_| line(random.pick(&[("anna", 5), ("ben", 3), ("cron", 1)]), random.below(9))).collect()
    });
    host.line(&line("mallory", 3));
    let evidence = host.close();
    assert_eq!(evidence.len(), 1, "{evidence:#?}");
    assert_eq!(
        (evidence[0].expected.as_str(), &evidence[0].users),
        ("anna, ben, cron", &BTreeSet::from(["mallory".to_owned()]))
    );
    assert_eq!(evidence[0].subject, format!("value 3.0 of template {}", evidence[0].template.unwrap().0));
}

#[test]
fn numbers_that_never_stood_together_are_told_when_they_do_so_again_and_again() {
    let mut host = Host::new();
    let line = |rows: f64, ms: f64| format!("query returned rows={rows:.0} elapsed={ms:.1}");
    host.learn(60, |random| {
        (0..60)
            .map(|_| {
                let rows = if random.below(2) == 0 {
                    random.spread(20.0, 0.2)
                } else {
                    random.spread(50_000.0, 0.2)
                };
                line(rows, rows / 100.0 * random.spread(1.0, 0.1))
            })
            .collect()
    });
    assert_eq!(host.detectors[0].trees.len(), 1);
    for _ in 0..20 {
        host.line(&line(20.0, 480.0));
    }
    let evidence = host.close();
    assert_eq!(evidence.len(), 1, "{evidence:#?}");
    assert!(
        evidence[0].sentence.starts_with("unusual combination 20 elapsed=480.0 in `"),
        "{}",
        evidence[0].sentence
    );
    assert!(evidence[0].score > 0.8 && evidence[0].count == 20);
}

#[test]
fn what_a_rule_speaks_of_is_learnt_and_not_told() {
    let mut host = Host::new();
    host.learn(40, accesses);
    let mut random = Random(1);
    host.hit = true;
    host.line(&access(&mut random, "502"));
    assert!(host.close().is_empty());
    host.hit = false;
    host.line(&access(&mut random, "502"));
    assert!(host.close().is_empty());
}

#[test]
fn process_ids_ports_times_and_counters_never_alarm() {
    let mut host = Host::new();
    let line = |n: u64, pid: u64, port: u64, epoch: u64| {
        format!("worker[{pid}]: client 10.0.0.4:{port} served, seq={n} at={epoch} total {}", n * 7)
    };
    host.learn(40, |random| {
        let from = random.below(3) + random.0 % 2;
        (0..30)
            .map(|n| line(from * 10_000 + n, 30_000 + n, 32_000 + random.below(28_000), 1_800_000_000 + n))
            .collect()
    });
    for (n, pid, port, epoch) in [(900_000_000, 7, 1025, 1), (3, 4_000_000, 65_535, 9_999_999_999)] {
        host.line(&line(n, pid, port, epoch));
    }
    let evidence = host.close();
    let of_serials = evidence
        .iter()
        .filter(|told| !told.observed.starts_with("total") && !told.observed.starts_with("at"));
    assert_eq!(of_serials.count(), 0, "{evidence:#?}");

    let mut counter = Host::new();
    let mut n = 0;
    for _ in 0..40 {
        for _ in 0..30 {
            n += 3;
            counter.line(&format!("bytes written since start: {n}"));
        }
        counter.close_after(3_600);
    }
    counter.line("bytes written since start: 900000000000");
    assert!(counter.close().is_empty());
}

#[test]
fn positions_where_everything_varies_become_free() {
    let mut host = Host::new();
    host.learn(3, |random| (0..200).map(|_| format!("token={:016x}z issued", random.next())).collect());
    let profile = host.detectors[0].profiles.values().max_by_key(|profile| profile.seen).unwrap();
    assert!(profile.positions.iter().all(|position| position.set.is_open && position.set.bytes() == 0));
}

#[test]
fn nothing_is_told_of_a_position_that_is_young() {
    let mut host = Host::new();
    let line = |user: &str| format!("user={user} came in");
    for _ in 0..20 {
        (0..30).for_each(|_| {
            host.line(&line("anna"));
        });
        host.close();
    }
    host.line(&line("ben"));
    assert!(host.close().iter().all(|told| told.score < 0.8));
}

/// Lines of a host that does nothing unusual, rare but normal things among them.
fn clean(random: &mut Random, n: u64) -> String {
    match random.below(100) {
        0..=54 => {
            let status = random.pick(&[
                ("200", 86_000),
                ("304", 8_000),
                ("404", 4_000),
                ("301", 1_500),
                ("206", 200),
                ("403", 150),
                ("499", 60),
                ("500", 30),
                ("405", 5),
                ("416", 2),
            ]);
            access(random, status)
        }
        55..=74 => {
            // One in two hundred waits for a lock.
            let middle = if random.below(200) == 0 { 3_000.0 } else { 35.0 };
            let ms = random.spread(middle, 0.6);
            let user = random.below(5_000);
            format!(
                "INFO shop.orders order {} paid by customer {user} in {ms:.0} ms, basket {} items",
                80_000 + n,
                1 + random.below(9)
            )
        }
        75..=84 => {
            let rows = random.spread(30.0, 1.5);
            format!(
                "DEBUG db query rows={rows:.0} bytes={:.0} elapsed={:.1}ms",
                rows * 120.0,
                random.spread(2.0 + rows / 50.0, 0.4)
            )
        }
        85..=89 => {
            let port = 1024 + random.below(64_000);
            format!(
                "[UFW BLOCK] IN=eth0 OUT= SRC={}.{}.{}.{} DST=203.0.113.80 LEN={} TTL={} PROTO={} SPT={port} DPT={}",
                1 + random.below(220),
                random.below(250),
                random.below(250),
                random.below(250),
                40 + random.below(3) * 4,
                30 + random.below(220),
                random.pick(&[("TCP", 90), ("UDP", 9), ("ICMP", 1)]),
                random.pick(&[
                    ("22", 30),
                    ("23", 30),
                    ("445", 10),
                    ("8080", 10),
                    ("3389", 8),
                    ("5900", 2),
                    ("6379", 2),
                    ("81", 1)
                ])
            )
        }
        90..=93 => {
            let user = random.pick(&[("deploy", 900), ("anna", 90), ("ben", 9), ("backup", 1)]);
            format!(
                "Accepted publickey for {user} from 10.1.{}.{} port {} ssh2: ED25519",
                random.below(4),
                random.below(250),
                1024 + random.below(64_000)
            )
        }
        94..=96 => format!(
            "checkpoint complete: wrote {} buffers ({:.1}%); sync={:.3} s, total={:.3} s",
            random.spread(300.0, 0.9) as u64,
            random.spread(2.0, 0.9),
            random.spread(0.01, 0.7),
            random.spread(20.0, 0.3)
        ),
        97..=98 => {
            let job = random.pick(&[
                ("/etc/cron.hourly/sync", 60),
                ("/usr/bin/certbot renew", 2),
                ("/opt/report.sh", 24),
                ("/usr/lib/apt/daily", 1),
            ]);
            format!("(root) CMD ({job})")
        }
        _ => format!(
            "worker-{} finished batch {} with exit code {} after {}s",
            random.below(8),
            n,
            random.pick(&[("0", 99), ("1", 1)]),
            30 + random.below(60)
        ),
    }
}

#[test]
fn a_clean_host_brings_less_than_one_false_alarm_a_day() {
    let days: u64 = 2;
    let (mut host, mut random) = (Host::new(), Random(11));
    let mut alarms = Vec::new();
    for window in 0..1_440 * days {
        // Busier by day than by night; 100,000 lines a day.
        let hour = (window / 60 % 24) as f64;
        let lines = 69.4 * (1.0 + 0.8 * ((hour - 14.0) / 24.0 * std::f64::consts::TAU).cos());
        for n in 0..lines as u64 {
            let line = clean(&mut random, window * 100 + n);
            host.line(&line);
        }
        alarms.extend(
            host.close()
                .into_iter()
                .filter(|told| told.score >= 0.8)
                .map(|told| (window, told.score, told.sentence)),
        );
    }
    assert!(alarms.len() < days as usize, "{alarms:#?}");
    assert!(host.detectors[0].bytes() < 256 << 10);
}

#[test]
fn a_hostile_stream_stays_within_its_bounds() {
    let (mut host, mut random) = (Host::new(), Random(5));
    let mut rows = [Rows::new()];
    for _ in 0..40 {
        for _ in 0..500 {
            let words = 1 + random.below(30);
            let line: Vec<String> = (0..words)
                .map(|_| match random.below(5) {
                    0 => format!("{}", random.next() >> random.below(60)),
                    1 => format!("{:x}q{}", random.next(), random.below(9)),
                    2 => format!(
                        "{}.{}.{}.{}",
                        random.below(256),
                        random.below(256),
                        random.below(256),
                        random.below(256)
                    ),
                    3 => format!("k{}={}ms", random.below(1_000), random.next() >> random.below(60)),
                    _ => format!("/{:x}/{}", random.next(), random.below(100)),
                })
                .collect();
            host.line(&line.join(" "));
        }
        assert!(host.close().len() <= host.settings.max_evidence);
        host.rows(&mut rows);
        let detector = &host.detectors[0];
        assert!(
            detector.bytes() <= host.settings.max_bytes
                && detector.profiles.len() <= host.settings.max_templates
        );
        let stored: usize = rows[0].values().map(Vec::len).sum();
        assert!(
            stored <= host.settings.max_bytes && rows[0].len() <= host.settings.max_templates + 32,
            "{stored}"
        );
    }
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let (mut host, mut random) = (Host::new(), Random(23));
    host.settings.max_templates = 12; // so that templates are forgotten on the way
    let mut rows = vec![Rows::new()];
    for window in 0..400u64 {
        for n in 0..60 {
            host.line(&clean(&mut random, window * 100 + n));
        }
        if window % 16 == 0 {
            host.line(&format!("rare thing number {window} of kind x{}y happened in zone {window}", window));
        }
        // Another detector is fed from here on: equal in every line and in all evidence, see `line` and `close`.
        host.close();
        host.rows(&mut rows);
        if window == 150 || window == 290 {
            let mut restored = Parameters::default();
            for ((part, key), state) in &rows[0] {
                restored.restore(&MemoryRow { part: *part, key: *key, state: Some(state.clone()) });
            }
            host.detectors.truncate(1);
            host.detectors.push(restored);
            rows = vec![rows[0].clone(), rows[0].clone()];
        }
    }
    assert!(rows[0] == rows[1]);
    assert!(rows[0].len() > 6);
}

#[test]
fn a_crash_within_a_window_is_made_good_by_reading_its_lines_again() {
    let (mut host, mut random) = (Host::new(), Random(3));
    let mut rows = vec![Rows::new()];
    for window in 0..60u64 {
        let lines: Vec<String> = (0..80).map(|n| clean(&mut random, window * 100 + n)).collect();
        if window == 40 {
            lines.iter().take(50).for_each(|line| {
                host.line(line);
            });
            let mut restored = Parameters::default();
            for ((part, key), state) in &rows[0] {
                restored.restore(&MemoryRow { part: *part, key: *key, state: Some(state.clone()) });
            }
            host.detectors = vec![restored];
        }
        lines.iter().for_each(|line| {
            host.line(line);
        });
        host.close();
        host.rows(&mut rows);
    }
    let (mut calm, mut random) = (Host::new(), Random(3));
    let mut expected = vec![Rows::new()];
    for window in 0..60u64 {
        (0..80).for_each(|n| {
            calm.line(&clean(&mut random, window * 100 + n));
        });
        calm.close();
        calm.rows(&mut expected);
    }
    assert!(rows == expected);
}

#[test]
fn what_was_given_as_normal_counts_as_a_day_however_short_it_was() {
    let mut host = Host::new();
    let line = |user: &str| format!(r#"{{"event": "login", "user": "{user}"}}"#);
    for n in 0..2_000 {
        host.line(&line(if n % 3 == 0 { "anna" } else { "ben" }));
    }
    host.close();
    host.detectors[0].finish_learning();
    host.line(&line("mallory"));
    let evidence = host.close();
    assert_eq!(evidence.len(), 1);
    // 0.1 in one day, long settled: once in ten days.
    assert!(evidence[0].score >= 0.8, "{evidence:#?}");
}
