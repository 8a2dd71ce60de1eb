//! Findings in, incidents out, over a real store and a clock moved by hand.

use std::{collections::BTreeSet, time::Duration};

use prometheus::Registry;

use super::*;
use crate::{
    model::{
        Category, EvidenceLine, Finding, FindingDraft, FindingId, FindingStatus, FindingWindow, Incident,
        Labels, Origin, Role, Severity,
    },
    store::{
        finding::{FindingChange, Source},
        incident::{IncidentChange, IncidentFilter},
        testing::{self, START, TestStore},
    },
};

const HOUR: u64 = 3_600;

/// A finding in the making: what it is a case of, where, and when (seconds after the start).
struct Case<'a> {
    category: Category,
    story: &'a str,
    host: &'a str,
    ip: &'a str,
    user: &'a str,
    service: &'a str,
    at: u64,
    count: u64,
}

impl<'a> Case<'a> {
    fn new(category: Category, story: &'a str, host: &'a str, at: u64) -> Self {
        Case { category, story, host, ip: "", user: "", service: "", at, count: 1 }
    }

    fn from(self, ip: &'a str) -> Self {
        Case { ip, ..self }
    }

    fn by(self, user: &'a str) -> Self {
        Case { user, ..self }
    }

    fn of(self, service: &'a str) -> Self {
        Case { service, ..self }
    }

    fn times(self, count: u64) -> Self {
        Case { count, ..self }
    }

    fn draft(&self) -> FindingDraft {
        let set =
            |text: &str| (!text.is_empty()).then(|| text.to_owned()).into_iter().collect::<BTreeSet<_>>();
        let at = START.plus(Duration::from_secs(self.at));
        let subject =
            [self.ip, self.user, self.service].into_iter().find(|text| !text.is_empty()).unwrap_or("");
        let line = format!("{} of {subject} at {at}", self.story);
        FindingDraft {
            fingerprint: format!("{}/{}/{}/{subject}", self.category.as_str(), self.story, self.host),
            title: format!("{} on {}: {} {}", self.story, self.host, self.ip, self.user),
            severity: match self.category {
                Category::AuthCompromise => Severity::High,
                _ => Severity::Medium,
            },
            category: self.category,
            summary: String::new(),
            recommendation: String::new(),
            root_cause: None,
            evidence: vec![EvidenceLine {
                stream: Labels::default(),
                timestamp_ns: at,
                line,
                template: None,
                at: None,
            }],
            source_ips: set(self.ip),
            users: set(self.user),
            affected_service: set(self.service).pop_first(),
            hosts: set(self.host),
            count: self.count,
            score: 0.9,
            origin: BTreeSet::from([Origin::Rule { id: self.story.to_owned() }]),
            first_seen: at,
            last_seen: at,
        }
    }
}

/// A store with the engine that follows it.
struct Bench {
    store: TestStore,
    engine: Correlator,
    seq: u64,
}

impl Bench {
    fn new() -> Self {
        let store = testing::store();
        let metrics = IncidentMetrics::register(&Registry::new()).unwrap();
        let engine = Correlator::new(store.clone(), Settings::default(), store.clock.clone(), metrics);
        Bench { store, engine, seq: 0 }
    }

    /// Stores findings, each from a window of its own.
    fn store(&mut self, cases: &[Case<'_>]) -> Vec<FindingId> {
        cases.iter().map(|case| self.write(case.draft())).collect()
    }

    fn write(&mut self, draft: FindingDraft) -> FindingId {
        self.seq += 1;
        let window = FindingWindow { from: START, to: START, lines: 1, suspicious: 1 };
        let source = Source { tenant: 1, group: "g".to_owned(), first_seq: self.seq, window };
        let now = self.store.clock.now();
        let written = self
            .store
            .write_blocking(move |tx| finding::apply(tx, &source, &[draft], Duration::from_secs(HOUR), now));
        written.unwrap().remove(0).0
    }

    /// Lets the engine do everything there is to do.
    fn run(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { while self.engine.run_once().await.unwrap() == Progress::MoreToDo {} });
    }

