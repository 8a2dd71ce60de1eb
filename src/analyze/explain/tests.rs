use serde_json::json;

use super::*;
use crate::{
    analyze::ground::testing::{exhibit, item, known},
    llm::{
        self, Provider,
        fake::{FakeModel, Reply},
    },
    model::{Finding, NoteDraft, TenantId, WindowId, WindowRecord},
    store::{
        self,
        finding::{self, FindingChange, FindingFilter},
        note,
        window::{WindowDraft, WindowFilter},
    },
    telemetry::Metrics,
};

const LINE: &str = "Failed password for root from 203.0.113.5 port 4242 ssh2 password=hunter2";

struct Bench {
    explainer: Explainer,
    store: Store,
    clock: Clock,
    fake: FakeModel,
    _folder: tempfile::TempDir,
}

/// A store with one pending window in which a rule found something, and a scripted model.
async fn bench(
    provider: Provider,
    replies: Vec<Reply>,
    change: impl FnOnce(&mut Settings, &mut llm::Settings),
) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(2_000));
    let metrics = Metrics::new().unwrap();
    let at = store::Settings { data_dir: folder.path().to_owned(), ..store::Settings::default() };
    let store = Store::open(&at, clock.clone(), metrics.store.clone()).unwrap();
    assert_eq!(store.streams().tenant_number(&TenantId::single()), 1);
    let fake = FakeModel::start(provider, replies).await;
    let (mut settings, mut model) = (Settings::default(), fake.settings());
    settings.redact.pseudonymise_ips = true;
    change(&mut settings, &mut model);
    let model = Model::new(model, clock.clone()).unwrap();
    let explainer = Explainer::new(store.clone(), model, settings, clock.clone(), metrics.llm);
    let bench = Bench { explainer, store, clock, fake, _folder: folder };
    bench.pend(1).await;
    bench
}

/// Writes a pending window in which a rule found something.
async fn pend(store: &Store, clock: &Clock, first_seq: u64) -> (WindowState, WindowId) {
    let mut exhibit = exhibit(vec![item(1, LINE)]);
    exhibit.known = vec![known("rule:ssh", 1, &exhibit)];
    let findings = vec![exhibit.known[0].draft.clone()];
    let at = Timestamp::from_secs;
    let draft = WindowDraft {
        tenant: 1,
        group: "web-1".to_owned(),
        first_seq,
        from: at(1_000),
        to: at(1_060),
        closed: clock.now(),
        lines: 1_200,
        suspicious: 42,
        templates: 1,
        severity: crate::model::Severity::High,
        state: WindowState::Pending,
        exhibit: Some(serde_json::to_vec(&exhibit).unwrap()),
    };
    let now = clock.now();
    let write = store.write(move |tx| {
        let id = window::put(tx, &draft)?;
        let pending = Pending { id, window: draft, attempts: 0 };
        finding::apply(tx, &source_of(&pending), &findings, Duration::from_secs(3_600), now)?;
        Ok((WindowState::Pending, id))
    });
    write.await.unwrap()
}

impl Bench {
    async fn pend(&self, first_seq: u64) {
        pend(&self.store, &self.clock, first_seq).await;
    }

    async fn step(&self) -> Progress {
        self.explainer.run_once().await.unwrap()
    }

    async fn findings(&self) -> Vec<Finding> {
        let filter = FindingFilter { tenant: 1, limit: 10, ..FindingFilter::default() };
        self.store.read(move |conn| finding::list(conn, &filter)).await.unwrap()
    }

    async fn window(&self) -> WindowRecord {
        let filter = WindowFilter { tenant: 1, limit: 10, ..WindowFilter::default() };
        self.store.read(move |conn| window::list(conn, &filter)).await.unwrap().remove(0)
    }
}

fn answer(explanation: &str) -> Reply {
    let claim = json!({"title": "Guessing from 198.18.0.1", "severity": "info", "category": "brute_force",
        "explanation": explanation, "recommendation": "Use keys.", "root_cause": null, "confidence": 0.9,
        "references": ["L1"], "source_ips": ["198.18.0.1"], "users": ["root"], "service": null, "explains": "K1"});
    Reply::Says(json!({"claims": [claim]}).to_string())
}

