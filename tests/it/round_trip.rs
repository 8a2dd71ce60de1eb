//! Whatever a client pushes is what readers get, through the real path and after a crash.

use std::{cell::Cell, collections::BTreeMap};

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::harness::{TestServer, now_nanos};

/// One line as pushed: nanoseconds after the first, text, structured metadata.
type Line = (u64, String, BTreeMap<String, String>);

fn line() -> impl Strategy<Value = Line> {
    let text = prop_oneof![any::<String>(), "[ -~]{1,300}", "(level=error )?\\PC{1,80}"];
    (0..2_000_000_000_u64, text, btree_map("m[a-z]{1,5}", "[a-z0-9 ]{1,12}", 0..3))
}

/// A line as read: its time, text, structured metadata.
type Stored = (String, String, BTreeMap<String, String>);

/// What a reader is told about a line, without what the server adds itself.
fn shown(entry: &Value) -> Stored {
    let metadata = entry["metadata"].as_object().into_iter().flatten();
    let own = metadata.filter(|(name, _)| name.starts_with('m'));
    (
        entry["timestamp_ns"].as_str().unwrap().to_owned(),
        entry["line"].as_str().unwrap().to_owned(),
        own.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
    )
}

#[test]
fn what_is_pushed_is_what_is_read_also_after_a_crash() {
    let mut server = TestServer::start();
    let (case, mut expected) = (Cell::new(0_u32), Vec::new());
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let pushed = std::cell::RefCell::new(&mut expected);
    runner
        .run(&vec(vec(line(), 1..12), 1..4), |streams| {
            case.set(case.get() + 1);
            let first = now_nanos() - 60_000_000_000;
            let mut body = Vec::new();
            for (number, lines) in streams.iter().enumerate() {
                let id = format!("{}-{number}", case.get());
                let values = lines
                    .iter()
                    .map(|(after, text, metadata)| json!([(first + after).to_string(), text, metadata]));
                body.push(
                    json!({"stream": {"job": "round-trip", "id": id}, "values": values.collect::<Vec<_>>()}),
                );
                let mut stored: Vec<_> = lines
                    .iter()
                    .map(|(after, text, metadata)| {
                        ((first + after).to_string(), text.clone(), metadata.clone())
                    })
                    .collect();
                stored.sort();
                pushed.borrow_mut().push((id, stored));
            }
            let answer = server.push_json(&json!({"streams": body})).unwrap();
            prop_assert_eq!(answer.status, 204, "{}", answer.text());
            Ok(())
        })
        .unwrap();
    check(&server, &expected);
    server.kill9();
    server.restart();
    check(&server, &expected);
}

#[track_caller]
fn check(server: &TestServer, expected: &[(String, Vec<Stored>)]) {
    for (id, stored) in expected {
        let mut read: Vec<_> = server.entries(&format!("{{id=\"{id}\"}}")).iter().map(shown).collect();
        read.sort();
        let mut once = stored.clone();
        once.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
        assert_eq!(read, once, "stream {id}");
    }
}