    fn incidents(&self) -> Vec<Incident> {
        let filter = IncidentFilter { tenant: 1, limit: 1_000, ..IncidentFilter::default() };
        self.store.read_blocking(|conn| incident::list(conn, &filter)).unwrap()
    }

    #[track_caller]
    fn only(&self) -> Incident {
        let mut all = self.incidents();
        assert_eq!(all.len(), 1, "{:?}", all.iter().map(|incident| &incident.title).collect::<Vec<_>>());
        all.remove(0)
    }

    fn finding(&self, id: &FindingId) -> Finding {
        self.store.read_blocking(|conn| finding::get(conn, 1, id)).unwrap().unwrap()
    }

    fn set(&self, id: &IncidentId, status: FindingStatus) {
        let (id, now) = (id.clone(), self.store.clock.now());
        let change = IncidentChange { status: Some(status), note: None };
        self.store.write_blocking(move |tx| incident::change(tx, 1, &id, &change, ("person", now))).unwrap();
    }

    fn set_finding(&self, id: &FindingId, status: FindingStatus) {
        let (id, now) = (id.clone(), self.store.clock.now());
        let change = FindingChange { status: Some(status), note: None };
        self.store
            .write_blocking(move |tx| {
                let changed = finding::change(tx, 1, &id, &change, now)?.unwrap();
                incident::follow_findings(tx, 1, &changed.incident_id.unwrap(), "person", now)
            })
            .unwrap();
    }
}

const ATTACKER: &str = "203.0.113.5";

fn scan(at: u64, ip: &str) -> Case<'_> {
    Case::new(Category::Recon, "port-scan", "vps1", at).from(ip)
}

fn guesses(at: u64, ip: &str) -> Case<'_> {
    Case::new(Category::BruteForce, "ssh-login-failures", "vps1", at).from(ip).times(143)
}

fn break_in<'a>(at: u64, ip: &'a str, user: &'a str) -> Case<'a> {
    Case::new(Category::AuthCompromise, "ssh-login-after-failures", "vps1", at).from(ip).by(user)
}

fn sudo(at: u64, user: &str) -> Case<'_> {
    Case::new(Category::PrivilegeEscalation, "sudo-after-break-in", "vps1", at).by(user)
}

#[test]
fn a_chain_from_scan_to_sudo_is_one_incident_that_tells_it() {
    let mut bench = Bench::new();
    bench.store(&[
        scan(0, ATTACKER),
        guesses(300, ATTACKER),
        break_in(600, ATTACKER, "deploy"),
        sudo(900, "deploy"),
    ]);
    bench.run();
    let incident = bench.only();
    let title = "203.0.113.5 broke into vps1 as deploy after a scan and 143 failed logins, then used sudo";
    assert_eq!(incident.title, title);
    let roles: Vec<Role> = incident.timeline.iter().map(|entry| entry.role).collect();
    assert_eq!(roles, [Role::Scan, Role::Attempt, Role::Entry, Role::Privilege]);
    assert_eq!((incident.findings, incident.count), (4, 146));
    assert_eq!(incident.source_ips, BTreeSet::from([ATTACKER.to_owned()]));
}

#[test]
fn the_order_in_which_findings_are_seen_does_not_split_a_chain() {
    let mut bench = Bench::new();
    let later = sudo(900, "deploy");
    bench.store(&[later, guesses(300, ATTACKER)]);
    bench.run();
    assert_eq!(bench.incidents().len(), 2);
    bench.store(&[break_in(600, ATTACKER, "deploy")]);
    bench.run();
    assert_eq!(bench.only().findings, 3);
}

#[test]
fn two_attackers_on_one_host_are_two_incidents() {
    let mut bench = Bench::new();
    let other = "198.51.100.9";
    bench.store(&[
        guesses(0, ATTACKER),
        guesses(10, other),
        break_in(60, ATTACKER, "deploy"),
        break_in(90, other, "deploy"),
        sudo(120, "deploy"),
    ]);
    bench.run();
    let incidents = bench.incidents();
    assert_eq!(incidents.len(), 2);
    for incident in incidents {
        assert_eq!(incident.source_ips.len(), 1, "{}", incident.title);
    }
}

