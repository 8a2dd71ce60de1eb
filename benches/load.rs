//! End-to-end load over loopback: starts the server, pushes generated lines, says what it cost.
//!
//! `cargo bench --bench load -- [--scenario bulk|small|streams|single|idle|all] [--lines N] [--binary PATH] [--env K=V]`
//! Bodies are encoded before the clock starts, so that this program takes little of the machine from the server.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measuring program of one person: it prints, and gives up loudly"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use sigyn::{
    model::{Entry, Timestamp},
    wire::encode,
};

/// One row of the table of targets.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    name: &'static str,
    streams: usize,
    streams_per_push: usize,
    lines_per_push: usize,
    connections: usize,
    default_lines: usize,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "bulk",
        streams: 200,
        streams_per_push: 1,
        lines_per_push: 1_000,
        connections: 8,
        default_lines: 1_000_000,
    },
    Scenario {
        name: "small",
        streams: 200,
        streams_per_push: 1,
        lines_per_push: 50,
        connections: 16,
        default_lines: 500_000,
    },
    Scenario {
        name: "streams",
        streams: 10_000,
        streams_per_push: 100,
        lines_per_push: 1_000,
        connections: 8,
        default_lines: 1_000_000,
    },
    Scenario {
        name: "single",
        streams: 200,
        streams_per_push: 1,
        lines_per_push: 50,
        connections: 1,
        default_lines: 100_000,
    },
];

/// Ticks per second of the CPU times in /proc; fixed on Linux.
const TICKS: f64 = 100.0;
/// How long the server may go on working on what it has taken.
const SETTLE: Duration = Duration::from_secs(120);

struct Arguments {
    scenario: String,
    lines: Option<usize>,
    binary: PathBuf,
    env: Vec<(String, String)>,
}

fn main() {
    let arguments = arguments();
    if arguments.scenario == "idle" || arguments.scenario == "all" {
        idle(&arguments);
    }
    for scenario in SCENARIOS {
        if arguments.scenario == scenario.name || arguments.scenario == "all" {
            run(&arguments, scenario);
        }
    }
}

fn arguments() -> Arguments {
    let mut found = Arguments {
        scenario: "all".to_owned(),
        lines: None,
        binary: PathBuf::from(env!("CARGO_BIN_EXE_sigyn")),
        env: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--scenario" => found.scenario = words.next().expect("--scenario NAME"),
            "--lines" => found.lines = Some(words.next().expect("--lines N").parse().expect("a number")),
            "--binary" => found.binary = words.next().expect("--binary PATH").into(),
            "--env" => {
                let pair = words.next().expect("--env KEY=VALUE");
                let (name, value) = pair.split_once('=').expect("--env KEY=VALUE");
                found.env.push((name.to_owned(), value.to_owned()));
            }
            // What cargo adds by itself.
            "--bench" => {}
            other => panic!("unknown argument: {other}"),
        }
    }
    found
}

fn idle(arguments: &Arguments) {
    let server = Server::start(arguments);
    std::thread::sleep(Duration::from_secs(1));
    println!(
        "idle     ready after {:.3} s, RSS {:.1} MiB",
        server.ready_after.as_secs_f64(),
        server.memory("VmRSS")
    );
}

fn run(arguments: &Arguments, scenario: Scenario) {
    let lines = arguments.lines.unwrap_or(scenario.default_lines);
    let pushes = lines.div_ceil(scenario.lines_per_push);
    let bodies: Vec<Bytes> = (0..pushes).map(|push| body(scenario, push)).collect();
    let server = Server::start(arguments);
    let before = server.cpu_seconds();
    let started = Instant::now();
    let mut waits = push_all(&bodies, scenario.connections, server.port);
    let took = started.elapsed().as_secs_f64();
    let answered = server.cpu_seconds() - before;
    let settled = server.settled_cpu_seconds() - before;
    waits.sort_unstable();
    let lines = (pushes * scenario.lines_per_push) as f64;
    println!(
        "{:<8} {:>9.0} lines/s, push p50 {:.2} ms p99 {:.2} ms, CPU s/M lines {:.2} answered {:.2} settled, \
         RSS peak {:.1} MiB, ready after {:.3} s, disk {:.1} bytes/line",
        scenario.name,
        lines / took,
        quantile(&waits, 0.5),
        quantile(&waits, 0.99),
        answered / lines * 1e6,
        settled / lines * 1e6,
        server.memory("VmHWM"),
        server.ready_after.as_secs_f64(),
        server.disk_bytes() / lines,
    );
}

fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() - 1) as f64 * share) as usize;
    sorted[at].as_secs_f64() * 1e3
}

/// Pushes every body once; each connection takes its share in order. Gives every push's duration.
fn push_all(bodies: &[Bytes], connections: usize, port: u16) -> Vec<Duration> {
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|at| scope.spawn(move || push_share(bodies.iter().skip(at).step_by(connections), port)))
            .collect();
        senders.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect()
    })
}

fn push_share<'a>(bodies: impl Iterator<Item = &'a Bytes>, port: u16) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_nodelay(true).expect("nodelay");
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    bodies.map(|body| push(&mut stream, &mut reader, body)).collect()
}

/// Pushes until the answer is 204; overload is answered by waiting, as clients do.
fn push(stream: &mut TcpStream, reader: &mut impl BufRead, body: &[u8]) -> Duration {
    let mut request = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: bench\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        encode::CONTENT_TYPE,
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    let started = Instant::now();
    loop {
        stream.write_all(&request).expect("a push");
        match answer(reader) {
            204 => return started.elapsed(),
            429 => std::thread::sleep(Duration::from_millis(20)),
            other => panic!("status {other}"),
        }
    }
}

