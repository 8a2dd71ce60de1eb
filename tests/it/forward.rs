//! Forwarding by the real server: outages, restarts, refusals.

use std::time::Duration;

use serde_json::json;
use sigyn::wire::labels::LabelText;

use crate::harness::{Answer, FakeService, TestServer, wait_for};

fn config(loki: &FakeService) -> String {
    format!(
        "forward: {{url: \"{}\", tenant: fleet, min_backoff: 20ms, max_backoff: 200ms}}\n",
        loki.url("/loki/api/v1/push")
    )
}

/// The lines of a job in order of arrival, each first arrival once (a restart may send some again).
fn arrived(loki: &FakeService, job: &str) -> Vec<String> {
    let wanted = format!("job=\"{job}\"");
    let mut lines: Vec<String> = Vec::new();
    for stream in loki.pushes().into_iter().flat_map(|(_, push)| push.streams) {
        let LabelText::Text(labels) = &stream.labels else { panic!("labels are text") };
        if String::from_utf8_lossy(labels).contains(&wanted) {
            for entry in stream.entries {
                let line = String::from_utf8_lossy(&entry.line).into_owned();
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
    }
    lines
}

fn wait_for_lines(loki: &FakeService, job: &str, expected: &[String]) {
    wait_for("the lines to arrive", Duration::from_secs(20), || {
        (arrived(loki, job).len() >= expected.len()).then_some(())
    });
    assert_eq!(arrived(loki, job), expected);
}

#[test]
fn an_outage_with_a_restart_in_between_loses_nothing_and_keeps_order() {
    let mut loki = FakeService::loki();
    let mut server = TestServer::with_config(config(&loki));
    let lines = |range: std::ops::Range<u32>| range.map(|n| format!("n {n}")).collect::<Vec<_>>();
    for n in 0..5 {
        server.push(&json!({"job": "a"}), &lines(n * 10..n * 10 + 10));
    }
    wait_for_lines(&loki, "a", &lines(0..50));
    loki.go_away();
    for n in 5..10 {
        server.push(&json!({"job": "a"}), &lines(n * 10..n * 10 + 10));
    }
    server.kill9();
    server.restart();
    for n in 10..12 {
        server.push(&json!({"job": "a"}), &lines(n * 10..n * 10 + 10));
    }
    let retried = || (server.metric("sigyn_forward_retries_total") > 0.0).then_some(());
    wait_for("a retry", Duration::from_secs(10), retried);
    loki.come_back();
    wait_for_lines(&loki, "a", &lines(0..120));
    assert_eq!(loki.pushes()[0].0.as_deref(), Some("fleet"));
}

#[test]
fn refusals_are_counted_and_trouble_is_repeated() {
    let loki = FakeService::loki();
    loki.script([
        Answer { body: b"entry too far behind".to_vec(), ..Answer::status(400) },
        Answer::status(500),
        Answer::status(429),
    ]);
    let server = TestServer::with_config(config(&loki));
    server.push(&json!({"job": "refused"}), &["x"]);
    wait_for("the refusal", Duration::from_secs(10), || {
        (server.metric("sigyn_forward_refused_entries_total{reason=\"400\"}") == 1.0).then_some(())
    });
    server.push(&json!({"job": "kept"}), &["y"]);
    wait_for("the entry", Duration::from_secs(10), || {
        (server.metric("sigyn_forward_entries_total") == 1.0).then_some(())
    });
    let kept: Vec<_> = loki.requests().into_iter().skip(1).map(|request| request.body).collect();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|body| *body == kept[0]));
    assert_eq!(server.log().matches("refuses entries for good").count(), 1);
}

#[test]
fn a_slow_upstream_does_not_slow_the_push_path() {
    let loki = FakeService::start(|_| Answer { delay: Duration::from_secs(5), ..Answer::status(204) });
    let server = TestServer::with_config(config(&loki));
    let started = std::time::Instant::now();
    for n in 0..20 {
        server.push(&json!({"job": "quick"}), &[format!("{n}")]);
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(server.lines(r#"{job="quick"}"#).len(), 20);
}
