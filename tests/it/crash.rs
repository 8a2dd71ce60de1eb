//! Acknowledged means durable: whatever the moment of death, every acknowledged entry is there exactly once.

use std::{
    collections::BTreeMap,
    io::{BufReader, Write},
    net::TcpStream,
    process::ExitStatus,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::harness::{
    TestServer,
    http::{read_head, read_response},
    now_nanos,
    server::stream,
};

const ROUNDS: u64 = 10;
const WRITERS: usize = 4;

/// Pushes from several threads until `after` has passed and the server dies; notes what was acknowledged.
fn push_until_death(
    server: &mut TestServer,
    after: Duration,
    next: &AtomicU64,
    acknowledged: &Mutex<Vec<String>>,
) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let port = server.port;
        for writer in 0..WRITERS {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let lines: Vec<_> =
                        (0..20).map(|_| format!("line {}", next.fetch_add(1, Ordering::SeqCst))).collect();
                    let body = stream(&json!({"job": "crash", "writer": writer.to_string()}), &lines);
                    let headers = [("Content-Type", "application/json")];
                    let path = "/loki/api/v1/push";
                    let answer =
                        crate::harness::send(port, "POST", path, &headers, body.to_string().as_bytes());
                    if answer.is_ok_and(|response| response.status == 204) {
                        acknowledged.lock().unwrap().extend(lines);
                    }
                }
            });
        }
        std::thread::sleep(after);
        server.kill9();
        is_over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn kill_9_at_any_moment_loses_nothing_acknowledged_and_doubles_nothing() {
    let mut server =
        TestServer::with_config("ingest: {limits: {ingestion_rate_bytes: 0, per_stream_rate_bytes: 0}}\n");
    let (next, acknowledged) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    for round in 0..ROUNDS {
        // Spread over 30 to 300 ms without a pattern that group commit could fall into step with.
        let after = Duration::from_millis(30 + (now_nanos() / 1_000 + round * 97) % 270);
        push_until_death(&mut server, after, &next, &acknowledged);
        server.restart();
    }
    let mut stored: BTreeMap<String, u32> = BTreeMap::new();
    for writer in 0..WRITERS {
        for line in all_lines(&server, writer) {
            *stored.entry(line).or_default() += 1;
        }
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > 200, "only {} lines were acknowledged", acknowledged.len());
    let lost: Vec<_> = acknowledged.iter().filter(|line| !stored.contains_key(*line)).collect();
    let doubled: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?}, doubled {doubled:?}");
}

/// All lines of one writer, page by page.
fn all_lines(server: &TestServer, writer: usize) -> Vec<String> {
    let selector = crate::harness::server::escape(&format!("{{writer=\"{writer}\"}}"));
    let (mut from, mut lines) = ("0".to_owned(), Vec::new());
    let mut last_page: Vec<(String, String)> = Vec::new();
    loop {
        let path = format!("/api/v1/entries?selector={selector}&from={from}&limit=5000&direction=forward");
        let answer = server.get_json(&path);
        let page: Vec<(String, String)> = answer["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["timestamp_ns"].as_str().unwrap().to_owned(), e["line"].as_str().unwrap().to_owned()))
            .collect();
        // The next page begins at the last time seen, whose entries come again.
        let fresh = page.iter().filter(|entry| !last_page.contains(entry));
        lines.extend(fresh.map(|(_, line)| line.clone()));
        if answer["is_cut"] == false {
            return lines;
        }
        from = page.last().unwrap().0.clone();
        last_page = page;
    }
}

#[test]
fn the_stop_signal_lets_running_pushes_end_and_exits_clean() {
    let mut server = TestServer::start();
    server.push(&json!({"job": "x"}), &["before"]);
    let status: ExitStatus = server.stop();
    assert!(status.success(), "{status}: {}", server.log());
    server.restart();
    assert_eq!(server.lines(r#"{job="x"}"#), ["before"]);
}

#[test]
fn a_push_under_way_at_the_stop_signal_is_stored_and_answered() {
    let mut server = TestServer::start();
    let body = stream(&json!({"job": "late"}), &["in flight"]).to_string();
    let (first, rest) = body.split_at(body.len() / 2);
    let mut client = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(client.try_clone().unwrap());
    // The server asks for the body: the push is under way.
    let (status, _) = read_head(&mut reader).unwrap();
    assert!(status.contains(" 100 "), "{status}");
    client.write_all(first.as_bytes()).unwrap();
    server.terminate();
    crate::harness::wait_for("the door to close", Duration::from_secs(30), || {
        TcpStream::connect(("127.0.0.1", server.port)).is_err().then_some(())
    });
    client.write_all(rest.as_bytes()).unwrap();
    assert_eq!(read_response(&mut reader).unwrap().status, 204);
    let status = server.wait_exit();
    assert!(status.success(), "{status}: {}", server.log());
    server.restart();
    assert_eq!(server.lines(r#"{job="late"}"#), ["in flight"]);
}

#[test]
fn a_database_of_a_newer_version_is_refused_with_a_clear_message() {
    let mut server = TestServer::start();
    assert!(server.stop().success());
    let database = std::fs::read_dir(&server.data_dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "db"))
        .expect("a database file");
    let conn = rusqlite::Connection::open(&database).unwrap();
    conn.pragma_update(None, "user_version", 9_999).unwrap();
    drop(conn);
    assert!(!server.run_to_end().success());
    assert!(server.log().contains("newer"), "{}", server.log());
}

#[test]
fn a_damaged_database_is_refused_with_a_clear_message() {
    let mut server = TestServer::prepare(Default::default());
    std::fs::create_dir_all(&server.data_dir).unwrap();
    std::fs::write(server.data_dir.join("sigyn.db"), vec![b'x'; 8_192]).unwrap();
    assert!(!server.run_to_end().success());
    assert!(server.log().contains("is damaged"), "{}", server.log());
}