#[test]
fn what_is_too_far_apart_is_not_joined() {
    let mut bench = Bench::new();
    bench.store(&[scan(0, ATTACKER), guesses(30 * 60 + 1, ATTACKER)]);
    bench.run();
    assert_eq!(bench.incidents().len(), 2);
    bench.store(&[Case::new(Category::WebScan, "web-scan", "vps1", 15 * 60).from(ATTACKER)]);
    bench.run();
    assert_eq!(bench.only().findings, 3, "the third stands between the two");
}

#[test]
fn an_address_that_is_in_everything_glues_nothing() {
    let mut bench = Bench::new();
    let nat = "192.0.2.1";
    let kinds = [
        (Category::WebScan, "web-scan"),
        (Category::BruteForce, "application-login-failures"),
        (Category::Dos, "web-flood"),
        (Category::MailAbuse, "mail-mailbox-abuse"),
        (Category::AppError, "application"),
    ];
    // Two hundred findings on forty hosts within two hours, some minutes apart for each kind.
    let hosts: Vec<String> = (0..40).map(|n| format!("host-{n}")).collect();
    let mut cases = Vec::new();
    for (n, host) in hosts.iter().enumerate() {
        for (k, (category, story)) in kinds.iter().enumerate() {
            cases.push(Case::new(*category, story, host, 180 * n as u64 + 30 * k as u64).from(nat));
        }
    }
    bench.store(&cases);
    bench.run();
    let incidents = bench.incidents();
    let largest = incidents.iter().filter(|incident| !incident.is_storm).map(|i| i.findings).max().unwrap();
    assert!(largest <= 20, "{largest} findings in one of {} incidents", incidents.len());
    let mixed =
        incidents.iter().filter(|incident| incident.is_storm && incident.categories.len() > 1).count();
    assert_eq!(mixed, 0, "a storm is of one kind");
}

#[test]
fn a_busy_account_on_several_hosts_joins_nothing() {
    let mut bench = Bench::new();
    let crontab = |host, at| Case::new(Category::Persistence, "crontab-changed", host, at).by("root");
    let su = |host, at| Case::new(Category::PrivilegeEscalation, "sudo-su", host, at).by("root");
    bench.store(&[crontab("a", 0), crontab("b", 10), su("c", 20), su("a", 1_000)]);
    bench.run();
    assert!(bench.incidents().len() >= 3, "{}", bench.incidents().len());
}

#[test]
fn troubles_of_one_service_on_one_host_are_one_and_of_another_host_another() {
    let mut bench = Bench::new();
    let oom = |host, at| Case::new(Category::Oom, "oom", host, at).of("shop");
    let failed = |host, at| Case::new(Category::ServiceFailure, "unit", host, at).of("shop");
    bench.store(&[oom("web-1", 0), failed("web-1", 20), failed("web-2", 30)]);
    bench.run();
    let mut sizes: Vec<u64> = bench.incidents().iter().map(|incident| incident.findings).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2]);
}

#[test]
fn a_request_id_joins_across_hosts() {
    let mut bench = Bench::new();
    for (host, at) in [("front", 0), ("back", 2)] {
        let mut draft = Case::new(Category::AppError, "application", host, at).of(host).draft();
        draft.evidence[0].line = format!("{host}: failed, request_id=4bf92f3577b34da6");
        bench.write(draft);
    }
    bench.run();
    assert_eq!(bench.only().hosts.len(), 2);
}

#[test]
fn a_finding_written_again_changes_nothing_and_growth_counts_once() {
    let mut bench = Bench::new();
    bench.store(&[guesses(0, ATTACKER)]);
    bench.run();
    let first = bench.only();
    // The same window once more.
    bench.seq -= 1;
    bench.store(&[guesses(0, ATTACKER)]);
    bench.store.clock.advance(Duration::from_secs(60));
    bench.run();
    assert_eq!(bench.only(), first);
    bench.store(&[guesses(60, ATTACKER)]);
    bench.run();
    let grown = bench.only();
    assert_eq!((grown.id, grown.findings, grown.count), (first.id, 1, 286));
    assert_eq!(grown.active_at, START.plus(Duration::from_secs(60)));
}

