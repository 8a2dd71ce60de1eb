//! Incidents over the real binary: a chain over two streams is one, and what people teach hides what comes next.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{TestServer, now_nanos, send, server::escape, wait_for};

const LIMIT: Duration = Duration::from_secs(60);
const ATTACKER: &str = "203.0.113.5";

fn call(server: &TestServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer =
        send(server.port, method, path, &[("Content-Type", "application/json")], body.as_bytes()).unwrap();
    let status = answer.status;
    (status, if answer.text().is_empty() { Value::Null } else { answer.json() })
}

fn incidents(server: &TestServer) -> Vec<Value> {
    server.get_json("/api/v1/incidents")["incidents"].as_array().unwrap().clone()
}

fn host() -> Value {
    json!({"job": "auth", "host": "vps1"})
}

fn guesses(ip: &str, user: &str, count: usize) -> Vec<String> {
    let line = |n: usize| {
        let (second, pid) = (n % 60, 4_100 + n);
        format!(
            "Nov 21 03:12:{second:02} vps1 sshd[{pid}]: Failed password for {user} from {ip} port {} ssh2",
            40_000 + n
        )
    };
    (0..count).map(line).collect()
}

#[test]
fn a_chain_over_two_streams_is_one_incident() {
    let mut server = TestServer::with_config("analyze: {window: 1s}\n");
    let blocked = |port: u16| {
        format!(
            "Nov 21 03:10:01 vps1 kernel: [UFW BLOCK] IN=eth0 OUT= MAC=00 SRC={ATTACKER} DST=198.51.100.5 LEN=44 PROTO=TCP SPT=4000 DPT={port} WINDOW=1024"
        )
    };
    let scan: Vec<String> = (20..50).map(blocked).collect();
    server.push(&json!({"job": "kernel", "host": "vps1"}), &scan);
    let seen = |roles: &'static [&'static str]| {
        move |server: &TestServer| {
            let all = incidents(server);
            let [incident] = all.as_slice() else { return None };
            let told: Vec<_> =
                incident["timeline"].as_array()?.iter().filter_map(|entry| entry["role"].as_str()).collect();
            roles.iter().all(|role| told.contains(role)).then(|| incident.clone())
        }
    };
    wait_for("the scan", LIMIT, || seen(&["scan"])(&server));
    server.push(&host(), &guesses(ATTACKER, "deploy", 40));
    wait_for("the attempts", LIMIT, || seen(&["scan", "attempt"])(&server));
    // A crash in between neither loses nor doubles anything.
    server.kill9();
    server.restart();
    let login = format!(
        "Nov 21 03:13:01 vps1 sshd[5100]: Accepted password for deploy from {ATTACKER} port 51999 ssh2"
    );
    server.push(&host(), &[login]);
    wait_for("the login", LIMIT, || seen(&["scan", "attempt", "entry"])(&server));
    let sudo = "Nov 21 03:14:01 vps1 sudo[5200]:   deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/bin/bash";
    server.push(&host(), &[sudo]);
    let chain =
        wait_for("the whole chain", LIMIT, || seen(&["scan", "attempt", "entry", "privilege"])(&server));
    let title = chain["title"].as_str().unwrap();
    assert!(title.starts_with("203.0.113.5 broke into vps1 as deploy after a scan and "), "{title}");
    assert!(title.ends_with(" failed logins, then used sudo"), "{title}");
    assert_eq!(chain["source_ips"], json!([ATTACKER]));
    assert_eq!(server.findings().len() as u64, chain["findings"].as_u64().unwrap());
    // What a person says of the incident holds for its findings.
    let path = format!("/api/v1/incidents/{}", chain["id"].as_str().unwrap());
    assert_eq!(call(&server, "PATCH", &path, &json!({"status": "acknowledged"})).0, 200);
    assert!(server.findings().iter().all(|finding| finding["status"] == "acknowledged"));
}

