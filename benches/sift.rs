//! What unwrapping and sifting a line costs.

use sigyn::{
    analyze::{
        line::Line,
        sift::{GroupSift, Sifter},
    },
    model::{Labels, LineRef, Timestamp},
    rules,
    wire::{envelope, level::Level},
};

/// Lines of a quiet day: nothing to find.
const QUIET: [&str; 4] = [
    "2026-11-21 10:00:00.123 INFO  shop.orders order 81723 paid by customer 991 in 41 ms, basket 7 items, total 81.20",
    "Nov 21 10:00:00 vps1 systemd[1]: Starting apt-daily.service - Daily apt download activities...",
    "Nov 21 10:00:01 vps1 CRON[8112]: pam_unix(cron:session): session closed for user root",
    r#"198.51.100.7 - - [21/Nov/2026:10:00:00 +0000] "GET /static/app.3f1c.js?v=7 HTTP/1.1" 200 18231 "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0""#,
];

fn main() {
    divan::main();
}

#[divan::bench(args = QUIET)]
fn open(line: &str) -> usize {
    envelope::open(divan::black_box(line.as_bytes())).message.len()
}

#[divan::bench(args = QUIET)]
fn open_and_sift(bencher: divan::Bencher<'_, '_>, text: &str) {
    let Ok(set) = rules::load(&rules::Settings::default()) else { return };
    let (sifter, labels, mut group) = (Sifter::new(set), Labels::default(), GroupSift::default());
    let rules = sifter.stream_rules(&labels);
    bencher.bench_local(|| {
        let envelope = envelope::open(divan::black_box(text.as_bytes()));
        let line = Line {
            at: LineRef { block: 1, index: 0 },
            labels: &labels,
            host: "vps1",
            timestamp: Timestamp::from_secs(1),
            raw: text.as_bytes(),
            envelope: &envelope,
            template: None,
            level: Level::Unknown,
        };
        group.line(&sifter, &rules, &line).hit
    });
}

#[divan::bench]
fn load_pack() -> bool {
    rules::load(&rules::Settings::default()).is_ok()
}