#[test]
fn a_step_whose_cursor_was_lost_is_repeated_without_repeating_results() {
    let mut bench = Bench::new();
    bench.store(&[guesses(0, ATTACKER), break_in(60, ATTACKER, "deploy")]);
    bench.run();
    let before = bench.only();
    bench.store.write_blocking(|tx| finding::set_cursor(tx, FOLLOWER, 0, START)).unwrap();
    bench.run();
    assert_eq!(bench.only(), before);
}

#[test]
fn silence_resolves_an_incident_with_its_findings_and_the_same_thing_opens_it_again() {
    let mut bench = Bench::new();
    let first = bench.store(&[guesses(0, ATTACKER)]);
    bench.run();
    bench.store.clock.advance(Duration::from_secs(6 * HOUR - 1));
    bench.run();
    assert_eq!(bench.only().status, FindingStatus::Open);
    bench.store.clock.advance(Duration::from_secs(1));
    bench.run();
    let over = bench.only();
    assert_eq!(
        (over.status, bench.finding(&first[0]).status),
        (FindingStatus::Resolved, FindingStatus::Resolved)
    );
    assert_eq!(over.audit.last().unwrap().by, "silence");
    bench.store.clock.advance(Duration::from_secs(HOUR));
    let again = bench.store(&[guesses(7 * HOUR, ATTACKER)]);
    bench.run();
    let back = bench.only();
    assert_eq!((back.id, back.status, back.reopened), (over.id, FindingStatus::Open, 1));
    assert_ne!(again, first);
    assert_eq!(bench.finding(&first[0]).status, FindingStatus::Resolved, "what was over stays over");
}

#[test]
fn the_same_thing_after_a_day_is_a_new_incident() {
    let mut bench = Bench::new();
    bench.store(&[guesses(0, ATTACKER)]);
    bench.run();
    bench.store.clock.advance(Duration::from_secs(6 * HOUR));
    bench.run();
    bench.store.clock.advance(Duration::from_secs(24 * HOUR + 1));
    bench.store(&[guesses(30 * HOUR + 1, ATTACKER)]);
    bench.run();
    assert_eq!(bench.incidents().len(), 2);
}

#[test]
fn what_keeps_coming_back_is_one_flapping_incident_that_needs_twice_the_silence() {
    let mut bench = Bench::new();
    let failed = |at| Case::new(Category::ServiceFailure, "unit", "web-1", at).of("shop");
    bench.store(&[failed(0)]);
    bench.run();
    for n in 1..=3 {
        let incident = bench.only();
        assert!(!incident.is_flapping);
        bench.set(&incident.id, FindingStatus::Resolved);
        bench.store.clock.advance(Duration::from_secs(HOUR));
        bench.store(&[failed(n * HOUR)]);
        bench.run();
    }
    let flapping = bench.only();
    assert!(flapping.is_flapping && flapping.reopened == 3 && flapping.status == FindingStatus::Open);
    let newest = flapping.timeline.last().unwrap().finding.clone();
    // A recovery resolves the finding; the incident waits for quiet.
    let now = bench.store.clock.now();
    let print = bench.finding(&newest).fingerprint;
    bench.store.write_blocking(move |tx| finding::recover(tx, 1, &print, now, now)).unwrap();
    assert_eq!(bench.finding(&newest).status, FindingStatus::Resolved);
    assert_eq!(bench.only().status, FindingStatus::Open);
    bench.store.clock.advance(Duration::from_secs(11 * HOUR));
    bench.run();
    assert_eq!(bench.only().status, FindingStatus::Open);
    bench.store.clock.advance(Duration::from_secs(HOUR));
    bench.run();
    let over = bench.only();
    assert_eq!((over.status, over.is_flapping), (FindingStatus::Resolved, false));
}

