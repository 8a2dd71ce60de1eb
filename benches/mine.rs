//! Cost of mining one line of each common kind, after warm-up: divide 1,000 lines' time by 1,000.

use std::sync::{Arc, atomic::AtomicU64};

use divan::{Bencher, counter::ItemsCount};
use sigyn::{
    analyze::mine::{Miner, Settings},
    model::Timestamp,
    wire::stamp,
};

fn main() {
    divan::main();
}

/// Lines per round.
const LINES: usize = 1_000;

fn sshd(n: usize) -> String {
    let user = ["root", "admin", "oracle", "deploy", "git"].get(n % 5).unwrap_or(&"root");
    let (a, port) = (n % 250, 1_024 + n % 60_000);
    format!("Failed password for invalid user {user} from 203.0.113.{a} port {port} ssh2")
}

fn nginx(n: usize) -> String {
    let (a, path, size) = (n % 250, n % 97, n * 37 % 90_000);
    format!(
        "198.51.100.{a} - - [21/Nov/2026:10:{:02}:{:02} +0000] \"GET /shop/item/{path}?ref=mail HTTP/1.1\" 200 {size} \"-\" \"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\"",
        n / 60 % 60,
        n % 60
    )
}

fn postgres(n: usize) -> String {
    format!(
        "2026-11-21 10:00:{:02}.{:03} UTC [{n}] app@shop LOG:  duration: {n}.531 ms  statement: SELECT id, name FROM item WHERE id = {n} ORDER BY name",
        n % 60,
        n % 1_000
    )
}

fn json(n: usize) -> String {
    format!(
        r#"{{"ts":"2026-11-21T10:00:{:02}Z","level":"info","msg":"request completed","method":"GET","path":"/api/item/{n}","status":200,"duration_ms":{n},"user":"u{n}"}}"#,
        n % 60
    )
}

fn run(bencher: Bencher<'_, '_>, line: fn(usize) -> String) {
    let lines: Vec<String> = (0..LINES).map(line).collect();
    let mut miner = Miner::new(&Settings::default(), 1, Arc::new(AtomicU64::new(1)));
    for line in &lines {
        miner.observe(line, Timestamp::default());
    }
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        for line in &lines {
            divan::black_box(miner.observe(divan::black_box(line), Timestamp::default()).template);
        }
    });
}

/// Reading the time at the head of a line.
#[divan::bench(args = ["iso", "syslog", "access", "json", "logfmt", "none"])]
fn stamps(bencher: Bencher<'_, '_>, form: &str) {
    let line = match form {
        "iso" => "2026-11-21 10:00:00.123 INFO [main] org.example.Main: started in 15 ms",
        "syslog" => "Nov 21 10:00:00 web1 sshd[812]: Accepted publickey for deploy from 203.0.113.7 port 22",
        "access" => "198.51.100.7 - - [21/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl/8\"",
        "json" => r#"{"level":"info","msg":"request completed","time":"2026-11-21T10:00:00Z","status":200}"#,
        "logfmt" => "level=info msg=\"request completed\" ts=2026-11-21T10:00:00Z status=200",
        _ => "connection of client 203.0.113.7 was closed after 15 ms without any time in the line",
    };
    bencher.bench(|| stamp::read(divan::black_box(line), Timestamp::from_secs(1_795_000_000)));
}

#[divan::bench]
fn sshd_lines(bencher: Bencher<'_, '_>) {
    run(bencher, sshd);
}

#[divan::bench]
fn nginx_lines(bencher: Bencher<'_, '_>) {
    run(bencher, nginx);
}

#[divan::bench]
fn postgres_lines(bencher: Bencher<'_, '_>) {
    run(bencher, postgres);
}

#[divan::bench]
fn json_lines(bencher: Bencher<'_, '_>) {
    run(bencher, json);
}

#[divan::bench]
fn mixed_lines(bencher: Bencher<'_, '_>) {
    run(bencher, |n| match n % 4 {
        0 => sshd(n),
        1 => nginx(n),
        2 => postgres(n),
        _ => json(n),
    });
}
