//! The whole router over a real store: shapes, filters, tenants, roles, and the OpenAPI document held to the truth.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    response::Response,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    alert,
    api::{
        Parts, Readiness,
        caller::{Caller, Roles},
        guarded_routes, open_routes, openapi, router,
    },
    incident::{self, Correlator},
    model::{
        Budget, Category, Entry, EvidenceLine, FindingDraft, FindingId, FindingWindow, IncidentId, Labels,
        Learning, ModelUse, NoteDraft, Origin, PushBatch, Severity, StreamBatch, TemplateId, TenantId,
        Timestamp, WindowState,
    },
    net::Secret,
    notify::{self, ntfy},
    query::{About, Query},
    runtime::Clock,
    store::{
        Change, Store,
        finding::{self, Source},
        memory::{self, MemoryRow},
        model_call::{self, ModelCall},
        note, position,
        template::{self, TemplateRow},
        window::{self, WindowDraft},
    },
    telemetry::Metrics,
    web,
};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const HOSTILE: &str = "Failed password for <script>alert(1)</script>";

struct Server {
    router: Router,
    store: Store,
    readiness: Readiness,
    metrics: Metrics,
    _folder: tempfile::TempDir,
}

fn at(secs: u64) -> Timestamp {
    START.plus(Duration::from_secs(secs))
}

fn labels() -> Labels {
    Labels::from_pairs([("host", "web-1"), ("job", "auth")]).unwrap()
}

/// A server with ten lines, two findings, two windows, a template and a model call of the tenant "fake".
async fn server() -> Server {
    let server = empty_server(Roles { push: true, read: true, admin: true });
    let tenant = TenantId::single();
    let id = server.store.streams().admit(&tenant, &labels(), 100, START).unwrap();
    let entry = |n: u64| Entry {
        timestamp: at(n),
        line: Bytes::from(if n == 5 { HOSTILE.to_owned() } else { format!("line {n}") }),
        metadata: Vec::new(),
    };
    let streams = vec![StreamBatch { id, labels: labels(), entries: (0..10).map(entry).collect() }];
    server.store.append(PushBatch { tenant, received: START, push_hash: 1, streams }).await.unwrap();
    server.store.write(seed).await.unwrap();
    let settings = incident::Settings::default();
    let mut engine = Correlator::new(
        server.store.clone(),
        settings,
        Clock::manual(at(60)),
        server.metrics.incident.clone(),
    );
    while engine.run_once().await.unwrap() == incident::Progress::MoreToDo {}
    server
}

fn empty_server(roles: Roles) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new().unwrap();
    let clock = Clock::manual(at(60));
    let settings =
        crate::store::Settings { data_dir: folder.path().to_owned(), ..crate::store::Settings::default() };
    let store = Store::open(&settings, clock.clone(), metrics.store.clone()).unwrap();
    let about = About { started: START, model: None, budget: Budget::default(), forward: false };
    let query = Query::new(store.clone(), clock.clone(), about);
    let readiness = Readiness::default();
    let topic = ntfy::Settings { url: "http://127.0.0.1:9".to_owned(), topic: Secret::new("t"), token: None };
    let channel = notify::Settings::new("ops", notify::Service::Ntfy(topic));
    let channel = notify::Channel::new(channel, clock.clone());
    let parts = Parts {
        store: store.clone(),
        query: query.clone(),
        alert: alert::Handle::new(&[channel]),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        stop: CancellationToken::new(),
        push: Router::new(),
        web: web::routes(query),
    };
    let router = router(parts, |router| {
        router.layer(axum::middleware::from_fn(
            move |mut request: axum::extract::Request, next: axum::middleware::Next| {
                let name = request
                    .headers()
                    .get("x-scope-orgid")
                    .and_then(|name| name.to_str().ok())
                    .unwrap_or("fake");
                let tenant = TenantId::parse(name).unwrap();
                request.extensions_mut().insert(Caller { tenant, roles });
                next.run(request)
            },
        ))
    });
    Server { router, store, readiness, metrics, _folder: folder }
}