#[test]
fn what_is_taught_as_normal_is_hidden_counted_and_comes_back_when_undone() {
    let server = TestServer::with_config("analyze: {window: 1s}\n");
    let crash = |n: usize| {
        format!("Nov 21 03:12:{n:02} vps1 systemd[1]: shop{n}.service: Failed with result 'exit-code'.")
    };
    let open = || -> Vec<Value> {
        let found = server.get_json("/api/v1/findings?status=open");
        found["findings"].as_array().unwrap().clone()
    };
    server.push(&host(), &[crash(1)]);
    let first = wait_for("the first failure", LIMIT, || open().pop());
    let teach = format!("/api/v1/findings/{}/normal", first["id"].as_str().unwrap());
    let (status, preview) = call(&server, "POST", &format!("{teach}?preview=true"), &json!({}));
    assert_eq!((status, preview["would_hide"].as_array().unwrap().len()), (200, 1), "{preview}");
    let (status, normal) = call(&server, "POST", &teach, &json!({"scope": "host", "note": "known"}));
    assert_eq!(status, 201, "{normal}");
    assert_eq!(open(), Vec::<Value>::new());
    // The same line again: nothing is told, and that is counted.
    server.push(&host(), &[crash(1)]);
    let hidden = || server.get_json("/api/v1/normals")["normals"][0]["hidden"].as_u64().unwrap();
    wait_for("the count", LIMIT, || (hidden() == 1).then_some(()));
    assert_eq!(open(), Vec::<Value>::new());
    let undo = format!("/api/v1/normals/{}", normal["id"].as_str().unwrap());
    assert_eq!(call(&server, "DELETE", &undo, &Value::Null).0, 204);
    server.push(&host(), &[crash(1)]);
    wait_for("the failure to be told again", LIMIT, || open().pop());
    let reopened = || incidents(&server).first().is_some_and(|incident| incident["reopened"] == 1);
    wait_for("the incident to open again", LIMIT, || reopened().then_some(()));
    assert_eq!(incidents(&server).len(), 1);
}

#[test]
fn during_maintenance_findings_are_kept_but_muted() {
    let server = TestServer::with_config("analyze: {window: 1s}\n");
    let window = json!({"selector": "{host=\"vps1\"}", "to": "2100-01-01T00:00:00Z"});
    assert_eq!(call(&server, "POST", "/api/v1/maintenance", &window).0, 400, "longer than a year");
    let year = Duration::from_secs(300 * 86_400);
    let to = now_nanos() + u64::try_from(year.as_nanos()).unwrap();
    let window = json!({"selector": "{host=\"vps1\"}", "from": "0", "to": to.to_string(), "note": "move"});
    assert_eq!(call(&server, "POST", "/api/v1/maintenance", &window).0, 400);
    let from = now_nanos() - 3_600_000_000_000;
    let window = json!({"selector": "{host=\"vps1\"}", "from": from.to_string(), "to": to.to_string(), "note": "move"});
    let (status, window) = call(&server, "POST", "/api/v1/maintenance", &window);
    assert_eq!(status, 201, "{window}");
    let failed = |unit: &str| format!("systemd[1]: {unit}.service: Failed with result 'exit-code'.");
    server.push(&host(), &[failed("shop")]);
    server.push(&json!({"job": "auth", "host": "vps2"}), &[failed("shop")]);
    let muted = |host: &str| {
        let path = format!("/api/v1/incidents?host={}", escape(host));
        wait_for("an incident", LIMIT, || server.get_json(&path)["incidents"].as_array()?.first().cloned())["muted"].clone()
    };
    assert_eq!((muted("vps1"), muted("vps2")), (json!(true), json!(false)));
    let path = format!("/api/v1/maintenance/{}", window["id"].as_str().unwrap());
    assert_eq!(call(&server, "DELETE", &path, &Value::Null).0, 204);
}

#[test]
fn a_service_that_started_again_is_resolved() {
    let server = TestServer::with_config("analyze: {window: 1s}\n");
    server.push(&host(), &["systemd[1]: shop.service: Failed with result 'exit-code'."]);
    let status = |wanted: &str| {
        wait_for(wanted, LIMIT, || incidents(&server).pop().filter(|incident| incident["status"] == wanted))
    };
    status("open");
    server.push(
        &host(),
        &["systemd[1]: Started other.service - Other.", "systemd[1]: Started shop.service - Shop."],
    );
    let over = status("resolved");
    assert_eq!(over["audit"].as_array().unwrap().last().unwrap()["by"], "recovery");
    assert_eq!(server.findings()[0]["status"], "resolved");
}
