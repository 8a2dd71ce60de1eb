//! Who may do what.

use serde_json::json;

use crate::harness::{
    TestServer, send,
    server::{Options, stream},
};

const TOKENS: &str = r#"
auth:
  tokens:
    - {name: agent, secret: push-secret, roles: [push], tenants: [fleet-a]}
    - {name: eye, secret: read-secret, roles: [read], tenants: [fleet-a]}
    - {name: boss, secret: admin-secret, roles: [read, admin], tenants: [fleet-a]}
    - {name: other, secret: other-secret, roles: [push, read], tenants: [fleet-b]}
"#;

fn status(server: &TestServer, method: &str, path: &str, credential: Option<&str>) -> u16 {
    let authorization = credential.map(|text| ("Authorization", text));
    let headers: Vec<_> = authorization.into_iter().chain([("Content-Type", "application/json")]).collect();
    let body =
        if method == "POST" { stream(&json!({"job": "x"}), &["hello"]).to_string() } else { String::new() };
    send(server.port, method, path, &headers, body.as_bytes()).unwrap().status
}

#[test]
fn each_token_opens_what_its_roles_say_and_nothing_else() {
    let server = TestServer::with_config(TOKENS);
    let (push, read) = ("/loki/api/v1/push", "/api/v1/findings");
    for (method, path, credential, expected) in [
        ("POST", push, None, 401),
        ("POST", push, Some("Bearer wrong"), 401),
        ("POST", push, Some("Bearer push-secret"), 204),
        // agent:push-secret
        ("POST", push, Some("Basic YWdlbnQ6cHVzaC1zZWNyZXQ="), 204),
        ("POST", push, Some("Bearer read-secret"), 403),
        ("GET", read, None, 401),
        ("GET", read, Some("Bearer read-secret"), 200),
        ("GET", read, Some("Bearer push-secret"), 403),
        ("GET", "/ready", None, 200),
    ] {
        assert_eq!(status(&server, method, path, credential), expected, "{method} {path} {credential:?}");
    }
}

#[test]
fn metrics_need_the_read_role_and_changes_the_admin_role() {
    let server = TestServer::with_config(TOKENS);
    let finding = "/api/v1/findings/01a1fc80-9755-7b84-a5dd-c835044fcb09";
    for (method, path, credential, expected) in [
        ("GET", "/metrics", None, 401),
        ("GET", "/metrics", Some("Bearer push-secret"), 403),
        ("GET", "/metrics", Some("Bearer read-secret"), 200),
        // eye:read-secret, then the right password under another name
        ("GET", "/metrics", Some("Basic ZXllOnJlYWQtc2VjcmV0"), 200),
        ("GET", "/metrics", Some("Basic YWdlbnQ6cmVhZC1zZWNyZXQ="), 401),
        ("PATCH", finding, Some("Bearer read-secret"), 403),
        ("PATCH", finding, Some("Bearer push-secret"), 403),
    ] {
        assert_eq!(status(&server, method, path, credential), expected, "{method} {path} {credential:?}");
    }
    let headers = [("Authorization", "Bearer admin-secret"), ("Content-Type", "application/json")];
    let answer = send(server.port, "PATCH", finding, &headers, br#"{"status": "resolved"}"#).unwrap();
    assert_eq!(answer.status, 404, "let in, and there is no such finding: {}", answer.text());
}

#[test]
fn tenants_do_not_see_each_other() {
    let server = TestServer::with_config(TOKENS);
    assert_eq!(status(&server, "POST", "/loki/api/v1/push", Some("Bearer push-secret")), 204);
    let entries = |credential: &str| {
        let path = "/api/v1/entries?selector=%7B%7D";
        let response = send(server.port, "GET", path, &[("Authorization", credential)], b"").unwrap();
        response.json()["entries"].as_array().unwrap().len()
    };
    assert_eq!((entries("Bearer read-secret"), entries("Bearer other-secret")), (1, 0));
}

#[test]
fn an_open_door_without_tokens_is_refused() {
    let mut server = TestServer::prepare(Options { address: "0.0.0.0", ..Options::default() });
    assert!(!server.run_to_end().success());
    assert!(server.log().contains("nobody has to authenticate"), "{}", server.log());
}