fn draft(fingerprint: &str, severity: Severity, seen: u64) -> FindingDraft {
    let line = EvidenceLine {
        stream: labels(),
        timestamp_ns: at(5),
        line: HOSTILE.to_owned(),
        template: None,
        at: None,
    };
    FindingDraft {
        fingerprint: fingerprint.to_owned(),
        title: format!("{fingerprint} <b>"),
        severity,
        category: Category::BruteForce,
        summary: "many guesses".to_owned(),
        recommendation: "block it".to_owned(),
        root_cause: None,
        evidence: vec![line],
        source_ips: BTreeSet::from(["192.0.2.1".to_owned()]),
        users: BTreeSet::new(),
        affected_service: Some("sshd".to_owned()),
        hosts: BTreeSet::from(["web-1".to_owned()]),
        count: 3,
        score: 0.9,
        origin: BTreeSet::from([
            Origin::Rule { id: "ssh".to_owned() },
            Origin::Detector { name: "frequency".to_owned() },
        ]),
        first_seen: at(1),
        last_seen: at(seen),
    }
}

fn seed(tx: &crate::store::Transaction<'_>) -> Result<(), crate::store::StoreError> {
    let window = FindingWindow { from: at(0), to: at(9), lines: 10, suspicious: 1 };
    let source = Source { tenant: 1, group: "web-1".to_owned(), first_seq: 1, window };
    let drafts = [draft("old", Severity::Medium, 6), draft("new", Severity::Critical, 9)];
    finding::apply(tx, &source, &drafts, Duration::from_secs(60), at(10))?;
    for (first_seq, state) in [(1, WindowState::Quiet), (2, WindowState::Pending)] {
        let id = window::put(
            tx,
            &WindowDraft {
                tenant: 1,
                group: "web-1".to_owned(),
                first_seq,
                from: at(0),
                to: at(9),
                closed: at(first_seq),
                lines: 10,
                suspicious: 1,
                templates: 1,
                severity: Severity::Info,
                state,
                exhibit: None,
            },
        )?;
        if state == WindowState::Pending {
            window::finish(tx, id, WindowState::Failed, Some("it is away"), Some(&ModelUse::default()))?;
        }
    }
    template::put(
        tx,
        &[TemplateRow {
            id: TemplateId(1),
            tenant: 1,
            text: "line <*>".to_owned(),
            sample: "line 1".to_owned(),
            count: 9,
            first_seen: at(0),
            last_seen: at(9),
            state: Vec::new(),
        }],
    )?;
    template::add_counts(tx, &[(TemplateId(1), 9, at(9))])?;
    for (name, is_learning) in [("web-1", false), ("web-2", true)] {
        let group = position::Group { tenant: 1, name: name.to_owned(), seq: 1, state: Vec::new() };
        position::set_group(tx, &group, at(9))?;
        let learning = Learning {
            since: at(0),
            ready_at: at(50),
            is_learning,
            observed_seconds: 60,
            windows: 1,
            seen_at: at(60),
            relearnt_at: None,
        };
        let state = serde_json::to_vec(&learning).ok();
        memory::put(tx, 1, name, &[MemoryRow { part: memory::LEARNING, key: 0, state }])?;
    }
    note::add(tx, 1, &NoteDraft::new("Backups", "Run at night.").unwrap(), at(10))?;
    model_call::book(
        tx,
        &[ModelCall {
            at: at(30),
            tenant: 1,
            window: None,
            model: "m".to_owned(),
            tier: "explain".to_owned(),
            outcome: "ok".to_owned(),
            input_tokens: 10,
            output_tokens: 5,
            cost_micros: None,
            duration: Duration::from_millis(5),
        }],
    )
}