fn good() -> Reply {
    answer("The address 198.18.0.1 guessed passwords of root.")
}

#[tokio::test]
async fn a_rules_finding_gets_the_models_words_and_nothing_else_changes() {
    for provider in [Provider::OpenAi, Provider::Anthropic, Provider::Ollama] {
        let bench = bench(provider, vec![good()], |_, _| {}).await;
        let before = bench.findings().await.remove(0);
        assert_eq!(bench.step().await, Progress::MoreToDo);
        let after = bench.findings().await.remove(0);
        assert_eq!(after.summary, "The address 203.0.113.5 guessed passwords of root.");
        assert_eq!((after.count, after.severity, &after.id), (before.count, before.severity, &before.id));
        assert_eq!(after.origin.len(), 2);
        let window = bench.window().await;
        assert_eq!(window.state, WindowState::Analysed);
        assert_eq!(window.model.unwrap().output_tokens, 50);
        let sent = bench.fake.asked()[0].to_string();
        assert!(!sent.contains("hunter2") && !sent.contains("203.0.113.5"), "{sent}");
        assert_eq!(bench.step().await, Progress::Idle { next_due: None });
    }
}

#[tokio::test]
async fn an_equal_digest_is_answered_from_the_cache() {
    let bench = bench(Provider::OpenAi, vec![good()], |_, _| {}).await;
    bench.step().await;
    bench.pend(2).await;
    bench.step().await;
    let window = bench.window().await;
    assert_eq!(window.state, WindowState::Analysed);
    assert!(window.model.unwrap().cached);
    assert_eq!(bench.fake.asked().len(), 1);
}

