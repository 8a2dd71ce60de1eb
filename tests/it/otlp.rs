//! OpenTelemetry's log push over the wire: a captured request, handwritten ones, refusals.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::harness::{Response, TestServer, now_nanos, send};

const PATH: &str = "/otlp/v1/logs";
const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");

/// What the exporter of the Python SDK sent: two records, gzip.
fn captured() -> Vec<u8> {
    let path = "tests/fixtures/wire/otlp-http-python/000.bin";
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn post(server: &TestServer, headers: &[(&str, &str)], body: &[u8]) -> Response {
    send(server.port, "POST", PATH, headers, body).unwrap()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A push of records by one service on one host.
fn document(records: &Value) -> Vec<u8> {
    let resource = json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "host.name", "value": {"stringValue": "web-1"}},
        {"key": "process.pid", "value": {"intValue": "4242"}},
    ]});
    let logs =
        json!({"resource": resource, "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": records}]});
    json!({"resourceLogs": [logs]}).to_string().into_bytes()
}

fn record(time: u64, line: &str) -> Value {
    json!({"timeUnixNano": time.to_string(), "body": {"stringValue": line}})
}

/// A refusal's text: `google.rpc.Status` with the message alone.
#[track_caller]
fn told(response: &Response) -> String {
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    let [0x12, rest @ ..] = response.body.as_slice() else { panic!("{:?}", response.body) };
    let length = filling_length(rest);
    let text = &rest[rest.len() - length..];
    String::from_utf8(text.to_vec()).unwrap()
}

/// The length before a text that fills the rest.
fn filling_length(rest: &[u8]) -> usize {
    let digits = rest.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let length = rest[..digits].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
    assert_eq!(length, rest.len() - digits, "the message is all there is");
    length
}

