//! The push path as clients see it.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use crate::harness::{TestServer, now_nanos, send};

/// Captured requests are as old as the day they were captured.
const ANY_AGE: &str = "ingest: {limits: {reject_old_samples: false}}\n";

fn replay(server: &TestServer, folder: &Path, number: &str) -> u16 {
    let meta: Value =
        serde_json::from_slice(&fs::read(folder.join(format!("{number}.json"))).unwrap()).unwrap();
    let body = fs::read(folder.join(format!("{number}.bin"))).unwrap();
    let keep = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("content-") && name != "content-length" || name == "x-scope-orgid"
    };
    let headers: Vec<(&str, &str)> = meta["headers"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| keep(name))
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    send(server.port, "POST", meta["path"].as_str().unwrap(), &headers, &body).unwrap().status
}

#[track_caller]
fn check(client: &str, number: &str, expected_lines: usize) {
    let server = TestServer::with_config(ANY_AGE);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire").join(client);
    assert_eq!(replay(&server, &folder, number), 204);
    let entries = server.entries("{}");
    assert_eq!(entries.len(), expected_lines, "{entries:#?}");
    assert!(entries.iter().all(|entry| !entry["line"].as_str().unwrap().is_empty()));
    // The same bytes again are a retry.
    assert_eq!(replay(&server, &folder, number), 204);
    assert_eq!(server.entries("{}").len(), expected_lines);
}

/// How many entries a captured body holds, counted by the lines of its own text.
fn captured_lines(client: &str, number: &str) -> usize {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/wire/{client}/{number}.bin"));
    let push = crate::harness::fake::decode_push(&fs::read(path).unwrap());
    push.streams.iter().map(|stream| stream.entries.len()).sum()
}

#[test]
fn every_captured_promtail_push_is_taken_and_read_back() {
    for number in ["000", "001", "003", "005"] {
        check("promtail-3.6.15", number, captured_lines("promtail-3.6.15", number));
    }
}

#[test]
fn every_captured_handler_push_is_taken_and_read_back() {
    check("winston-loki-proto", "000", captured_lines("winston-loki-proto", "000"));
    check("winston-loki-json", "000", 2);
    check("pino-loki", "000", 2);
    check("python-handlers", "000", 1);
    check("python-handlers", "001", 2);
}

#[test]
fn what_is_pushed_is_what_is_read() {
    let server = TestServer::start();
    let time = (now_nanos() - 5_000_000_000).to_string();
    let body = json!({"streams": [{
        "stream": {"job": "x", "host": "h\"1"},
        "values": [[time, "grüße\t\u{1b}[31m"], [time, "second at the same time", {"trace_id": "abc"}]],
    }]});
    assert_eq!(server.push_json(&body).unwrap().status, 204);
    let entries = server.entries(r#"{job="x"}"#);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["line"], "grüße\t\u{1b}[31m");
    assert_eq!(entries[0]["timestamp_ns"], time.as_str());
    assert_eq!(entries[0]["stream"], json!({"host": "h\"1", "job": "x", "service_name": "x"}));
    assert_eq!(entries[1]["metadata"]["trace_id"], "abc");
}

#[test]
fn a_push_with_bad_entries_keeps_the_good_ones_and_says_so() {
    let server = TestServer::start();
    let now = now_nanos();
    let old = now - 30 * 24 * 3_600 * 1_000_000_000;
    let body = json!({"streams": [{"stream": {"job": "x"}, "values": [
        [now.to_string(), "good"],
        [old.to_string(), "too old"],
        [now.to_string(), "x".repeat(300_000)],
    ]}]});
    let response = server.push_json(&body).unwrap();
    assert_eq!(response.status, 400);
    assert!(response.text().contains("has timestamp too old"), "{}", response.text());
    assert!(response.text().contains("max entry size '262144' bytes exceeded"), "{}", response.text());
    assert_eq!(server.lines(r#"{job="x"}"#), ["good"]);
    assert_eq!(server.metric("loki_discarded_samples_total{"), 2);
}

#[test]
fn an_entry_sent_in_two_pushes_is_read_once() {
    let server = TestServer::start();
    let time = now_nanos().to_string();
    let push = |lines: &[&str]| {
        let values: Vec<_> = lines.iter().map(|line| json!([time, line])).collect();
        let body = json!({"streams": [{"stream": {"job": "x"}, "values": values}]});
        assert_eq!(server.push_json(&body).unwrap().status, 204);
    };
    push(&["a", "b"]);
    push(&["b", "c"]);
    let mut seen = BTreeMap::new();
    for line in server.lines(r#"{job="x"}"#) {
        *seen.entry(line).or_insert(0) += 1;
    }
    assert_eq!(seen, BTreeMap::from([("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]));
}

#[test]
fn what_cannot_be_read_is_answered_in_lokis_words() {
    let server = TestServer::start();
    let post = |headers: &[(&str, &str)], body: &[u8]| {
        let response = send(server.port, "POST", "/loki/api/v1/push", headers, body).unwrap();
        (response.status, response.text())
    };
    let json = [("Content-Type", "application/json")];
    assert_eq!(post(&json, b"{}").0, 422);
    assert_eq!(post(&json, b"[").0, 400);
    let (status, text) = post(&[("Content-Type", "application/x-protobuf")], b"\xff\xff\xff\xff\x0fxx");
    assert_eq!(status, 400);
    assert!(text.contains("snappy"), "{text}");
    let (status, text) = post(&[("Content-Type", "application/json"), ("Content-Encoding", "br")], b"{}");
    assert_eq!((status, text.trim_end()), (400, "Content-Encoding \"br\" not supported"));
    assert_eq!(server.get("/ready").status, 200);
}