#[tokio::test]
async fn invalid_json_is_repaired_once() {
    let bench = bench(Provider::OpenAi, vec![Reply::Says("sorry".to_owned()), good()], |_, _| {}).await;
    bench.step().await;
    let window = bench.window().await;
    assert_eq!((window.state, window.model.unwrap().calls), (WindowState::Analysed, 2));
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_sent_shorter() {
    let long = r#"{"error":{"type":"exceed_context_size_error","n_ctx":4096}}"#.to_owned();
    let bench = bench(Provider::OpenAi, vec![Reply::Status(400, vec![], long), good()], |_, _| {}).await;
    bench.step().await;
    assert_eq!(bench.window().await.state, WindowState::Analysed);
}

#[tokio::test]
async fn a_failing_model_is_tried_again_later_and_the_rules_findings_stand() {
    let trouble = Reply::Status(503, vec![], String::new());
    let bench = bench(Provider::OpenAi, vec![trouble.clone(), trouble], |settings, model| {
        settings.attempts = 2;
        model.tries = 1;
    })
    .await;
    bench.step().await;
    assert_eq!(bench.window().await.state, WindowState::Pending);
    assert!(matches!(bench.step().await, Progress::Idle { next_due: Some(due) } if due > bench.clock.now()));
    bench.clock.advance(Duration::from_secs(61));
    bench.step().await;
    let window = bench.window().await;
    assert_eq!(window.state, WindowState::Failed);
    assert!(window.error.unwrap().contains("503"));
    assert_eq!(bench.findings().await[0].summary, "rule words");
}

#[tokio::test]
async fn an_open_breaker_costs_no_attempt_but_patience_ends() {
    let trouble = Reply::Status(503, vec![], String::new());
    let bench = bench(Provider::OpenAi, vec![trouble], |_, model| {
        model.tries = 1;
        model.breaker_failures = 1;
        model.breaker_pause = Duration::from_secs(100_000);
    })
    .await;
    bench.step().await;
    bench.clock.advance(Duration::from_secs(120));
    assert!(matches!(bench.step().await, Progress::Idle { next_due: Some(_) }));
    assert_eq!(bench.fake.asked().len(), 1);
    bench.clock.advance(Duration::from_secs(7 * 3_600));
    bench.step().await;
    assert_eq!(bench.window().await.state, WindowState::Failed);
}

#[tokio::test]
async fn windows_wait_until_the_budget_frees() {
    let bench = bench(Provider::OpenAi, vec![good(), good()], |settings, _| {
        settings.budget.calls_per_hour = Some(1);
        settings.cache_age = Duration::ZERO;
    })
    .await;
    bench.step().await;
    bench.clock.advance(Duration::from_secs(1_800));
    bench.pend(2).await;
    let soon = bench.clock.now().plus(LOOK_AGAIN);
    assert_eq!(bench.step().await, Progress::Idle { next_due: Some(soon) });
    assert_eq!(bench.window().await.state, WindowState::Pending);
    bench.clock.advance(Duration::from_secs(1_801));
    assert_eq!(bench.step().await, Progress::MoreToDo);
    assert_eq!((bench.window().await.state, bench.fake.asked().len()), (WindowState::Analysed, 2));
}

#[tokio::test]
async fn a_backlog_without_end_gives_up_the_oldest_of_equals() {
    let bench = bench(Provider::OpenAi, vec![], |settings, _| {
        settings.budget.calls_per_hour = Some(0);
        settings.backlog = 2;
    })
    .await;
    bench.pend(2).await;
    bench.pend(3).await;
    bench.step().await;
    let filter = WindowFilter { tenant: 1, limit: 10, ..WindowFilter::default() };
    let windows = bench.store.read(move |conn| window::list(conn, &filter)).await.unwrap();
    let states: Vec<_> = windows.iter().map(|window| window.state).collect();
    assert_eq!(states, [WindowState::Pending, WindowState::Pending, WindowState::OverBudget]);
    assert!(bench.fake.asked().is_empty());
}

#[tokio::test]
async fn a_window_that_waits_for_the_loop_is_dealt_with_when_it_is_announced() {
    let Bench { explainer, store, clock, fake, _folder } =
        bench(Provider::OpenAi, vec![good(), good()], |_, _| {}).await;
    let mut changes = store.changes();
    let stop = CancellationToken::new();
    let engines = crate::runtime::Supervisor::default();
    engines.spawn("explain", explainer.run(stop.clone()));
    let ended = async |changes: &mut tokio::sync::broadcast::Receiver<Change>| {
        while !matches!(changes.recv().await, Ok(Change::Window { .. })) {}
    };
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, ended(&mut changes)).await.unwrap();
    // The loop sleeps up to a minute now; only the announcement can wake it in time.
    let (state, id) = pend(&store, &clock, 2).await;
    assert_eq!(state, WindowState::Pending);
    store.announce(Change::Window { tenant: 1, id });
    let both = async {
        ended(&mut changes).await;
        ended(&mut changes).await;
    };
    tokio::time::timeout(patience, both).await.unwrap();
    let filter = WindowFilter { tenant: 1, limit: 10, ..WindowFilter::default() };
    let windows = store.read(move |conn| window::list(conn, &filter)).await.unwrap();
    assert!(windows.iter().all(|window| window.state == WindowState::Analysed), "{windows:?}");
    assert_eq!(fake.asked().len(), 1, "the second digest is equal");
    stop.cancel();
    assert!(engines.stop(patience).await);
}

#[tokio::test]
async fn a_spent_budget_is_a_state_of_its_own() {
    let bench =
        bench(Provider::OpenAi, vec![good()], |settings, _| settings.budget.calls_per_day = Some(1)).await;
    bench.step().await;
    bench.pend(2).await;
    bench.clock.advance(Duration::from_secs(6 * 3_600 + 1));
    bench.step().await;
    let window = bench.window().await;
    assert_eq!(
        (window.state, window.error.as_deref()),
        (WindowState::OverBudget, Some("budget spent: calls_per_day"))
    );
}

