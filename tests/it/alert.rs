//! Alerts over the real binary: a brute force pushed in comes out at a webhook, whatever happens in between.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, FakeService, TestServer, fake::Recorded, send, wait_for};

const LIMIT: Duration = Duration::from_secs(60);
const ATTACKER: &str = "203.0.113.5";

fn config(hook: &FakeService) -> String {
    format!(
        "analyze: {{window: 1s}}\nchannels: [{{type: webhook, name: ops, url: '{}'}}]\nalert: {{wait: 0s}}\n",
        hook.url("/hook")
    )
}

fn brute_force(server: &TestServer) {
    let line = |n: usize| {
        format!(
            "Nov 21 03:12:{:02} vps1 sshd[{}]: Failed password for root from {ATTACKER} port {} ssh2",
            n % 60,
            4_100 + n,
            40_000 + n
        )
    };
    server.push(&json!({"job": "auth", "host": "vps1"}), &(0..40).map(line).collect::<Vec<_>>());
}

/// The messages the service got, in order.
fn told(hook: &FakeService) -> Vec<Value> {
    hook.requests().iter().map(Recorded::json).collect()
}

fn ids(hook: &FakeService) -> Vec<String> {
    hook.requests().iter().filter_map(|request| Some(request.header("webhook-id")?.to_owned())).collect()
}

fn deliveries(server: &TestServer, query: &str) -> Vec<Value> {
    let page = server.get_json(&format!("/api/v1/deliveries{query}"));
    page["deliveries"].as_array().unwrap().clone()
}

fn delivered(server: &TestServer) -> Vec<Value> {
    wait_for("the delivery", LIMIT, || {
        Some(deliveries(server, "?state=delivered&channel=ops")).filter(|all| !all.is_empty())
    })
}

#[test]
fn a_brute_force_arrives_once_with_its_lines_and_a_restart_does_not_repeat_it() {
    let hook = FakeService::start(|_| Answer::status(200));
    let mut server = TestServer::with_config(config(&hook));
    brute_force(&server);
    let one = delivered(&server).remove(0);
    let message = told(&hook).remove(0);
    assert_eq!((&message["type"], &one["reason"]), (&json!("finding.opened"), &json!("first")));
    assert_eq!(message["data"]["source_ips"], json!([ATTACKER]));
    assert_eq!(message["data"]["hosts"], json!(["vps1"]));
    let line = message["data"]["lines"][0].as_str().unwrap();
    assert!(line.contains("Failed password for root from 203.0.113.5"), "{line}");
    let incident = &server.get_json("/api/v1/incidents")["incidents"][0];
    assert_eq!((&one["incident_id"], &one["title"]), (&incident["id"], &message["data"]["title"]));
    assert_eq!(server.metric("sigyn_alert_deliveries_total{channel=\"ops\",result=\"delivered\"}"), 1);
    assert!(server.stop().success());
    server.restart();
    let (status, _) = post(&server, &json!({"channel": "ops"}));
    assert_eq!(status, 202);
    // The test message comes behind everything that would have been sent again.
    wait_for("the test message", LIMIT, || told(&hook).iter().any(|m| m["type"] == "test").then_some(()));
    assert_eq!(told(&hook).iter().filter(|message| message["type"] == "finding.opened").count(), 1);
    assert_eq!(post(&server, &json!({"channel": "nobody"})).0, 404);
}

fn post(server: &TestServer, body: &Value) -> (u16, Value) {
    let headers = [("Content-Type", "application/json")];
    let answer =
        send(server.port, "POST", "/api/v1/alerts/test", &headers, body.to_string().as_bytes()).unwrap();
    (answer.status, answer.json())
}

#[test]
fn a_busy_and_a_broken_service_is_tried_until_it_works() {
    let hook = FakeService::start(|_| Answer::status(200));
    let busy = Answer { headers: vec![("Retry-After", "1".to_owned())], ..Answer::status(429) };
    hook.script([busy, Answer::status(500)]);
    let server = TestServer::with_config(config(&hook));
    brute_force(&server);
    let waiting = || deliveries(&server, "").into_iter().find(|one| one["attempts"] != 0);
    let first = wait_for("the first try", LIMIT, waiting);
    assert!(first["answer"].as_str().unwrap().contains("429"), "{first}");
    let one = delivered(&server).remove(0);
    assert_eq!(one["attempts"], 3);
    let ids = ids(&hook);
    assert!(ids.len() >= 3 && ids.iter().take(3).all(|id| *id == ids[0]), "one message, one id: {ids:?}");
    let channels = server.get_json("/api/v1/deliveries")["channels"].clone();
    assert_eq!((&channels[0]["name"], &channels[0]["is_up"]), (&json!("ops"), &json!(true)));
}

#[test]
fn a_kill_between_finding_and_delivery_loses_no_message() {
    let mut hook = FakeService::start(|_| Answer::status(200));
    hook.go_away();
    let mut server = TestServer::with_config(config(&hook));
    brute_force(&server);
    wait_for("the finding", LIMIT, || server.findings().pop());
    server.kill9();
    server.restart();
    wait_for("the delivery to be queued", LIMIT, || deliveries(&server, "?state=queued").pop());
    server.kill9();
    hook.come_back();
    server.restart();
    delivered(&server);
    assert_eq!(told(&hook).iter().filter(|message| message["type"] == "finding.opened").count(), 1);
}

#[test]
fn a_kill_while_the_service_thinks_repeats_the_message_under_the_same_id() {
    let hook = FakeService::start(|_| Answer::status(200));
    hook.script([Answer { delay: Duration::from_secs(5), ..Answer::status(200) }]);
    let mut server = TestServer::with_config(config(&hook));
    brute_force(&server);
    wait_for("the request", LIMIT, || hook.requests().pop());
    server.kill9();
    server.restart();
    delivered(&server);
    let ids = ids(&hook);
    assert!(ids.len() >= 2 && ids[0] == ids[1], "{ids:?}");
}
