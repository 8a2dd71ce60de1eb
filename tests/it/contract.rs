//! The push contract of Loki's clients over the wire: headers, encodings, methods, framing.

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use flate2::{Compression, write};
use serde_json::json;
use sigyn::{
    model::{Entry, Timestamp},
    wire::encode::{self, Stream},
};

use crate::harness::{
    TestServer, fake,
    http::{read_head, read_response},
    now_nanos, send,
    server::stream,
};

const PUSH: &str = "/loki/api/v1/push";

/// A push of one line in each of the forms the wire knows.
struct Bodies {
    json: Vec<u8>,
    snappy: Vec<u8>,
    bare: Vec<u8>,
}

impl Bodies {
    fn new() -> Self {
        let entry = Entry {
            timestamp: Timestamp::from_nanos(i64::try_from(now_nanos()).unwrap()),
            line: "the line".into(),
            metadata: Vec::new(),
        };
        let sent = Stream { labels: r#"{job="x"}"#.into(), entries: vec![entry] };
        let snappy = encode::encode(vec![sent]).unwrap().to_vec();
        let mut bare = vec![0; snap::raw::decompress_len(&snappy).unwrap()];
        snap::raw::Decoder::new().decompress(&snappy, &mut bare).unwrap();
        let json = stream(&json!({"job": "x"}), &["the line"]).to_string().into_bytes();
        Bodies { json, snappy, bare }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Content-Type and Content-Encoding (empty: not sent), body, status, text (where one is promised).
type Row<'a> = (&'a str, &'a str, Vec<u8>, u16, &'a str);

#[test]
fn every_content_type_and_encoding_is_answered_as_clients_expect() {
    let server = TestServer::start();
    let Bodies { json, snappy, bare } = Bodies::new();
    let (protobuf, document) = ("application/x-protobuf", "application/json");
    let rows: Vec<Row<'_>> = vec![
        // What Loki takes.
        (protobuf, "", snappy.clone(), 204, ""),
        (protobuf, "snappy", snappy.clone(), 204, ""),
        (protobuf, "gzip", gzip(&snappy), 204, ""),
        ("application/x-protobuf; proto=x", "", snappy.clone(), 204, ""),
        ("text/plain", "", snappy.clone(), 204, ""),
        ("application/octet-stream", "", snappy.clone(), 204, ""),
        ("application/x-snappy", "", snappy.clone(), 204, ""),
        (document, "", json.clone(), 204, ""),
        ("APPLICATION/Json", "", json.clone(), 204, ""),
        ("application/json; charset=utf-8", "", json.clone(), 204, ""),
        (document, "gzip", gzip(&json), 204, ""),
        (document, "deflate", raw_deflate(&json), 204, ""),
        (document, "snappy", json.clone(), 204, ""),
        // What Loki refuses and clients send all the same.
        (protobuf, "gzip", gzip(&bare), 204, ""),
        (protobuf, "", bare.clone(), 204, ""),
        ("", "", snappy.clone(), 204, ""),
        ("", "", json.clone(), 204, ""),
        (document, "deflate", zlib(&json), 204, ""),
        (document, "zstd", zstd::encode_all(json.as_slice(), 3).unwrap(), 204, ""),
        (protobuf, "identity", snappy.clone(), 204, ""),
        (document, "GZIP", gzip(&json), 204, ""),
        // What nobody takes.
        ("application/json; charset", "", json.clone(), 400, "mime: invalid media parameter"),
        (document, "br", json.clone(), 400, "Content-Encoding \"br\" not supported"),
        ("", "br", json.clone(), 400, "Content-Encoding \"br\" not supported"),
        (protobuf, "snappy, gzip", snappy.clone(), 400, "Content-Encoding \"snappy, gzip\" not supported"),
        (protobuf, "", b"\x7fnonsense".to_vec(), 400, "snappy: corrupt input"),
        (protobuf, "gzip", gzip(b"\x7fnonsense"), 400, "snappy: corrupt input"),
        (document, "", Vec::new(), 400, "EOF"),
        (document, "", b"{}".to_vec(), 422, "error at least one valid stream is required for ingestion"),
    ];
    for (content_type, encoding, body, status, text) in rows {
        let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
        let headers: Vec<_> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let answer = send(server.port, "POST", PUSH, &headers, &body).unwrap();
        let shown = (answer.status, answer.text().trim_end().to_owned());
        assert_eq!(shown, (status, text.to_owned()), "{content_type:?} {encoding:?}");
    }
}

#[test]
fn only_post_pushes_and_only_the_exact_path_takes_it() {
    let server = TestServer::start();
    for path in [PUSH, "/api/prom/push"] {
        for method in ["PUT", "OPTIONS"] {
            let answer = send(server.port, method, path, &[], b"").unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (405, ""), "{method} {path}");
        }
        assert!(matches!(server.get(path).status, 404 | 405));
    }
    let json = [("Content-Type", "application/json")];
    let body = Bodies::new().json;
    let slash = send(server.port, "POST", "/loki/api/v1/push/", &json, &body).unwrap();
    assert_eq!((slash.status, slash.text().trim_end()), (404, "404 page not found"));
    let query = send(server.port, "POST", "/loki/api/v1/push?tenant=x&y", &json, &body).unwrap();
    assert_eq!(query.status, 204);
    assert!(query.body.is_empty() && query.header("content-type").is_none(), "{:?}", query.headers);
    assert_eq!(server.lines(r#"{job="x"}"#), ["the line"]);
}

/// Opens a connection and sends a head.
fn connect(server: &TestServer, head: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let server = TestServer::start();
    let body = Bodies::new().json;
    let head = format!(
        "POST {PUSH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = connect(&server, &head);
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    assert_eq!(read_head(&mut reader).unwrap().0, "HTTP/1.1 100 Continue");
    socket.write_all(&body).unwrap();
    assert_eq!(read_response(&mut reader).unwrap().status, 204);
}

#[test]
fn chunked_bodies_and_http_1_0_are_taken() {
    let server = TestServer::start();
    let body = Bodies::new().json;
    let head = format!(
        "POST {PUSH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut socket = connect(&server, &head);
    for part in body.chunks(7) {
        socket.write_all(format!("{:x}\r\n", part.len()).as_bytes()).unwrap();
        socket.write_all(part).unwrap();
        socket.write_all(b"\r\n").unwrap();
    }
    socket.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut BufReader::new(socket)).unwrap().status, 204);

    let length = body.len();
    let head =
        format!("POST {PUSH} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    let mut socket = connect(&server, &head);
    socket.write_all(&body).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 204"), "{answer}");
}

#[test]
fn http_2_with_prior_knowledge_is_spoken() {
    let server = TestServer::start();
    // Preface and an empty SETTINGS frame; the server's own SETTINGS (type 4, stream 0) must answer.
    let mut socket = connect(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut frame = [0; 9];
    socket.read_exact(&mut frame).unwrap();
    assert_eq!((frame[3], &frame[5..]), (4, [0, 0, 0, 0].as_slice()));
}

#[test]
fn a_stop_ends_live_event_streams_at_once() {
    let mut server = TestServer::start();
    let socket = connect(&server, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut reader = BufReader::new(socket);
    assert_eq!(read_head(&mut reader).unwrap().0, "HTTP/1.1 200 OK");
    let asked = std::time::Instant::now();
    assert!(server.stop().success());
    // The drain timeout is ten seconds; a stream that is told ends long before.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
}

/// One entry as (nanoseconds, line, metadata).
type Shown = (i64, String, Vec<(String, String)>);

fn captured(number: &str) -> Vec<(String, Vec<Shown>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire/promtail-3.6.15");
    let request = fake::decode_push(&std::fs::read(folder.join(format!("{number}.bin"))).unwrap());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let entry = |entry: &Entry| {
        let metadata = entry.metadata.iter().map(|(name, value)| (text(name), text(value))).collect();
        (entry.timestamp.as_nanos(), text(&entry.line), metadata)
    };
    let streams = request.streams.iter();
    streams.map(|s| (text(s.labels.as_bytes()), s.entries.iter().map(entry).collect())).collect()
}

#[test]
fn captured_promtail_pushes_are_read_to_the_last_byte() {
    let auth = r#"{filename="/var/log/auth.log", host="vps1", job="auth", region="eu"}"#.to_owned();
    let plain = |nanos, line: &str| (nanos, line.to_owned(), Vec::new());
    let oom = "Nov 21 01:11:00 vps1 kernel: Out of memory: Killed process 31248 (node) total-vm:1048576kB, \
               anon-rss:524288kB";
    let sudo = "Nov 21 01:11:05 vps1 sudo:   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; \
                COMMAND=/usr/bin/apt update \"quoted\" \\ back\tslash";
    for (number, nanos, line) in [
        ("001", 1_795_226_134_841_776_511, oom),
        ("002", 1_795_226_134_841_776_511, oom),
        ("003", 1_795_226_139_864_807_632, sudo),
        ("004", 1_795_226_139_864_807_632, sudo),
        ("005", 1_795_226_145_883_996_903, "line five"),
    ] {
        assert_eq!(captured(number), [(auth.clone(), vec![plain(nanos, line)])], "{number}");
    }

    let first = captured("000");
    let shape: Vec<_> = first.iter().map(|(labels, entries)| (labels.as_str(), entries.len())).collect();
    let nginx = |status: &str| {
        format!(
            r#"{{filename="/var/log/nginx/access.log", host="vps1", job="nginx_access", region="eu"{status}}}"#
        )
    };
    let docker = |stream: &str| {
        format!(
            r#"{{filename="/var/log/app.json.log", host="vps1", job="docker", region="eu", stream="{stream}"}}"#
        )
    };
    let expected = [
        (docker("stderr"), 2),
        (auth, 5),
        (nginx(r#", status="404""#), 1),
        (nginx(""), 1),
        (docker("stdout"), 1),
        (nginx(r#", status="200""#), 1),
    ];
    assert_eq!(shape, expected.each_ref().map(|(labels, lines)| (labels.as_str(), *lines)));
    assert_eq!(first[0].1[1].0, 1_795_223_404_123_499_001);
    assert_eq!(first[0].1[1].1, "    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)\n");
    assert_eq!(first[3].1[0].1, "数据库连接失败: ERR_DB_CONN 重试 3 次");
    let pairs = |status: &str| vec![("method".into(), "GET".into()), ("status".into(), status.to_owned())];
    assert_eq!((&first[2].1[0].2, &first[5].1[0].2), (&pairs("404"), &pairs("200")));
}