fn answer(reader: &mut impl BufRead) -> u16 {
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        reader.read_line(&mut line).expect("an answer");
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest.split(' ').next().and_then(|code| code.trim().parse().ok()).expect("a status");
        } else if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a length");
            }
        } else {
            let mut rest = vec![0; length];
            reader.read_exact(&mut rest).expect("the answer's body");
            return status;
        }
    }
}

/// The body of one push; the same number makes the same lines.
fn body(scenario: Scenario, push: usize) -> Bytes {
    let base = wall_nanos() - 60_000_000_000;
    let per_stream = scenario.lines_per_push / scenario.streams_per_push;
    let stream = |at: usize| {
        let id = (push * scenario.streams_per_push + at) % scenario.streams;
        let labels =
            format!("{{filename=\"/var/log/app-{id}.log\", host=\"web-{}\", job=\"app-{id}\"}}", id % 20);
        let entry = |n: usize| {
            let number = (push * scenario.streams_per_push + at) * per_stream + n;
            Entry {
                timestamp: Timestamp::from_nanos(base + number as i64 * 1_000),
                line: Bytes::from(line(number)),
                metadata: Vec::new(),
            }
        };
        encode::Stream { labels: Bytes::from(labels), entries: (0..per_stream).map(entry).collect() }
    };
    encode::encode((0..scenario.streams_per_push).map(stream).collect()).expect("a small push")
}

/// A line of a VPS, about 150 bytes on average, with the values that vary in such lines.
fn line(number: usize) -> String {
    // Spreads neighbouring numbers: values should not compress away.
    let mix = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let ip = format!("10.{}.{}.{}", mix >> 56, mix >> 48 & 0xff, mix >> 40 & 0xff);
    let (second, pid) = (number / 1_000 % 60, mix % 32_768);
    match number % 8 {
        0 | 1 => format!(
            "{ip} - - [21/Nov/2026:10:00:{second:02} +0000] \"GET /item/{} HTTP/1.1\" 200 {} \
             \"https://shop.example/cart\" \"Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0\"",
            mix % 9_973,
            mix % 50_021
        ),
        2 => format!(
            "Nov 21 10:00:{second:02} web-1 sshd[{pid}]: Connection closed by {ip} port {} [preauth]",
            mix % 65_536
        ),
        3 => format!(
            "level=info ts=2026-11-21T10:00:{second:02}.{:03}Z caller=order/store.go:118 msg=\"order stored\" \
             order={} took={}ms customer={ip} region=eu-central payment=card",
            mix % 1_000,
            mix % 1_000_003,
            mix % 977
        ),
        4 => format!(
            "Nov 21 10:00:{second:02} web-1 systemd[1]: var-lib-docker-overlay2-{mix:016x}{:016x}-merged.mount: \
             Deactivated successfully.",
            mix.rotate_left(17)
        ),
        5 => format!(
            "{{\"log\":\"INFO worker-{}: finished job {} of queue mail in {} ms, {} left\\n\",\"stream\":\"stdout\",\
             \"time\":\"2026-11-21T10:00:{second:02}.{:09}Z\"}}",
            mix % 8,
            mix % 1_000_003,
            mix % 977,
            mix % 120,
            mix % 1_000_000_000
        ),
        6 => format!(
            "2026-11-21 10:00:{second:02}.{:03} UTC [{pid}] shop@shop LOG:  duration: {}.{:03} ms  statement: SELECT id, \
             name, price FROM item WHERE id = {} AND deleted_at IS NULL",
            mix % 1_000,
            mix % 977,
            mix % 1_000,
            mix % 9_973
        ),
        _ => format!(
            "Nov 21 10:00:{second:02} web-1 CRON[{pid}]: (www-data) CMD (cd /srv/shop/current && /usr/bin/php \
             artisan schedule:run --no-interaction >> /dev/null 2>&1)"
        ),
    }
}

#[expect(clippy::disallowed_methods, reason = "a log sender has a wall clock")]
fn wall_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_nanos()).expect("before 2262")
}

/// The server under load.
struct Server {
    child: Child,
    port: u16,
    ready_after: Duration,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(arguments: &Arguments) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let config = folder.path().join("sigyn.yaml");
        let limits =
            "ingest: {limits: {ingestion_rate_bytes: 0, per_stream_rate_bytes: 0, max_streams: 0}}\n";
        fs::write(&config, limits).expect("a file");
        let started = Instant::now();
        let child = Command::new(&arguments.binary)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--config")
            .arg(config)
            .env_clear()
            .envs(arguments.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server");
        while !is_ready(port) {
            assert!(started.elapsed() < Duration::from_secs(30), "the server does not become ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        Server { child, port, ready_after: started.elapsed(), folder }
    }

    /// User and system time so far.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a running server");
        let after_name = stat.rsplit(") ").next().expect("fields");
        let fields: Vec<f64> =
            after_name.split(' ').map(|field| field.trim().parse().unwrap_or(0.0)).collect();
        (fields[11] + fields[12]) / TICKS
    }

    /// The same once the server has been quiet for two seconds: all lines analysed and compacted.
    fn settled_cpu_seconds(&self) -> f64 {
        let started = Instant::now();
        loop {
            let before = self.cpu_seconds();
            std::thread::sleep(Duration::from_secs(2));
            let now = self.cpu_seconds();
            if now - before < 0.03 || started.elapsed() > SETTLE {
                return now;
            }
        }
    }

    /// A size from /proc in MiB.
    fn memory(&self, name: &str) -> f64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running server");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the size");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
    }

    fn disk_bytes(&self) -> f64 {
        let files = fs::read_dir(self.folder.path().join("data")).expect("the data folder");
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len() as f64)).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET /ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    let mut text = String::new();
    asked.is_ok() && stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.1 200")
}
