//! Incidents in, messages out, over a real store, a clock moved by hand and a service of a few lines.

use std::{
    collections::{BTreeSet, VecDeque},
    io::{Read, Write},
    net::TcpListener,
    sync::Mutex,
};

use prometheus::Registry;

use super::{
    bucket::Bucket,
    decide::{Step, decide},
    snapshot::Snapshot,
    *,
};
use crate::{
    model::{
        AlertReason, Category, Delivery, DeliveryState, EvidenceLine, FindingDraft, FindingStatus,
        FindingWindow, Incident, IncidentId, Labels, Origin, Role, Severity, TenantId, TimelineEntry,
    },
    net::{HeaderValue, Secret},
    notify::{Limits, Service, webhook},
    store::{
        delivery::{DeliveryFilter, Told},
        finding,
        testing::{self, START, TestStore},
    },
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const SECRET: &str = "AKIAIOSFODNN7EXAMPLE";

fn draft(host: &str) -> FindingDraft {
    FindingDraft {
        fingerprint: format!("brute_force/ssh/{host}"),
        title: format!("guesses on {host}"),
        severity: Severity::Low,
        category: Category::BruteForce,
        summary: "somebody guesses".to_owned(),
        recommendation: "block it".to_owned(),
        root_cause: None,
        evidence: vec![EvidenceLine {
            stream: Labels::from_pairs([("job", "auth")]).unwrap(),
            timestamp_ns: START,
            line: format!("Failed password on {host}, key {SECRET}"),
            template: None,
            at: None,
        }],
        source_ips: BTreeSet::from(["203.0.113.5".to_owned()]),
        users: BTreeSet::new(),
        affected_service: None,
        hosts: BTreeSet::from([host.to_owned()]),
        count: 10,
        score: 0.9,
        origin: BTreeSet::from([Origin::Rule { id: "ssh".to_owned() }]),
        first_seen: START,
        last_seen: START,
    }
}

/// An incident of one finding that is not stored.
fn plain(severity: Severity) -> Incident {
    Incident {
        id: IncidentId("i".to_owned()),
        tenant: TenantId::single(),
        title: "guesses".to_owned(),
        summary: String::new(),
        severity,
        status: FindingStatus::Open,
        is_flapping: false,
        is_storm: false,
        muted: false,
        categories: BTreeSet::from([Category::BruteForce]),
        hosts: BTreeSet::from(["web-1".to_owned()]),
        users: BTreeSet::new(),
        source_ips: BTreeSet::new(),
        affected_services: BTreeSet::new(),
        first_seen: START,
        last_seen: START,
        count: 10,
        findings: 1,
        timeline: Vec::new(),
        fingerprints: BTreeSet::new(),
        reopened: 0,
        merged_into: None,
        note: None,
        active_at: START,
        closed_at: None,
        created_at: START,
        updated_at: START,
        audit: Vec::new(),
    }
}

fn told(reason: AlertReason, is_waiting: bool) -> Told {
    Told {
        id: "d".to_owned(),
        reason,
        severity: Severity::Medium,
        reopened: 0,
        count: 10,
        is_waiting,
        next: START.plus(Duration::from_secs(30)),
        at: START,
    }
}

#[track_caller]
fn decides(change: impl FnOnce(&mut Incident), sent: Option<(AlertReason, bool)>, expected: Step) {
    let mut incident = plain(Severity::Medium);
    change(&mut incident);
    let told = sent.map(|(reason, is_waiting)| told(reason, is_waiting));
    let route = Route { repeat: HOUR, ..Route::default() };
    let now = START.plus(Duration::from_secs(10));
    assert_eq!(decide(&incident, told.as_ref(), Some(&route), (Duration::from_secs(30), now)), expected);
}

fn tells(reason: AlertReason, secs: u64) -> Step {
    Step::Tell { reason, at: START.plus(Duration::from_secs(secs)), replaces: false }
}

#[test]
fn the_first_message_waits_for_company_unless_it_is_urgent() {
    decides(|_| {}, None, tells(AlertReason::First, 40));
    decides(|incident| incident.severity = Severity::High, None, tells(AlertReason::First, 10));
}

#[test]
fn what_is_muted_or_false_or_part_of_another_is_not_told_and_taken_back() {
    let silences: [fn(&mut Incident); 3] = [
        |incident| incident.muted = true,
        |incident| incident.status = FindingStatus::FalsePositive,
        |incident| incident.merged_into = Some(IncidentId("other".to_owned())),
    ];
    for silence in silences {
        decides(silence, None, Step::Nothing);
        decides(silence, Some((AlertReason::First, true)), Step::Withdraw);
        decides(silence, Some((AlertReason::First, false)), Step::Nothing);
    }
}

#[test]
fn what_has_not_been_sent_is_brought_up_to_date_and_hurries_when_it_becomes_urgent() {
    let at = |secs| Step::Refresh(START.plus(Duration::from_secs(secs)));
    decides(|incident| incident.count = 11, Some((AlertReason::First, true)), at(30));
    decides(|incident| incident.severity = Severity::High, Some((AlertReason::First, true)), at(10));
}

#[test]
fn worse_back_and_over_are_told_at_once() {
    let sent = || Some((AlertReason::First, false));
    decides(|incident| incident.severity = Severity::High, sent(), tells(AlertReason::Worse, 10));
    decides(|incident| incident.reopened = 1, sent(), tells(AlertReason::Reopened, 10));
    decides(|incident| incident.status = FindingStatus::Resolved, sent(), tells(AlertReason::Resolved, 10));
    let over = || Some((AlertReason::Resolved, false));
    decides(|incident| incident.status = FindingStatus::Resolved, over(), Step::Nothing);
    decides(|_| {}, over(), tells(AlertReason::Reopened, 10));
}

#[test]
fn what_goes_on_is_told_again_after_the_repeat_time_unless_acknowledged() {
    let sent = || Some((AlertReason::First, false));
    decides(|incident| incident.count = 11, sent(), tells(AlertReason::More, 3_600));
    decides(|_| {}, sent(), Step::Nothing);
    let acknowledged = |incident: &mut Incident| {
        (incident.count, incident.status) = (11, FindingStatus::Acknowledged);
    };
    decides(acknowledged, sent(), Step::Nothing);
    decides(acknowledged, Some((AlertReason::More, true)), Step::Withdraw);
    let over = |incident: &mut Incident| incident.status = FindingStatus::Resolved;
    let replaced =
        Step::Tell { reason: AlertReason::Resolved, at: START.plus(Duration::from_secs(10)), replaces: true };
    decides(over, Some((AlertReason::More, true)), replaced);
}

#[test]
fn a_route_asks_for_everything_it_names() {
    let bench = Bench::new(&[]);
    bench.write("web-1", Severity::Medium, |_| {});
    let worst = bench.finding("web-1");
    let incident = plain(Severity::Medium);
    let fits = |route: Route| route.matches("ops", &incident, &worst);
    assert!(fits(Route::default()));
    assert!(!fits(Route { severity: Severity::High, ..Route::default() }));
    assert!(!fits(Route { channels: vec!["other".to_owned()], ..Route::default() }));
    assert!(!fits(Route { categories: vec![Category::Recon], ..Route::default() }));
    assert!(fits(Route { hosts: vec!["web-1".to_owned()], ..Route::default() }));
    assert!(!fits(Route { hosts: vec!["web-2".to_owned()], ..Route::default() }));
    assert!(!fits(Route { tenants: vec![TenantId::parse("acme").unwrap()], ..Route::default() }));
    let selector = |text: &str| Some(text.parse().unwrap());
    assert!(fits(Route { selector: selector("{job=\"auth\"}"), ..Route::default() }));
    assert!(!fits(Route { selector: selector("{job=\"nginx\"}"), ..Route::default() }));
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let mut bucket = Bucket::new(Limits { burst: 2, per_minute: 6 }, START);
    assert_eq!(bucket.left(START), 2);
    bucket.take();
    bucket.take();
    assert_eq!(bucket.left(START), 0);
    assert_eq!(bucket.wait(), Duration::from_secs(10));
    assert_eq!(bucket.left(START.plus(Duration::from_secs(10))), 1);
    assert_eq!(bucket.left(START.plus(HOUR)), 2);
}

/// A store, the engine, and services that answer with the statuses given and then 200.
struct Bench {
    store: TestStore,
    runtime: tokio::runtime::Runtime,
    alerts: Mutex<Alerts>,
    heard: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Bench {
    fn new(answers: &[&'static str]) -> Self {
        Bench::over(testing::store(), answers, Limits { burst: 5, per_minute: 1 })
    }

    fn over(store: TestStore, answers: &[&'static str], limits: Limits) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
        serve(listener, answers.iter().copied().collect(), Arc::clone(&heard));
        let service = Service::Webhook(webhook::Settings {
            url: Secret::new(&url),
            keys: Vec::new(),
            body: None,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
        });
        let channel = notify::Settings { limits: Some(limits), ..notify::Settings::new("ops", service) };
        let metrics = AlertMetrics::register(&Registry::new()).unwrap();
        let alerts = Alerts::new(&store, Settings::default(), vec![channel], &store.clock, &metrics);
        let alerts = Mutex::new(runtime.block_on(alerts).unwrap());
        Bench { store, runtime, alerts, heard }
    }

    /// Stores a finding of a host and makes it an incident, changed as wanted.
    fn write(&self, host: &str, severity: Severity, change: impl FnOnce(&mut Incident)) {
        let window = FindingWindow { from: START, to: START, lines: 1, suspicious: 1 };
        let source = finding::Source { tenant: 1, group: "g".to_owned(), first_seq: 1, window };
        let (now, draft) = (self.store.clock.now(), FindingDraft { severity, ..draft(host) });
        let written =
            self.store.write_blocking(move |tx| finding::apply(tx, &source, &[draft], HOUR, now)).unwrap();
        let mut incident = plain(severity);
        incident.id = IncidentId(host.to_owned());
        incident.title = format!("guesses on {host}");
        incident.timeline.push(TimelineEntry {
            finding: written[0].0.clone(),
            role: Role::Attempt,
            title: String::new(),
            severity,
            category: Category::BruteForce,
            count: 10,
            first_seen: START,
            last_seen: START,
        });
        change(&mut incident);
        self.store.write_blocking(move |tx| incident::put(tx, 1, &incident, None)).unwrap();
    }

    fn finding(&self, host: &str) -> crate::model::Finding {
        let id = IncidentId(host.to_owned());
        let incident = self.store.read_blocking(move |conn| incident::get(conn, 1, &id)).unwrap().unwrap();
        let id = incident.timeline[0].finding.clone();
        self.store.read_blocking(move |conn| finding::get(conn, 1, &id)).unwrap().unwrap()
    }

    /// Lets the follower do everything there is to do.
    fn follow(&self) {
        let mut alerts = self.alerts.lock().unwrap();
        self.runtime.block_on(async { while alerts.follower.run_once().await.unwrap() {} });
    }

    /// Lets the sender do everything it may now.
    fn send(&self) -> Duration {
        let mut alerts = self.alerts.lock().unwrap();
        self.runtime.block_on(async {
            loop {
                let wait = alerts.senders[0].run_once().await.unwrap();
                if !wait.is_zero() {
                    return wait;
                }
            }
        })
    }

    fn deliveries(&self) -> Vec<Delivery> {
        let filter = DeliveryFilter { tenant: 1, limit: 1_000, ..DeliveryFilter::default() };
        let mut all = self.store.read_blocking(move |conn| delivery::list(conn, &filter)).unwrap();
        all.reverse();
        all
    }

    fn states(&self) -> Vec<(AlertReason, DeliveryState)> {
        self.deliveries().iter().map(|one| (one.reason, one.state)).collect()
    }

    fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|body| body["type"].as_str().unwrap().to_owned()).collect()
    }

    fn up(&self) -> bool {
        self.alerts.lock().unwrap().handle.channels()[0].is_up
    }
}

/// Answers requests on a thread of its own, so that it goes on while the runtime of the test rests.
fn serve(
    listener: TcpListener,
    mut answers: VecDeque<&'static str>,
    heard: Arc<Mutex<Vec<serde_json::Value>>>,
) {
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut bytes = Vec::new();
            let body = loop {
                let mut part = [0; 4_096];
                let count = stream.read(&mut part).unwrap_or(0);
                bytes.extend_from_slice(&part[..count]);
                let text = String::from_utf8_lossy(&bytes);
                let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
                if body.is_some() || count == 0 {
                    break body;
                }
            };
            heard.lock().unwrap().extend(body);
            let status = answers.pop_front().unwrap_or("200 OK");
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

#[test]
fn a_change_is_told_once_with_redacted_lines() {
    let bench = Bench::new(&[]);
    bench.write("web-1", Severity::High, |_| {});
    bench.follow();
    bench.send();
    assert_eq!(bench.states(), [(AlertReason::First, DeliveryState::Delivered)]);
    let body = bench.heard.lock().unwrap()[0].clone();
    assert_eq!(body["type"], "finding.opened");
    let line = body["data"]["lines"][0].as_str().unwrap();
    assert!(line.starts_with("Failed password on web-1, key ") && !line.contains(SECRET), "{line}");
    // The cursor going back, as no crash can make it, would still not tell it twice.
    let now = bench.store.clock.now();
    bench.store.write_blocking(move |tx| incident::set_cursor(tx, FOLLOWER, 0, now)).unwrap();
    bench.follow();
    bench.send();
    assert_eq!(bench.heard().len(), 1);
}

#[test]
fn what_was_there_before_the_engine_is_not_told() {
    let first = Bench::new(&[]);
    let now = first.store.clock.now();
    first.runtime.block_on(forget(&first.store, now)).unwrap();
    first.write("old", Severity::High, |_| {});
    let bench = Bench::over(first.store, &[], Limits { burst: 5, per_minute: 1 });
    bench.write("new", Severity::High, |_| {});
    bench.follow();
    let about: Vec<_> = bench.deliveries().into_iter().filter_map(|one| one.incident_id).collect();
    assert_eq!(about, [IncidentId("new".to_owned())]);
}

#[test]
fn a_burst_is_one_message() {
    let bench = Bench::new(&[]);
    for count in 10..20 {
        bench.write("web-1", Severity::Medium, |incident| incident.count = count);
        bench.follow();
        bench.send();
        bench.store.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(bench.states(), [(AlertReason::First, DeliveryState::Queued)]);
    bench.store.clock.advance(MINUTE);
    bench.send();
    assert_eq!(bench.heard(), ["finding.opened"]);
    assert_eq!(bench.heard.lock().unwrap()[0]["data"]["count"], 19);
}

#[test]
fn a_busy_service_is_asked_again_and_the_end_follows_the_beginning() {
    let bench = Bench::new(&["500 Oops"]);
    bench.write("web-1", Severity::High, |_| {});
    bench.follow();
    assert!(bench.send() <= Duration::from_secs(5));
    assert!(!bench.up());
    bench.write("web-1", Severity::High, |incident| incident.status = FindingStatus::Resolved);
    bench.follow();
    bench.send();
    let first = bench.deliveries().into_iter().find(|one| one.reason == AlertReason::First).unwrap();
    assert_eq!((first.attempts, first.state), (1, DeliveryState::Queued));
    assert!(first.answer.contains("500"), "{}", first.answer);
    bench.store.clock.advance(Duration::from_secs(6));
    bench.send();
    assert_eq!(bench.heard(), ["finding.opened", "finding.opened", "finding.resolved"]);
    assert!(bench.up() && bench.deliveries().iter().all(|one| one.state == DeliveryState::Delivered));
}

#[test]
fn a_refusing_channel_is_left_alone_and_its_messages_given_up_after_a_day() {
    let bench = Bench::new(&["403 No"; 200]);
    bench.write("web-1", Severity::High, |_| {});
    bench.follow();
    bench.send();
    bench.store.clock.advance(Duration::from_secs(600));
    bench.send();
    assert_eq!(bench.heard().len(), 1, "knocks no more for a while");
    for _ in 0..96 {
        bench.store.clock.advance(Duration::from_secs(900));
        bench.send();
    }
    let last = bench.deliveries().remove(0);
    assert_eq!(last.state, DeliveryState::Failed);
    assert!(last.answer.starts_with("given up: "), "{}", last.answer);
}

#[test]
fn what_the_limits_hold_back_is_one_digest() {
    let bench = Bench::new(&[]);
    for host in 0..12 {
        bench.write(&format!("web-{host}"), Severity::High, |_| {});
    }
    bench.follow();
    bench.send();
    assert_eq!(
        bench.heard(),
        ["finding.opened", "finding.opened", "finding.opened", "finding.opened", "digest"]
    );
    let all = bench.deliveries();
    let digest = all.iter().find(|one| one.reason == AlertReason::Digest).unwrap();
    let folded: Vec<_> = all.iter().filter(|one| one.state == DeliveryState::Folded).collect();
    assert_eq!(folded.len(), 8);
    assert!(folded.iter().all(|one| one.folded_into.as_deref() == Some(digest.id.as_str())));
    let body = bench.heard.lock().unwrap()[4].to_string();
    assert!(folded.iter().all(|one| body.contains(&one.title)), "{body}");
    // Told in a digest is told: nothing is sent again.
    bench.store.clock.advance(HOUR);
    bench.follow();
    bench.send();
    assert_eq!(bench.heard().len(), 5);
}

#[test]
fn a_message_of_which_nothing_was_heard_is_sent_again_after_a_restart() {
    let bench = Bench::new(&[]);
    bench.write("web-1", Severity::High, |_| {});
    bench.follow();
    let (id, now) = (bench.deliveries()[0].id.clone(), bench.store.clock.now());
    bench.store.write_blocking(move |tx| delivery::lease(tx, &id, now.plus(HOUR), now)).unwrap();
    bench.send();
    assert_eq!(bench.heard(), [] as [&str; 0]);
    let again = Bench::over(bench.store, &[], Limits { burst: 5, per_minute: 1 });
    again.follow();
    again.send();
    assert_eq!(again.heard(), ["finding.opened"]);
}

#[test]
fn a_snapshot_is_read_back_as_it_was() {
    let bench = Bench::new(&[]);
    bench.write("web-1", Severity::High, |_| {});
    let worst = bench.finding("web-1");
    let kept = snapshot::of_incident(&plain(Severity::High), &worst, AlertReason::First);
    assert_eq!(Snapshot::read(&kept.write()).unwrap(), kept);
    let message = kept.message(uuid::Uuid::nil()).unwrap();
    assert_eq!(Snapshot::of(&message, AlertReason::First, "i"), kept);
}
