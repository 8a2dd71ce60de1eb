//! The forwarding engine over the real store, step by step, against a scripted Loki.

use std::time::Duration;

use bytes::Bytes;
use sigyn::{
    forward::{Auth, Forwarder, Progress, Settings},
    model::{Entry, Labels, PushBatch, StreamBatch, TenantId, Timestamp},
    net::Secret,
    runtime::Clock,
    store::{self, Store, position},
    telemetry::Metrics,
    wire::labels::LabelText,
};

use crate::harness::{Answer, FakeService};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

struct Bench {
    store: Store,
    metrics: Metrics,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let settings = store::Settings { data_dir: folder.path().to_owned(), ..store::Settings::default() };
        let store = Store::open(&settings, Clock::manual(NOW), metrics.store.clone()).unwrap();
        Bench { store, metrics, _folder: folder }
    }

    async fn append(&self, tenant: &str, job: &str, lines: &[&str]) {
        let tenant = TenantId::parse(tenant).unwrap();
        let labels = Labels::from_pairs([("job", job)]).unwrap();
        let id = self.store.streams().admit(&tenant, &labels, 100, NOW).unwrap();
        let entry = |(at, line): (usize, &&str)| Entry {
            timestamp: NOW.plus(Duration::from_nanos(at as u64)),
            line: Bytes::copy_from_slice(line.as_bytes()),
            metadata: vec![(Bytes::from_static(b"k"), Bytes::from_static(b"v\xff"))],
        };
        let entries = lines.iter().enumerate().map(entry).collect();
        let push_hash = u128::from(*self.store.head().borrow()) + 1;
        let streams = vec![StreamBatch { id, labels, entries }];
        self.store.append(PushBatch { tenant, received: NOW, push_hash, streams }).await.unwrap();
    }

    fn forwarder(&self, settings: &Settings) -> Forwarder {
        let metrics = self.metrics.forward.clone();
        Forwarder::new(self.store.clone(), settings, metrics, Clock::manual(NOW)).unwrap()
    }

    async fn position(&self) -> u64 {
        self.store.read(|conn| position::get(conn, position::name::FORWARD)).await.unwrap()
    }
}

async fn until_idle(forwarder: &mut Forwarder) {
    for _ in 0..100 {
        match forwarder.run_once().await {
            Progress::Idle => return,
            Progress::Moved => {}
            Progress::Waiting(wait) => panic!("waits {wait:?}"),
        }
    }
    panic!("never idle");
}

fn settings(loki: &FakeService) -> Settings {
    Settings::to(loki.url("/loki/api/v1/push"))
}

fn lines(loki: &FakeService, job: &str) -> Vec<String> {
    let wanted = LabelText::Text(Bytes::from(format!("{{job=\"{job}\"}}")));
    let streams = loki.pushes().into_iter().flat_map(|(_, push)| push.streams);
    let entries = streams.filter(|stream| stream.labels == wanted).flat_map(|stream| stream.entries);
    entries.map(|entry| String::from_utf8_lossy(&entry.line).into_owned()).collect()
}

#[tokio::test]
async fn everything_arrives_in_order_under_its_tenant_with_its_bytes() {
    let (bench, loki) = (Bench::new(), FakeService::loki());
    bench.append("a", "web", &["1", "2"]).await;
    bench.append("b", "web", &["other"]).await;
    bench.append("a", "web", &["3"]).await;
    let mut settings = settings(&loki);
    settings.auth = Auth::Bearer(Secret::new("t0ken"));
    until_idle(&mut bench.forwarder(&settings)).await;
    let pushes = loki.pushes();
    let tenants: Vec<_> = pushes.iter().map(|(tenant, _)| tenant.clone().unwrap()).collect();
    assert_eq!(tenants, ["a", "b"]);
    assert_eq!(lines(&loki, "web"), ["1", "2", "3", "other"]);
    let first = &pushes[0].1.streams[0].entries[0];
    assert_eq!(first.timestamp, NOW);
    assert_eq!(first.metadata, [(Bytes::from_static(b"k"), Bytes::from_static(b"v\xff"))]);
    assert_eq!(loki.requests()[0].header("authorization"), Some("Bearer t0ken"));
    assert_eq!(loki.requests()[0].header("content-type"), Some("application/x-protobuf"));
    assert_eq!(bench.position().await, *bench.store.head().borrow());
    assert_eq!(bench.metrics.forward.sent.get(), 4);
}

