//! More than the server should take, and clients that take their time.

use std::{
    io::{BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{TestServer, http::read_response, server::stream};

#[test]
fn more_than_the_rate_is_answered_429_and_later_taken() {
    let server = TestServer::with_config(
        "ingest: {limits: {ingestion_rate_bytes: 20000, ingestion_burst_bytes: 20000}}\n",
    );
    let body = |n: usize| stream(&json!({"job": "x"}), &[format!("{n} {}", "y".repeat(15_000))]);
    assert_eq!(server.push_json(&body(1)).unwrap().status, 204);
    let second = body(2);
    let refused = server.push_json(&second).unwrap();
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("ingestion rate limit exceeded for user"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    let taken = || (server.push_json(&second).unwrap().status == 204).then_some(());
    crate::harness::wait_for("the rate to recover", Duration::from_secs(10), taken);
    assert_eq!(server.lines(r#"{job="x"}"#).len(), 2);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let server = TestServer::with_config("ingest: {max_body_bytes: 1000}\n");
    let response = server.push_json(&stream(&json!({"job": "x"}), &["z".repeat(2_000)])).unwrap();
    assert_eq!(response.status, 413);
    assert!(response.text().contains("request body too large"), "{}", response.text());
}

#[test]
fn a_client_that_dawdles_is_cut_off_and_holds_nobody_up() {
    let server = TestServer::with_config("listen: {header_timeout: 500ms, body_timeout: 500ms}\n");
    let started = Instant::now();
    let mut slow = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    slow.write_all(b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    let mut silent = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    silent.write_all(b"POST /loki").unwrap();
    server.push(&json!({"job": "quick"}), &["served meanwhile"]);
    for stream in [slow, silent] {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let answer = read_response(&mut BufReader::new(stream));
        assert!(answer.map_or(true, |response| response.status == 408), "cut off or told");
    }
    assert!(started.elapsed() < Duration::from_secs(8));
}