#[test]
fn a_recovery_resolves_what_was_before_it() {
    let mut bench = Bench::new();
    let failed = Case::new(Category::ServiceFailure, "unit", "web-1", 100).of("shop");
    let print = failed.draft().fingerprint;
    bench.store(&[failed]);
    bench.run();
    let recover = |at: u64| {
        let (print, at) = (print.clone(), START.plus(Duration::from_secs(at)));
        bench.store.write_blocking(move |tx| finding::recover(tx, 1, &print, at, at)).unwrap().len()
    };
    assert_eq!(recover(99), 0);
    assert_eq!(recover(101), 1);
    let over = bench.only();
    assert_eq!((over.status, over.audit.last().unwrap().by.as_str()), (FindingStatus::Resolved, "recovery"));
    assert_eq!(recover(101), 0);
}

#[test]
fn incident_and_findings_change_together() {
    let mut bench = Bench::new();
    let ids = bench.store(&[guesses(0, ATTACKER), break_in(60, ATTACKER, "deploy")]);
    bench.run();
    let id = bench.only().id;
    let statuses = |bench: &Bench| ids.iter().map(|id| bench.finding(id).status).collect::<Vec<_>>();
    bench.set(&id, FindingStatus::Acknowledged);
    assert_eq!(statuses(&bench), [FindingStatus::Acknowledged; 2]);
    bench.set_finding(&ids[0], FindingStatus::Resolved);
    assert_eq!(bench.only().status, FindingStatus::Acknowledged);
    bench.set_finding(&ids[1], FindingStatus::Resolved);
    assert_eq!(bench.only().status, FindingStatus::Resolved);
    bench.set_finding(&ids[0], FindingStatus::Open);
    let open = bench.only();
    assert_eq!((open.status, open.reopened), (FindingStatus::Open, 1));
    bench.set(&id, FindingStatus::FalsePositive);
    assert_eq!(statuses(&bench), [FindingStatus::FalsePositive, FindingStatus::Resolved]);
    bench.run();
    assert_eq!(bench.only().status, FindingStatus::FalsePositive);
}

#[test]
fn many_of_one_kind_at_one_time_are_one_storm_with_its_numbers() {
    let mut bench = Bench::new();
    let hosts: Vec<String> = (0..30).map(|n| format!("host-{n}")).collect();
    let silent = |host, at| Case::new(Category::Anomaly, "silence", host, at);
    for (n, host) in hosts.iter().enumerate().take(19) {
        bench.store(&[silent(host, n as u64)]);
    }
    bench.run();
    assert_eq!(bench.incidents().len(), 19);
    bench.store(
        &hosts.iter().skip(19).enumerate().map(|(n, host)| silent(host, 19 + n as u64)).collect::<Vec<_>>(),
    );
    bench.run();
    let storm = bench.only();
    assert!(storm.is_storm && storm.findings == 30, "{}", storm.findings);
    assert!(
        storm.title.starts_with("30 findings of one kind (anomaly) on 30 hosts at one time"),
        "{}",
        storm.title
    );
    bench.store(&[Case::new(Category::Anomaly, "frequency", "host-3", 20)]);
    bench.run();
    assert_eq!(bench.incidents().len(), 2, "another kind is no part of it");
}

#[test]
fn a_break_in_does_not_drown_in_a_wave_of_attempts() {
    let mut bench = Bench::new();
    let ips: Vec<String> = (1..40).map(|n| format!("198.51.100.{n}")).collect();
    bench.store(&ips.iter().map(|ip| guesses(1, ip)).collect::<Vec<_>>());
    bench.store(&[break_in(60, &ips[7], "deploy")]);
    bench.run();
    let incidents = bench.incidents();
    let grave: Vec<_> =
        incidents.iter().filter(|i| i.categories.contains(&Category::AuthCompromise)).collect();
    assert_eq!((incidents.len(), grave.len(), grave[0].is_storm), (2, 1, false));
}
