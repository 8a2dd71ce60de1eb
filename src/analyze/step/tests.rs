//! The analysis over a real store, with time moved by hand and crashes simulated by starting over.

use std::collections::BTreeMap;

use bytes::Bytes;
use prometheus::Registry;

use super::*;
use crate::{
    model::{Entry, Finding, Labels, PushBatch, Severity, StreamBatch, TenantId, WindowRecord, WindowState},
    rules,
    store::{
        finding::{self, FindingFilter},
        testing::{self, START, TestStore},
        window::{self, WindowFilter},
    },
};

/// One host's lines, as one push.
struct Push<'a> {
    host: &'a str,
    lines: Vec<String>,
}

fn failures(host: &str, from: usize, count: usize) -> Push<'_> {
    let lines = (from..from + count)
        .map(|n| {
            format!("sshd[{}]: Failed password for root from 203.0.113.5 port {} ssh2", 100 + n, 40_000 + n)
        })
        .collect();
    Push { host, lines }
}

fn ordinary(host: &str, count: usize) -> Push<'_> {
    let lines = (0..count).map(|n| format!("worker finished job {n} in {n} ms")).collect();
    Push { host, lines }
}

fn send(store: &TestStore, hash: u128, push: &Push<'_>) {
    send_with(store, hash, push, &[]);
}

fn send_with(store: &TestStore, hash: u128, push: &Push<'_>, metadata: &[(&'static str, &'static str)]) {
    let metadata: Vec<_> = metadata.iter().map(|(n, v)| (Bytes::from(*n), Bytes::from(*v))).collect();
    let tenant = TenantId::single();
    let labels = Labels::from_pairs([("host", push.host), ("job", "auth")]).unwrap();
    let now = store.clock.now();
    let id = store.streams().admit(&tenant, &labels, 1_000, now).unwrap();
    let entries = push
        .lines
        .iter()
        .zip(0_u64..)
        .map(|(line, n)| Entry {
            timestamp: now.plus(Duration::from_millis(n)),
            line: Bytes::from(line.clone()),
            metadata: metadata.clone(),
        })
        .collect();
    let batch = PushBatch {
        tenant,
        received: now,
        push_hash: hash,
        streams: vec![StreamBatch { id, labels, entries }],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.append(batch)).unwrap();
}

fn analyzer(store: &TestStore, change: impl FnOnce(&mut Settings)) -> Analyzer {
    let mut settings = Settings::default();
    change(&mut settings);
    let sifter = Arc::new(Sifter::new(rules::load(&rules::Settings::default()).unwrap()));
    let metrics = AnalyzeMetrics::register(&Registry::new()).unwrap();
    Analyzer::restore((**store).clone(), sifter, settings, store.clock.clone(), metrics).unwrap()
}

fn run_until_idle(analyzer: &mut Analyzer) {
    while analyzer.run_once().unwrap() == Progress::MoreToDo {}
}

fn findings(store: &TestStore) -> Vec<Finding> {
    let filter = FindingFilter { tenant: 1, limit: 100, ..FindingFilter::default() };
    store.read_blocking(|conn| finding::list(conn, &filter)).unwrap()
}

fn windows(store: &TestStore) -> Vec<WindowRecord> {
    let filter = WindowFilter { tenant: 1, limit: 100, ..WindowFilter::default() };
    store.read_blocking(|conn| window::list(conn, &filter)).unwrap()
}

fn position(store: &TestStore) -> u64 {
    store.read_blocking(|conn| position::get(conn, position::name::ANALYZE)).unwrap()
}

#[test]
fn quiet_lines_make_a_quiet_window_and_move_the_position() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |_| {});
    send(&store, 1, &ordinary("vps1", 50));
    run_until_idle(&mut analyzer);
    assert_eq!((windows(&store).len(), position(&store)), (0, 0), "the window is still open");

    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    let window = windows(&store).remove(0);
    assert_eq!((window.state, window.lines, window.group.as_str()), (WindowState::Quiet, 50, "vps1"));
    assert!(findings(&store).is_empty());
    assert_eq!(position(&store), 1);
}

#[test]
fn the_level_of_a_lines_metadata_counts_as_if_the_line_said_it() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |settings| settings.ask_model = true);
    send(&store, 1, &ordinary("vps1", 3));
    send_with(&store, 2, &ordinary("vps2", 3), &[("trace_id", "7"), ("severity_text", "ERROR")]);
    run_until_idle(&mut analyzer);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    let mut states: Vec<_> = windows(&store).into_iter().map(|w| (w.group, w.state)).collect();
    states.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("vps1".to_owned(), WindowState::Quiet), ("vps2".to_owned(), WindowState::Pending)];
    assert_eq!(states, expected);
}

