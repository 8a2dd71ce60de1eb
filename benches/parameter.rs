//! What looking at the values of a line costs, apart from mining it.

use std::sync::{Arc, atomic::AtomicU64};

use sigyn::{
    analyze::{
        detect::{
            self, Closing, Sighting,
            parameter::{Parameters, Settings},
        },
        line::Line,
        mine::{self, Change, Miner, Value},
        window::OpenWindow,
    },
    model::{Labels, LineRef, TemplateId, Timestamp},
    wire::{
        envelope::{self, Envelope},
        level::Level,
    },
};

/// Kinds of lines, each with eight values or so.
const KINDS: [&str; 3] = ["access", "orders", "logins"];
/// Lines of one kind.
const LINES: u64 = 1_000;

fn main() {
    divan::main();
}

fn pick<'a>(values: &[&'a str], n: u64) -> &'a str {
    values.get((n % values.len() as u64) as usize).copied().unwrap_or_default()
}

fn line(kind: &str, n: u64) -> String {
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
    let (a, b) = (mixed % 250, mixed / 250 % 250);
    match kind {
        "access" => {
            let status = pick(&["200", "200", "200", "304", "404"], mixed);
            let (path, size) = (mixed % 400, 200 + mixed % 90_000);
            format!(
                r#"198.51.{a}.{b} - - [21/Nov/2026:10:00:00 +0000] "GET /p/{path}?q={a} HTTP/1.1" {status} {size} "https://shop.example/{a}" "Mozilla/5.0 ({path}) Firefox/{b}""#
            )
        }
        "orders" => format!(
            "order {n} of customer {b} paid in {a} ms: items={} total={}.{} tax={}% via {} on node-{}",
            mixed % 9,
            mixed % 900,
            mixed % 90,
            mixed % 20,
            pick(&["card", "bank", "cash"], mixed),
            mixed % 4,
        ),
        _ => format!(
            r#"{{"event": "login", "user": "{}", "peer": "10.1.{}.{b}", "port": {}, "took": "{a}ms", "tries": {}, "tty": "pts/{}"}}"#,
            pick(&["anna", "ben", "deploy"], mixed),
            mixed % 4,
            1024 + mixed % 60_000,
            1 + mixed % 2,
            mixed % 3,
        ),
    }
}

/// A line as the miner left it.
struct Mined<'a> {
    envelope: Envelope<'a>,
    text: &'a str,
    template: TemplateId,
    values: Vec<Value>,
}

#[divan::bench(args = KINDS)]
fn values(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let (settings, labels) = (Settings::default(), Labels::default());
    let mut miner = Miner::new(&mine::Settings::default(), 1, Arc::new(AtomicU64::new(1)));
    let texts: Vec<String> = (0..LINES).map(|n| line(kind, n)).collect();
    for text in &texts {
        miner.observe(text, Timestamp::from_secs(1)); // templates widen first
    }
    let mined: Vec<Mined<'_>> = texts
        .iter()
        .map(|text| {
            let envelope = envelope::open(text.as_bytes());
            let seen = miner.observe(&envelope.message, Timestamp::from_secs(1));
            let (template, values) = (seen.template, seen.values.to_vec());
            Mined { envelope, text, template, values }
        })
        .collect();
    let mut parameters = Parameters::default();
    for window in 0..20 {
        for mined in &mined {
            look(&mut parameters, &settings, &labels, mined);
        }
        close(&mut parameters, &settings, window);
    }
    bencher.counter(divan::counter::ItemsCount::new(LINES)).bench_local(|| {
        mined.iter().map(|mined| look(&mut parameters, &settings, &labels, mined)).sum::<f32>()
    });
}

fn look(parameters: &mut Parameters, settings: &Settings, labels: &Labels, mined: &Mined<'_>) -> f32 {
    let line = Line {
        at: LineRef { block: 1, index: 0 },
        labels,
        host: "vps1",
        timestamp: Timestamp::from_secs(1),
        raw: mined.text.as_bytes(),
        envelope: &mined.envelope,
        template: Some(mined.template),
        level: Level::Unknown,
    };
    let sighting = Sighting {
        line: &line,
        template: mined.template,
        change: Change::Same,
        values: &mined.values,
        received: Timestamp::from_secs(1),
        hit: false,
        level: Level::Info,
        is_late: false,
    };
    parameters.line(settings, divan::black_box(&sighting))
}

fn close(parameters: &mut Parameters, settings: &Settings, window: i64) {
    let now = Timestamp::from_secs(window * 3_600);
    let (all, window) = (detect::Settings::default(), OpenWindow::open(1, now));
    let closing = Closing {
        settings: &all,
        group: "vps1",
        window: &window,
        now,
        text_of: &|_| None,
        resolve: &|id| id,
    };
    parameters.close(settings, &closing);
}