impl Server {
    async fn send(&self, method: &str, path: &str, tenant: &str, body: &str) -> Response {
        let request = Request::builder().method(method).uri(path).header("x-scope-orgid", tenant);
        self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    async fn text(&self, path: &str) -> (StatusCode, String) {
        let answer = self.send("GET", path, "fake", "").await;
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.text(path).await;
        (status.as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn patch(&self, id: &str, body: &str) -> (u16, Value) {
        self.call("PATCH", &format!("/api/v1/findings/{id}"), body).await
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = self.send(method, path, "fake", body).await;
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Sends to a path below `/api/v1/knowledge`.
    async fn knowledge(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let answer = self.send(method, &format!("/api/v1/knowledge{path}"), "fake", body).await;
        let status = answer.status().as_u16();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn first_id(&self) -> String {
        self.json("/api/v1/findings").await.1["findings"][0]["id"].as_str().unwrap().to_owned()
    }
}

#[track_caller]
fn assert_valid(document: &Value, schema: &str, value: &Value) {
    let root =
        json!({ "$ref": format!("#/components/schemas/{schema}"), "components": document["components"] });
    let validator = jsonschema::validator_for(&root).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(faults.is_empty(), "{schema}: {faults:?}\n{value:#}");
}

#[test]
fn the_document_and_the_router_name_the_same_routes() {
    let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|m| (m.clone(), path.clone())))
        .collect();
    let listed = guarded_routes().listed.into_iter().chain(open_routes().listed);
    let served: BTreeSet<(String, String)> = listed.map(|(m, p)| (m.to_owned(), p.to_owned())).collect();
    assert_eq!(described, served);
}

#[tokio::test]
async fn live_answers_fit_their_schemas() {
    let server = server().await;
    let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
    let id = server.first_id().await;
    let incident =
        server.json("/api/v1/incidents").await.1["incidents"][0]["id"].as_str().unwrap().to_owned();
    let teach = format!("/api/v1/findings/{id}/normal");
    assert_eq!(server.patch(&id, r#"{"verdict":"real"}"#).await.0, 200);
    let preview = server.call("POST", &format!("{teach}?preview=true"), "{}").await;
    let normal = server.call("POST", &teach, r#"{"expires_in":"7d","note":"wanted"}"#).await;
    let weekly = r#"{"days":["sat"],"at":"02:30","minutes":90}"#;
    let window = format!(r#"{{"selector":"{{}}","to":"2024-01-01T00:00:00Z","weekly":{weekly}}}"#);
    let window = server.call("POST", "/api/v1/maintenance", &window).await;
    let tried = server.call("POST", "/api/v1/alerts/test", r#"{"channel":"ops"}"#).await;
    for (schema, expected, (status, value)) in [
        ("NormalPreview", 200, preview),
        ("Normal", 201, normal),
        ("Maintenance", 201, window),
        ("AlertTestQueued", 202, tried),
    ] {
        assert_eq!(status, expected, "{value}");
        assert_valid(&document, schema, &value);
    }
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let schema = &methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let Some(schema) = schema.as_str().and_then(|text| text.rsplit('/').next()) else { continue };
        let query = if path.ends_with("/entries") { "?selector=%7B%7D&from=0" } else { "" };
        let id = match path {
            path if path.contains("/knowledge/") => "1",
            path if path.contains("/incidents/") => incident.as_str(),
            _ => id.as_str(),
        };
        let (status, value) = server.json(&format!("{}{query}", path.replace("{id}", id))).await;
        assert_eq!(status, 200, "{path}: {value}");
        assert_valid(&document, schema, &value);
        let rows = value.as_object().unwrap().values().find_map(Value::as_array);
        assert!(rows.is_none_or(|rows| !rows.is_empty()), "{path} shows no row to check");
        checked += 1;
    }
    assert_eq!(checked, 20);
    let (_, error) = server.json("/api/v1/findings?x=1").await;
    assert_valid(&document, "Error", &error);
}

#[tokio::test]
async fn an_incident_and_its_findings_are_changed_together_and_shown_escaped() {
    let server = server().await;
    let (_, list) =
        server.json("/api/v1/incidents?status=open&host=web-1&category=brute_force&text=NEW").await;
    let incident = &list["incidents"][0];
    assert_eq!((incident["findings"].as_u64(), incident["severity"].as_str()), (Some(2), Some("critical")));
    let path = format!("/api/v1/incidents/{}", incident["id"].as_str().unwrap());
    let (status, changed) = server.call("PATCH", &path, r#"{"status":"resolved","note":"done"}"#).await;
    assert_eq!((status, changed["note"].as_str()), (200, Some("done")));
    let (_, findings) = server.json("/api/v1/findings").await;
    for finding in findings["findings"].as_array().unwrap() {
        assert_eq!((&finding["status"], &finding["incident_id"]), (&json!("resolved"), &incident["id"]));
    }
    let (status, error) = server.call("PATCH", &path, r#"{"status":"acknowledged"}"#).await;
    assert_eq!((status, error["error"]["code"].as_str()), (409, Some("bad_transition")));
    assert!(!server.text("/").await.1.contains("Open incidents"));
    server.patch(findings["findings"][0]["id"].as_str().unwrap(), r#"{"status":"open"}"#).await;
    assert_eq!(server.json(&path).await.1["status"], "open");
    let page = server.text("/").await.1;
    assert!(page.contains("Open incidents") && page.contains("new &lt;b&gt;") && !page.contains("new <b>"));
    assert_eq!(server.call("PATCH", "/api/v1/incidents/none", r#"{"status":"open"}"#).await.0, 404);
    let other = server.send("GET", &path, "other", "").await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_taught_is_listed_and_taken_back() {
    let server = server().await;
    let id = server.first_id().await;
    let teach = format!("/api/v1/findings/{id}/normal");
    let (_, preview) = server.call("POST", &format!("{teach}?preview=true"), r#"{"scope":"host"}"#).await;
    assert_eq!(preview["normal"]["selector"], r#"{host="web-1"}"#);
    let titles: Vec<&str> =
        preview["would_hide"].as_array().unwrap().iter().map(|f| f["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["new <b>", "old <b>"], "both are shown by one line");
    assert_eq!(server.json("/api/v1/normals").await.1["normals"], json!([]));
    for (body, word) in [
        (r#"{"expires_in":"soon"}"#, "no duration"),
        (r#"{"scope":"planet"}"#, "everywhere"),
        (r#"{"x":1}"#, "unknown field"),
    ] {
        let (status, error) = server.call("POST", &teach, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(error["error"]["message"].as_str().unwrap().contains(word), "{error}");
    }
    let (_, normal) = server.call("POST", &teach, r#"{"with_source":true,"expires_in":"1d"}"#).await;
    assert_eq!(normal["source_ips"], json!(["192.0.2.1"]));
    assert_eq!(server.json(&format!("/api/v1/findings/{id}")).await.1["status"], "resolved");
    let path = format!("/api/v1/normals/{}", normal["id"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &path, "other", "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.call("DELETE", &path, "").await.0, 204);
    assert_eq!(server.call("DELETE", &path, "").await.0, 404);
    let (_, findings) = server.json("/api/v1/findings?status=open").await;
    let old = findings["findings"][0]["id"].as_str().unwrap().to_owned();
    server.patch(&old, r#"{"status":"false_positive"}"#).await;
    let said = &server.json("/api/v1/feedback").await.1["feedback"][0];
    assert_eq!(
        (&said["detector"], &said["is_real"], &said["group"]),
        (&json!("frequency"), &json!(false), &json!("web-1"))
    );
    server.patch(&old, r#"{"status":"open"}"#).await;
    assert_eq!(server.json("/api/v1/feedback").await.1["feedback"], json!([]));
    for body in [
        r#"{"selector":"{","to":"2030-01-01T00:00:00Z"}"#,
        r#"{"selector":"{}","to":"2001-01-01T00:00:00Z"}"#,
    ] {
        assert_eq!(server.call("POST", "/api/v1/maintenance", body).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_newest_first() {
    let server = server().await;
    let (_, first) = server.json("/api/v1/findings?limit=1").await;
    assert_eq!(first["findings"][0]["title"], "new <b>");
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = server.json(&format!("/api/v1/findings?limit=1&cursor={cursor}")).await;
    assert_eq!(second["findings"][0]["title"], "old <b>");
    assert_eq!(second["next_cursor"], Value::Null);
    assert_eq!(server.json(&format!("/api/v1/windows?cursor={cursor}")).await.0, 400);
}

#[tokio::test]
async fn hosts_say_since_when_they_are_learnt_and_when_they_are_ready() {
    let server = server().await;
    let (_, first) = server.json("/api/v1/detectors?limit=1").await;
    let expected = json!({
        "group": "web-1", "since": at(0), "ready_at": at(50), "is_learning": false, "observed_seconds": 60,
        "windows": 1, "seen_at": at(60), "relearnt_at": null,
    });
    assert_eq!(first["detectors"], json!([expected]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = server.json(&format!("/api/v1/detectors?limit=1&cursor={cursor}")).await;
    assert_eq!((&second["detectors"][0]["group"], &second["next_cursor"]), (&json!("web-2"), &Value::Null));
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let server = server().await;
    for (filter, count) in [
        ("", 2),
        ("severity=high", 1),
        ("severity=medium", 2),
        ("category=oom", 0),
        ("category=oom,brute_force", 2),
        ("status=resolved", 0),
        ("status=open&host=web-1&service=sshd", 2),
        ("host=web-2", 0),
        ("selector=%7Bjob%3D%22auth%22%7D", 2),
        ("selector=%7Bjob%3D%22x%22%7D", 0),
        ("text=OLD", 1),
        ("from=2023-11-14T22:13:28Z", 1),
    ] {
        let (status, found) = server.json(&format!("/api/v1/findings?{filter}")).await;
        assert_eq!((status, found["findings"].as_array().unwrap().len()), (200, count), "{filter}");
    }
}

#[tokio::test]
async fn mistakes_are_named_in_json() {
    let server = server().await;
    for (path, status, code, word) in [
        ("/api/v1/findings?sevrity=high", 400, "unknown_parameter", "'sevrity'"),
        ("/api/v1/findings?severity=bad", 400, "bad_parameter", "critical"),
        ("/api/v1/findings?limit=501", 400, "bad_parameter", "1 to 500"),
        ("/api/v1/findings?selector=%7Ba!%3D%22b%22%7D", 400, "bad_parameter", "equality only"),
        ("/api/v1/findings/none", 404, "not_found", "finding"),
        ("/api/v1/nothing", 404, "not_found", "404 page not found"),
        ("/api/v1/entries", 400, "bad_parameter", "is needed"),
    ] {
        let (got, error) = server.json(path).await;
        let message = error["error"]["message"].as_str().unwrap();
        assert_eq!((got, error["error"]["code"].as_str().unwrap()), (status, code), "{path}");
        assert!(message.contains(word), "{path}: {message}");
    }
    let wrong = server.send("DELETE", "/api/v1/findings", "fake", "").await;
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.headers()["content-type"], "application/json");
    let (status, text) = server.text("/loki/api/v1/nothing").await;
    assert_eq!((status.as_u16(), text.as_str()), (404, "404 page not found\n"));
}

#[tokio::test]
async fn context_shows_the_neighbours_of_the_evidence() {
    let server = server().await;
    let id = server.first_id().await;
    let (_, context) = server.json(&format!("/api/v1/findings/{id}/context?lines=2")).await;
    let lines = |side: &str| -> Vec<String> {
        let lines = context["evidence"][0][side].as_array().unwrap();
        lines.iter().map(|line| line["line"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(context["evidence"][0]["is_stored"], true);
    assert_eq!(
        (lines("before"), lines("after")),
        (vec!["line 3".into(), "line 4".into()], vec!["line 6".into(), "line 7".into()])
    );
}

#[tokio::test]
async fn entries_are_cut_at_the_limit_and_say_so() {
    let server = server().await;
    let path = "/api/v1/entries?selector=%7Bhost%3D~%22web-.*%22%7D&limit=3";
    let (_, newest) = server.json(path).await;
    assert_eq!((&newest["entries"][0]["line"], &newest["is_cut"]), (&json!("line 9"), &json!(true)));
    let (_, oldest) = server.json(&format!("{path}&direction=forward&to={}", at(2).as_nanos())).await;
    assert_eq!((&oldest["entries"][1]["line"], &oldest["is_cut"]), (&json!("line 1"), &json!(false)));
}

#[tokio::test]
async fn what_is_closed_must_be_opened_before_anything_else() {
    let server = server().await;
    let id = server.first_id().await;
    assert_eq!(server.patch(&id, r#"{"status":"resolved","note":"done"}"#).await.1["note"], "done");
    let (status, error) = server.patch(&id, r#"{"status":"acknowledged"}"#).await;
    assert_eq!((status, error["error"]["code"].as_str()), (409, Some("bad_transition")));
    assert_eq!(server.patch(&id, r#"{"status":"open"}"#).await.0, 200);
    assert_eq!(server.patch(&id, r#"{"note":""}"#).await.1["note"], Value::Null);
    for body in ["{}", "[", r#"{"status":"gone"}"#, r#"{"stauts":"open"}"#] {
        assert_eq!(server.patch(&id, body).await.0, 400, "{body}");
    }
    assert_eq!(server.patch("none", r#"{"status":"open"}"#).await.0, 404);
}

#[tokio::test]
async fn notes_are_written_read_changed_and_deleted() {
    let server = server().await;
    let (status, made) =
        server.knowledge("POST", "", r##"{"title":" Mail ","body":"# Queue\nGrows."}"##).await;
    assert_eq!((status, &made["title"], &made["file"]), (201, &json!("Mail"), &Value::Null));
    let path = format!("/{}", made["id"]);
    assert_eq!(server.knowledge("GET", &path, "").await, (200, made.clone()));
    let (_, page) = server.knowledge("GET", "?limit=1", "").await;
    assert_eq!(page["notes"][0]["title"], "Backups");
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, page) = server.knowledge("GET", &format!("?cursor={cursor}"), "").await;
    assert_eq!((&page["notes"], &page["next_cursor"]), (&json!([made]), &Value::Null));
    let (status, changed) = server.knowledge("PUT", &path, r#"{"title":"Post","body":"x"}"#).await;
    assert_eq!((status, &changed["title"], &changed["id"]), (200, &json!("Post"), &made["id"]));
    assert_eq!(server.knowledge("DELETE", &path, "").await, (200, changed));
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(server.knowledge(method, &path, r#"{"title":"a","body":"b"}"#).await.0, 404, "{method}");
    }
    let long = json!({"title": "t", "body": "x".repeat(65 * 1024)}).to_string();
    for body in ["", "{}", r#"{"title":"","body":"b"}"#, r#"{"title":"a","body":"b","x":1}"#, &long] {
        assert_eq!(server.knowledge("POST", "", body).await.0, 400, "{body:.40}");
    }
    assert_eq!(server.knowledge("GET", "/one", "").await.0, 404);
}

#[tokio::test]
async fn notes_of_files_are_read_here_and_changed_there() {
    let server = server().await;
    let note = NoteDraft::new("File", "text").unwrap();
    let file = note::NoteFile { name: "file.md".to_owned(), note };
    server.store.write(move |tx| note::sync_files(tx, &[file], START)).await.unwrap();
    let (_, page) = server.knowledge("GET", "", "").await;
    assert_eq!(page["notes"][1]["file"], "file.md");
    let path = format!("/{}", page["notes"][1]["id"]);
    for (method, body) in [("PUT", r#"{"title":"a","body":"b"}"#), ("DELETE", "")] {
        let (status, error) = server.knowledge(method, &path, body).await;
        assert_eq!((status, error["error"]["code"].as_str()), (409, Some("note_is_file")), "{method}");
    }
    let other = server.send("DELETE", "/api/v1/knowledge/1", "other", "").await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND, "a note of another tenant");
}

#[tokio::test]
async fn a_tenant_sees_and_changes_only_its_own() {
    let server = server().await;
    let id = server.first_id().await;
    for path in ["findings", "windows", "streams", "templates"] {
        let answer = server.send("GET", &format!("/api/v1/{path}"), "other", "").await;
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value[path], json!([]), "{path}");
    }
    for (method, path) in [("GET", ""), ("GET", "/context"), ("PATCH", "")] {
        let path = format!("/api/v1/findings/{id}{path}");
        let answer = server.send(method, &path, "other", r#"{"status":"resolved"}"#).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
    }
    assert!(!server.store.streams().tenants().contains(&TenantId::parse("other").unwrap()));
}

#[tokio::test]
async fn roles_decide_who_reads_and_who_changes() {
    let pusher = empty_server(Roles { push: true, ..Roles::default() });
    for path in ["/api/v1/findings", "/api/v1/events", "/metrics", "/"] {
        assert_eq!(pusher.text(path).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    let reader = empty_server(Roles { read: true, ..Roles::default() });
    let (status, error) = reader.patch("x", r#"{"status":"open"}"#).await;
    assert_eq!((status, error["error"]["code"].as_str()), (403, Some("forbidden")));
    assert_eq!(reader.knowledge("GET", "", "").await.0, 200);
    for (method, path) in [("POST", ""), ("PUT", "/1"), ("DELETE", "/1")] {
        let (status, _) = reader.knowledge(method, path, r#"{"title":"a","body":"b"}"#).await;
        assert_eq!(status, 403, "{method}");
    }
}

#[tokio::test]
async fn ready_follows_the_life_of_the_server() {
    let server = empty_server(Roles::default());
    assert_eq!(server.text("/ready").await, (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()));
    server.readiness.ready();
    assert_eq!(server.text("/ready").await, (StatusCode::OK, "ready\n".to_owned()));
    server.readiness.stopping();
    assert_eq!(server.text("/ready").await, (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned()));
}

#[tokio::test]
async fn requests_are_measured_by_route_and_never_by_what_was_typed() {
    let server = server().await;
    server.text("/api/v1/findings/abc").await;
    server.text("/wp-login.php").await;
    let (_, metrics) = server.text("/metrics").await;
    assert!(metrics.contains(r#"route="api_v1_findings_id",status_code="404""#), "{metrics}");
    assert!(metrics.contains(r#"route="other",status_code="404""#) && !metrics.contains("wp-login"));
}

#[tokio::test]
async fn the_page_shows_hostile_lines_as_text() {
    let (status, page) = server().await.text("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Failed password for &lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("new &lt;b&gt;") && !page.contains("<script>alert"));
    assert!(!page.contains("Send the first line"));
}

#[tokio::test]
async fn an_empty_page_says_how_to_begin_and_allows_no_foreign_script() {
    let server = empty_server(Roles { read: true, ..Roles::default() });
    let answer = server.send("GET", "/", "fake", "").await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let (_, page) = server.text("/").await;
    assert!(
        page.contains("url: http://127.0.0.1:3100/loki/api/v1/push")
            && page.contains("No lines have come yet")
    );
}

#[tokio::test]
async fn events_carry_this_tenants_findings_and_tell_who_returns_to_read_again() {
    use futures_util::StreamExt;
    let server = server().await;
    let id = FindingId(server.first_id().await);
    let request = Request::builder().uri("/api/v1/events").header("last-event-id", "5");
    let answer = server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut body = answer.into_body().into_data_stream();
    server.store.announce(Change::Finding { tenant: 99, id: id.clone() });
    server.store.announce(Change::Finding { tenant: 1, id: id.clone() });
    let first = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    let second = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.contains("event: resync"), "{first}");
    assert!(second.contains("event: finding_created") && second.contains(&id.0), "{second}");
    let incident =
        server.json("/api/v1/incidents").await.1["incidents"][0]["id"].as_str().unwrap().to_owned();
    server.store.announce(Change::Taught);
    server.store.announce(Change::Incident { tenant: 99, id: IncidentId(incident.clone()) });
    server.store.announce(Change::Incident { tenant: 1, id: IncidentId(incident.clone()) });
    let third = String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(third.contains("event: incident_created") && third.contains(&incident), "{third}");
}