#[tokio::test]
async fn the_small_model_cannot_hide_what_rules_found_grave() {
    let nothing = Reply::Says(r#"{"worth_explaining":false,"references":[]}"#.to_owned());
    let bench = bench(Provider::OpenAi, vec![nothing, good()], |_, model| {
        model.screen_model = Some("small".to_owned());
    })
    .await;
    bench.step().await;
    let models: Vec<_> = bench.fake.asked().iter().map(|body| body["model"].clone()).collect();
    assert_eq!(models, ["small", "large"]);
    assert_eq!(bench.findings().await[0].origin.len(), 2);
}

#[tokio::test]
async fn invented_words_leave_the_finding_as_it_was() {
    let bench = bench(Provider::OpenAi, vec![answer("All came from 8.8.8.8.")], |_, _| {}).await;
    bench.step().await;
    assert_eq!(bench.findings().await[0].summary, "rule words");
    assert_eq!(bench.window().await.model.unwrap().dropped, 1);
}

#[tokio::test]
async fn notes_that_fit_and_how_the_same_ended_are_in_the_question_and_written_down() {
    let bench = bench(Provider::OpenAi, vec![good(), good()], |_, _| {}).await;
    let at = bench.clock.now();
    let put = |title: &'static str, body: &'static str| {
        let note = NoteDraft::new(title, body).unwrap();
        bench.store.write(move |tx| note::add(tx, 1, &note, at))
    };
    put("Access", "On web-1 password logins stay on for the pentest of 203.0.113.5, password=letmein77.")
        .await
        .unwrap();
    put("Cooking", "Noodles need eight minutes.").await.unwrap();
    let id = bench.findings().await.remove(0).id;
    let said = FindingChange { status: None, note: Some("ours, see ticket".to_owned()) };
    bench.store.write(move |tx| finding::change(tx, 1, &id, &said, at)).await.unwrap();
    bench.step().await;
    let sent = bench.fake.asked()[0].to_string();
    assert!(sent.contains("On web-1 password logins stay on for the pentest of 198.18.0.1"), "{sent}");
    assert!(
        sent.contains("Like K1, open, high: SSH password guessing | operator's remark: ours, see ticket")
    );
    assert!(!sent.contains("letmein77") && !sent.contains("Noodles"), "{sent}");
    let finding = bench.findings().await.remove(0);
    assert_eq!(finding.notes.iter().map(|note| note.title.as_str()).collect::<Vec<_>>(), ["Access"]);
    assert_eq!(finding.severity, crate::model::Severity::High, "a note makes nothing smaller");
    let first = bench.window().await.model.unwrap().digest;
    assert_eq!(first.len(), 64);
    // Another note is another question: the kept answer is not used again.
    put("Access too", "web-1 is watched.").await.unwrap();
    bench.pend(2).await;
    bench.step().await;
    let window = bench.window().await.model.unwrap();
    assert!(!window.cached && window.digest != first && bench.fake.asked().len() == 2);
}

#[tokio::test]
async fn lines_of_other_streams_that_share_an_address_are_in_the_question() {
    let bench = bench(Provider::OpenAi, vec![good()], |_, _| {}).await;
    let (tenant, received) = (TenantId::single(), bench.clock.now());
    let labels = crate::model::Labels::from_pairs([("host", "web-2"), ("job", "nginx")]).unwrap();
    let id = bench.store.streams().admit(&tenant, &labels, 10, received).unwrap();
    let line = bytes::Bytes::from_static(b"203.0.113.5 GET /wp-login.php token=abcdef987654");
    let timestamp = Timestamp::from_secs(900);
    let entries = vec![crate::model::Entry { timestamp, line, metadata: Vec::new() }];
    let streams = vec![crate::model::StreamBatch { id, labels, entries }];
    let push = crate::model::PushBatch { tenant, received, push_hash: 1, streams };
    bench.store.append(push).await.unwrap();
    bench.step().await;
    let sent = bench.fake.asked()[0].to_string();
    assert!(
        sent.contains("198.18.0.1 GET /wp-login.php token=[secret]") && sent.contains("RELATED"),
        "{sent}"
    );
    assert!(!sent.contains("abcdef987654"));
}