#[test]
fn a_captured_push_is_taken_once_and_read_back_whole() {
    let server = TestServer::with_config("ingest: {limits: {reject_old_samples: false}}\n");
    // The second is a retry.
    for _ in 0..2 {
        let response = post(&server, &[PROTOBUF, GZIP], &captured());
        assert_eq!((response.status, response.body.len()), (204, 0), "{}", response.text());
    }
    let entries = server.entries(r#"{service_name="checkout"}"#);
    let lines: Vec<_> = entries.iter().map(|entry| entry["line"].as_str().unwrap()).collect();
    assert_eq!(lines, ["payment provider timeout after 30s", "retrying"]);
    assert_eq!(
        entries[0]["stream"],
        json!({
            "deployment_environment": "prod",
            "host_name": "vps3",
            "service_instance_id": "9b10db1d-d22c-469d-9471-b4d466af70e7",
            "service_name": "checkout",
        })
    );
    let expected = json!({
        "telemetry_sdk_language": "python",
        "telemetry_sdk_name": "opentelemetry",
        "telemetry_sdk_version": "1.45.2",
        "scope_name": "o",
        "severity_number": "17",
        "severity_text": "ERROR",
        "order": "1812",
        "code_file_path": "/opt/shop/otel.py",
        "code_function_name": "<module>",
        "code_line_number": "10",
    });
    let mut metadata = entries[0]["metadata"].clone();
    let observed = metadata.as_object_mut().unwrap().remove("observed_timestamp").unwrap();
    let (time, observed) =
        (entries[0]["timestamp_ns"].as_str().unwrap(), observed.as_str().unwrap().to_owned());
    assert!(time.len() == 19 && observed.len() == 19 && *time < *observed, "{time} {observed}");
    assert_eq!(metadata, expected);
    assert_eq!(server.metric(r#"loki_distributor_lines_received_total{format="otlp""#), 4);
    assert_eq!(server.metric(r#"sigyn_ingest_pushes_total{outcome="duplicate"}"#), 1);
}

#[test]
fn json_is_taken_plain_and_compressed_on_both_paths() {
    let server = TestServer::start();
    let time = now_nanos() - 1_000_000_000;
    let body = |line| document(&json!([record(time, line)]));
    let zstd = zstd::encode_all(body("zstd").as_slice(), 3).unwrap();
    for (path, headers, body) in [
        (PATH, vec![JSON], body("plain")),
        (PATH, vec![("Content-Type", "application/json; charset=utf-8")], body("with a charset")),
        (PATH, vec![JSON, GZIP], gzip(&body("gzip"))),
        (PATH, vec![JSON, ("Content-Encoding", "zstd")], zstd),
        ("/v1/logs", vec![JSON], body("short path")),
    ] {
        let response = send(server.port, "POST", path, &headers, &body).unwrap();
        assert_eq!(response.status, 204, "{headers:?}: {}", response.text());
    }
    let undated = json!([{"body": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}}}]);
    assert_eq!(post(&server, &[JSON], &document(&undated)).status, 204);
    let entries = server.entries(r#"{host_name="web-1"}"#);
    let mut lines: Vec<_> = entries.iter().map(|entry| entry["line"].as_str().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["gzip", "plain", "short path", "with a charset", "zstd", r#"{"a":1}"#]);
    assert_eq!(entries[0]["stream"], json!({"host_name": "web-1", "service_name": "shop"}));
    assert_eq!(entries[0]["metadata"], json!({"process_pid": "4242", "scope_name": "lib"}));
}

#[test]
fn what_cannot_be_taken_is_told_as_a_status() {
    let server = TestServer::start();
    let no_stream = "error at least one valid stream is required for ingestion";
    let text = ("Content-Type", "text/plain");
    for (headers, body, status, expected) in [
        (vec![PROTOBUF], b"".as_slice(), 422, no_stream),
        (vec![JSON], b"{}", 422, no_stream),
        (vec![JSON], br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[]}]}]}"#, 422, no_stream),
        (vec![JSON], b"", 400, "EOF"),
        (vec![JSON], br#"{"resourceLogs":[{"#, 400, "EOF while parsing"),
        (vec![PROTOBUF], b"\x0a\xff", 400, ""),
        (vec![PROTOBUF, GZIP], b"nonsense that is no gzip", 400, "gzip: "),
        (vec![text], b"{}", 400, "content type: text/plain is not supported"),
        (vec![JSON, ("Content-Encoding", "br")], b"{}", 400, "Content-Encoding \"br\" not supported"),
    ] {
        let response = post(&server, &headers, body);
        assert_eq!(response.status, status, "{headers:?}");
        assert!(told(&response).starts_with(expected), "{headers:?}: {}", told(&response));
    }
    let put = send(server.port, "PUT", PATH, &[], b"").unwrap();
    assert_eq!((put.status, put.body.len()), (405, 0));
}

#[test]
fn a_push_with_a_bad_record_keeps_the_good_one_and_says_so() {
    let server = TestServer::start();
    let now = now_nanos();
    let old = record(now - 30 * 24 * 3_600 * 1_000_000_000, "old");
    let response = post(&server, &[JSON], &document(&json!([record(now, "good"), old])));
    assert_eq!(response.status, 400);
    assert!(told(&response).contains("has timestamp too old"), "{}", told(&response));
    assert_eq!(server.lines("{}"), ["good"]);
    let discarded =
        r#"loki_discarded_samples_total{format="otlp",policy="",reason="greater_than_max_sample_age""#;
    assert_eq!(server.metric(discarded), 1);
}

#[test]
fn limits_are_those_of_every_push() {
    let server = TestServer::with_config(
        "ingest: {max_body_bytes: 2000, limits: {ingestion_rate_bytes: 1, ingestion_burst_bytes: 100}}\n",
    );
    let large = post(&server, &[JSON], &document(&json!([record(now_nanos(), &"x".repeat(2_000))])));
    assert_eq!(large.status, 413);
    assert!(told(&large).starts_with("request body too large: "));
    let fast = |line: &str| post(&server, &[JSON], &document(&json!([record(now_nanos(), line)])));
    assert_eq!(fast(&"x".repeat(500)).status, 204);
    let refused = fast("next");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    assert!(told(&refused).starts_with("ingestion rate limit exceeded"), "{}", told(&refused));
}

#[test]
fn only_who_may_push_pushes() {
    let server = TestServer::with_config(
        "auth: {tokens: [{name: a, secret: push-it, roles: [push], tenants: [fleet]}, \
         {name: b, secret: read-it, roles: [read], tenants: [fleet]}]}\n",
    );
    let body = document(&json!([record(now_nanos(), "hello")]));
    for (credential, status) in [("", 401), ("Bearer read-it", 403), ("Bearer push-it", 204)] {
        let headers = [JSON, ("Authorization", credential)];
        let headers = if credential.is_empty() { &headers[..1] } else { &headers[..] };
        let response = post(&server, headers, &body);
        assert_eq!(response.status, status, "{credential:?}");
        if status != 204 {
            assert!(response.header("content-type").unwrap().starts_with("text/plain"));
        }
    }
}