#[test]
fn urgent_findings_are_written_before_the_window_closes_and_only_once() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |_| {});
    send(&store, 1, &failures("vps1", 0, 30));
    run_until_idle(&mut analyzer);
    let early = findings(&store);
    assert_eq!((early.len(), windows(&store)[0].state), (1, WindowState::Open));
    assert_eq!(position(&store), 0, "the position waits for the window");

    send(&store, 2, &failures("vps1", 30, 30));
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    let late = findings(&store);
    assert_eq!((late.len(), &late[0].id), (1, &early[0].id));
    assert_eq!((early[0].count, late[0].count), (30, 60));
    assert_eq!(windows(&store)[0].state, WindowState::RulesOnly);
    assert!(late[0].evidence.iter().all(|line| line.line.contains("203.0.113.5")));
}

#[test]
fn a_crash_between_early_and_final_write_changes_nothing() {
    let told = |crash: bool| {
        let store = testing::store();
        let mut first = analyzer(&store, |_| {});
        send(&store, 1, &failures("vps1", 0, 30));
        run_until_idle(&mut first);
        let mut second = if crash { analyzer(&store, |_| {}) } else { first };
        run_until_idle(&mut second);
        store.clock.advance(Duration::from_secs(61));
        run_until_idle(&mut second);
        findings(&store)
            .into_iter()
            .map(|f| (f.fingerprint, f.count, f.title, f.evidence))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(true), told(false));
}

#[test]
fn after_a_restart_committed_groups_are_not_analysed_again() {
    let store = testing::store();
    let mut first = analyzer(&store, |_| {});
    send(&store, 1, &failures("vps1", 0, 20));
    run_until_idle(&mut first);
    store.clock.advance(Duration::from_secs(40));
    send(&store, 2, &ordinary("vps2", 10));
    run_until_idle(&mut first);
    store.clock.advance(Duration::from_secs(30));
    // vps1's window is closed now, vps2's is still open: the position stays before block 2.
    run_until_idle(&mut first);
    assert_eq!(position(&store), 1);
    send(&store, 3, &ordinary("vps1", 5));

    let mut second = analyzer(&store, |_| {});
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut second);
    let lines: BTreeMap<String, u64> =
        windows(&store).into_iter().fold(BTreeMap::new(), |mut sum, window| {
            *sum.entry(window.group).or_default() += window.lines;
            sum
        });
    assert_eq!(lines, BTreeMap::from([("vps1".to_owned(), 25), ("vps2".to_owned(), 10)]));
    assert_eq!((findings(&store).len(), position(&store)), (1, 3));
}

#[test]
fn with_a_model_configured_a_window_with_something_to_say_waits_for_it() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |settings| settings.ask_model = true);
    send(&store, 1, &failures("vps1", 0, 30));
    send(&store, 2, &ordinary("vps2", 30));
    run_until_idle(&mut analyzer);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    let states: BTreeMap<String, WindowState> =
        windows(&store).into_iter().map(|w| (w.group, w.state)).collect();
    assert_eq!(states["vps1"], WindowState::Pending);
    assert_eq!(states["vps2"], WindowState::Quiet, "quiet windows cost no call");
    let pending = store.read_blocking(|conn| window::next_pending(conn, store.clock.now())).unwrap().unwrap();
    let exhibit: crate::analyze::exhibit::Exhibit =
        serde_json::from_slice(pending.window.exhibit.as_deref().unwrap()).unwrap();
    assert_eq!((exhibit.lines, exhibit.known.len()), (30, 1));
    assert!(exhibit.known[0].draft.severity >= Severity::Medium);
}

#[test]
fn windows_close_early_when_they_hold_too_much() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |settings| settings.max_window_lines = 20);
    for push in 1..=3 {
        send(&store, push, &ordinary("vps1", 20));
    }
    run_until_idle(&mut analyzer);
    run_until_idle(&mut analyzer);
    assert_eq!(windows(&store).iter().map(|window| window.lines).collect::<Vec<_>>(), [20, 20, 20]);
    assert!(windows(&store).iter().all(|window| window.closed_at >= START));
}