#[tokio::test]
async fn trouble_is_waited_out_with_the_same_bytes_and_the_position_stays() {
    let (bench, loki) = (Bench::new(), FakeService::loki());
    loki.script([
        Answer::status(500),
        Answer { headers: vec![("Retry-After", "7".to_owned())], ..Answer::status(429) },
    ]);
    bench.append("a", "web", &["1"]).await;
    let mut forwarder = bench.forwarder(&settings(&loki));
    let Progress::Waiting(first) = forwarder.run_once().await else { panic!("must wait") };
    assert!((Duration::from_millis(250)..=Duration::from_millis(500)).contains(&first), "{first:?}");
    assert_eq!(forwarder.run_once().await, Progress::Waiting(Duration::from_secs(7)));
    assert_eq!(bench.position().await, 0);
    until_idle(&mut forwarder).await;
    let bodies: Vec<_> = loki.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(bench.position().await, 1);
}

#[tokio::test]
async fn an_outage_and_a_restart_lose_nothing() {
    let (bench, mut loki) = (Bench::new(), FakeService::loki());
    loki.go_away();
    bench.append("a", "web", &["1"]).await;
    assert!(matches!(bench.forwarder(&settings(&loki)).run_once().await, Progress::Waiting(_)));
    bench.append("a", "web", &["2"]).await;
    loki.come_back();
    until_idle(&mut bench.forwarder(&settings(&loki))).await;
    assert_eq!(lines(&loki, "web"), ["1", "2"]);
}

#[tokio::test]
async fn what_is_refused_for_good_is_counted_and_blocks_nothing() {
    let (bench, loki) = (Bench::new(), FakeService::loki());
    loki.script([Answer { body: b"entry too far behind\n".to_vec(), ..Answer::status(400) }]);
    bench.append("a", "web", &["old", "old too"]).await;
    let mut forwarder = bench.forwarder(&settings(&loki));
    until_idle(&mut forwarder).await;
    bench.append("a", "web", &["new"]).await;
    until_idle(&mut forwarder).await;
    assert_eq!(lines(&loki, "web"), ["old", "old too", "new"]);
    assert_eq!(bench.metrics.forward.refused.with_label_values(&["400"]).get(), 2);
    assert_eq!(bench.metrics.forward.sent.get(), 1);
    assert_eq!(bench.position().await, 2);
}

#[tokio::test]
async fn a_push_too_large_for_the_upstream_is_halved_until_it_fits() {
    let bench = Bench::new();
    let loki = FakeService::start(|request| Answer::status(if request.body.len() > 60 { 413 } else { 204 }));
    bench.append("a", "web", &["1", "2", "3", "4"]).await;
    let giant: String = (0..200).map(|n| char::from(b'!' + (n * 7 % 90) as u8)).collect();
    bench.append("a", "web", &[&giant, "5"]).await;
    until_idle(&mut bench.forwarder(&settings(&loki))).await;
    assert_eq!(bench.metrics.forward.sent.get(), 5);
    assert_eq!(bench.metrics.forward.refused.with_label_values(&["413"]).get(), 1);
    assert_eq!(bench.position().await, 2);
}

#[tokio::test]
async fn only_selected_streams_go_out_and_a_fixed_tenant_replaces_all_others() {
    let (bench, loki) = (Bench::new(), FakeService::loki());
    bench.append("a", "web", &["1"]).await;
    bench.append("b", "db", &["2"]).await;
    let mut settings = settings(&loki);
    settings.selector = r#"{job="db"}"#.parse().unwrap();
    settings.tenant = Some(TenantId::parse("all").unwrap());
    until_idle(&mut bench.forwarder(&settings)).await;
    assert_eq!((lines(&loki, "web").len(), lines(&loki, "db").len()), (0, 1));
    assert_eq!(loki.pushes()[0].0.as_deref(), Some("all"));
    assert_eq!(bench.position().await, 2);
    sigyn::forward::forget(&bench.store).await.unwrap();
    assert_eq!(bench.position().await, 0);
}
