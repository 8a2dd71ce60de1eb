//! `/metrics` as Prometheus reads it.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::{
    harness::{TestServer, send, skip},
    story::{brute_force, grave_finding_about, labels},
};

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let server = TestServer::start();
    server.push(&json!({"job": "x"}), &["one line"]);
    server.push(&labels(), &brute_force("203.0.113.30", true));
    grave_finding_about(&server, "203.0.113.30", Duration::from_secs(60));
    assert_eq!(send(server.port, "POST", "/loki/api/v1/push", &[], b"[").unwrap().status, 400);
    let text = server.get("/metrics").text();
    for name in [
        "sigyn_forward_entries_total",
        "loki_request_duration_seconds",
        "loki_distributor_lines_received_total",
    ] {
        assert!(text.contains(name), "{name} is missing");
    }
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else { return skip("promtool is not installed") };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