#[test]
fn the_number_of_a_merged_template_is_understood_after_a_restart() {
    let store = testing::store();
    let mut before = analyzer(&store, |_| {});
    let line =
        |user: &str| Push { host: "vps1", lines: vec![format!("session opened for user {user} over ssh")] };
    for (hash, user) in (1..).zip(["ann", "bob", "cid"]) {
        send(&store, hash, &line(user));
    }
    run_until_idle(&mut before);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut before);
    let ids = |store: &TestStore| {
        store.read_blocking(template::all).unwrap().iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let old = ids(&store);
    assert_eq!(old.len(), 3);
    drop(before);

    let mut middle = analyzer(&store, |_| {});
    send(&store, 4, &line("dan"));
    run_until_idle(&mut middle);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut middle);
    assert_eq!(ids(&store), [old[0]], "the fourth name made them one");
    drop(middle);

    let mut after = analyzer(&store, |_| {});
    assert!(old.iter().all(|id| after.engine.miner(1).resolve(*id) == old[0]));
    send(&store, 5, &Push { host: "vps1", lines: vec!["something new altogether".to_owned()] });
    run_until_idle(&mut after);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut after);
    let new = ids(&store);
    assert!(new.last() > old.last(), "numbers of merged templates are not given again: {new:?}");
}

#[test]
fn a_group_given_up_for_others_goes_on_where_it_was() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |settings| settings.max_groups = 2);
    send(&store, 1, &failures("vps1", 0, 2));
    run_until_idle(&mut analyzer);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    for (hash, host) in (2..).zip(["a", "b", "c", "d"]) {
        send(&store, hash, &ordinary(host, 1));
        run_until_idle(&mut analyzer);
        store.clock.advance(Duration::from_secs(61));
        run_until_idle(&mut analyzer);
    }
    let key = (1, "vps1".to_owned());
    assert!(!analyzer.engine.has(&key), "four others came since");
    assert!(analyzer.engine.groups.len() <= 2);
    assert!(findings(&store).is_empty(), "two failures are none");

    send(&store, 9, &failures("vps1", 2, 4));
    run_until_idle(&mut analyzer);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    assert_eq!(findings(&store)[0].count, 6, "the first two were not forgotten");
}

#[test]
fn more_hosts_at_once_than_fit_are_analysed_in_turns() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |settings| settings.max_groups = 3);
    for n in 0..20_u64 {
        send(&store, u128::from(n) + 1, &ordinary(&format!("h{n}"), 2));
    }
    run_until_idle(&mut analyzer);
    assert!(analyzer.engine.groups.len() <= 4, "{}", analyzer.engine.groups.len());
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    let lines: u64 = windows(&store).iter().map(|window| window.lines).sum();
    assert_eq!((windows(&store).len(), lines), (20, 40));
    assert_eq!(position(&store), 20);
}

#[test]
fn a_host_silent_for_a_month_is_forgotten() {
    let store = testing::store();
    let mut analyzer = analyzer(&store, |_| {});
    send(&store, 1, &ordinary("gone", 1));
    run_until_idle(&mut analyzer);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    let names = || -> Vec<String> {
        let groups = store.read_blocking(|conn| position::groups(conn, 10)).unwrap();
        groups.into_iter().map(|group| group.name).collect()
    };
    store.clock.advance(Duration::from_secs(29 * 86_400));
    send(&store, 2, &ordinary("here", 1));
    run_until_idle(&mut analyzer);
    store.clock.advance(Duration::from_secs(61));
    run_until_idle(&mut analyzer);
    assert_eq!(names(), ["here", "gone"]);

    store.clock.advance(Duration::from_secs(86_400));
    run_until_idle(&mut analyzer);
    assert_eq!(names(), ["here"]);
    assert!(!analyzer.engine.has(&(1, "gone".to_owned())));
    assert_eq!(windows(&store).len(), 2, "what was found stays");
}

#[test]
fn a_host_that_stops_is_told_once_with_its_last_line_and_resolved_when_it_is_back() {
    let store = testing::store();
    let hour = Duration::from_secs(3_600);
    let learnt = |settings: &mut Settings| settings.detect.learning = hour;
    let mut watching = analyzer(&store, learnt);
    let minute = |analyzer: &mut Analyzer, hash: u128| {
        send(&store, hash, &ordinary("vps1", 3));
        run_until_idle(analyzer);
        store.clock.advance(Duration::from_secs(61));
        run_until_idle(analyzer);
    };
    (1..=180).for_each(|n| minute(&mut watching, n));
    assert!(findings(&store).is_empty());
    for _ in 0..60 {
        store.clock.advance(Duration::from_secs(61));
        run_until_idle(&mut watching);
    }
    let told = findings(&store);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].severity, told[0].category), (Severity::Medium, crate::model::Category::Anomaly));
    assert!(told[0].evidence[0].line.starts_with("worker finished job"), "{told:?}");
    // A restart does not tell it again.
    let mut again = analyzer(&store, learnt);
    store.clock.advance(Duration::from_secs(1_000));
    run_until_idle(&mut again);
    assert_eq!((findings(&store).len(), findings(&store)[0].count), (1, told[0].count));
    (300..=330).for_each(|n| minute(&mut again, n));
    assert_eq!(findings(&store)[0].status, crate::model::FindingStatus::Resolved);
}
