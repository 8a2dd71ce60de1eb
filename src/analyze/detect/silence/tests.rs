//! Hosts that beat and stop.

use super::*;
use crate::{
    analyze::{
        line::Line,
        mine::Change,
        window::{OpenWindow, Seen},
    },
    model::LineRef,
    wire::{envelope::Envelope, level::Level},
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

/// A line of a job with a template.
type Spoken = (&'static str, u64);

struct Host {
    silence: Silence,
    settings: Settings,
    now: i64,
    learnt_at: i64,
    block: u64,
    returns: Vec<Return>,
}

impl Host {
    fn new() -> Self {
        let (silence, settings) = (Silence::default(), Settings::default());
        Host { silence, settings, now: 0, learnt_at: 86_400, block: 0, returns: Vec::new() }
    }

    /// A minute in which these lines come at its beginning.
    fn minute(&mut self, lines: &[Spoken]) -> Vec<Evidence> {
        self.block += 1;
        let opened = at(self.now);
        self.now += 60;
        if lines.is_empty() {
            return self.tick(None);
        }
        let mut window = OpenWindow::open(self.block, opened);
        for (index, (job, template)) in (0..).zip(lines) {
            let labels = Labels::from_pairs([("host", "vps1"), ("job", *job)]).unwrap();
            let (at, envelope) = (LineRef { block: self.block, index }, Envelope::default());
            let template = TemplateId(*template);
            let raw = format!("line of {job}");
            let line = Line {
                at,
                labels: &labels,
                host: "vps1",
                timestamp: opened,
                level: Level::Unknown,
                raw: raw.as_bytes(),
                envelope: &envelope,
                template: Some(template),
            };
            let seen =
                Seen { template, is_new: false, known_before: 9, severity: None, hit: false, values: &[] };
            let level = window.add(&line, &seen);
            self.silence.line(&Sighting {
                line: &line,
                template,
                change: Change::Same,
                values: &[],
                received: opened,
                hit: false,
                level,
                is_late: false,
            });
            assert_eq!(level, Level::Unknown);
        }
        let closing = Closing {
            settings: &self.settings,
            group: "vps1",
            window: &window,
            now: at(self.now),
            text_of: &|id| Some(format!("template {}", id.0)),
            resolve: &|id| id,
        };
        let (evidence, returns) = self.silence.close(&closing, self.now < self.learnt_at);
        self.returns.extend(returns);
        evidence
    }

    fn tick(&mut self, others: Option<(Timestamp, usize)>) -> Vec<Evidence> {
        if self.now < self.learnt_at {
            return Vec::new(); // learning
        }
        let tick = Tick { settings: &self.settings, now: at(self.now), group: "vps1", others };
        self.silence.tick(&tick, &|id| Some(format!("template {}", id.0)))
    }

    fn minutes(&mut self, minutes: i64, lines: impl Fn(i64) -> Vec<Spoken>) -> Vec<(i64, Evidence)> {
        let one =
            |host: &mut Host, n: i64| host.minute(&lines(n)).into_iter().map(move |evidence| (n, evidence));
        (0..minutes).flat_map(|n| one(self, n).collect::<Vec<_>>()).collect()
    }

    fn restart(&mut self) {
        let mut rows = Vec::new();
        self.silence.dirty.extend(self.silence.watches.keys().copied());
        self.silence.save(&mut rows);
        self.silence = Silence::default();
        rows.iter().for_each(|row| self.silence.restore(row.key, row.state.as_ref().unwrap()));
    }
}

/// Web requests every minute, a timer every five.
fn usual(minute: i64) -> Vec<Spoken> {
    let mut lines = vec![("web", 1)];
    if minute % 5 == 0 {
        lines.push(("timer", 2));
    }
    lines
}

#[test]
fn a_missing_heartbeat_is_told_once_with_its_last_line() {
    let mut host = Host::new();
    assert_eq!(host.minutes(2_000, usual), []);
    let told = host.minutes(600, |_| vec![("web", 1), ("timer", 3)]);
    assert_eq!(told.len(), 1, "{told:?}");
    let (minute, evidence) = &told[0];
    // The last beat was four minutes before; three beats are fifteen minutes.
    assert!((9..=11).contains(minute), "{minute}");
    assert_eq!(evidence.sentence, "\"template 2\" is missing for 15 min, it used to come every 5 min");
    assert_eq!((evidence.lines[0].line.as_str(), evidence.subject.as_str()), ("line of timer", "missing 2"));
    assert!(evidence.score > 0.8);
    let both = |minute| usual(minute).into_iter().chain([("timer", 3)]).collect();
    assert_eq!(host.minutes(20, both), []);
    assert_eq!(host.returns.len(), 1, "back after three beats: {:?}", host.returns);
    assert_eq!(host.returns[0].subject, "missing 2");
}

#[test]
fn a_stream_that_stops_is_told_once_and_not_again_for_its_templates() {
    let mut host = Host::new();
    assert_eq!(host.minutes(2_000, usual), []);
    let told = host.minutes(600, |_| vec![("web", 1)]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.sentence.starts_with("nothing from {host=\"vps1\", job=\"timer\"} for 1"), "{told:?}");
}

#[test]
fn a_host_that_stops_is_one_thing() {
    let mut host = Host::new();
    assert_eq!(host.minutes(2_000, usual), []);
    let told = host.minutes(600, |_| Vec::new());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0, told[0].1.subject.as_str()), (8, "host silent"));
    assert_eq!(told[0].1.sentence, "no line has come for 10 min, usually one comes every 60 s");
    assert_eq!(told[0].1.lines.len(), 1);
}

#[test]
fn a_host_that_comes_and_goes_is_told_once_until_it_is_back_for_good() {
    let mut host = Host::new();
    host.minutes(2_000, usual);
    let told = host.minutes(400, |minute| if minute % 20 == 19 { vec![("web", 1)] } else { Vec::new() });
    assert_eq!(told.iter().filter(|(_, evidence)| evidence.subject == "host silent").count(), 1, "{told:?}");
    host.returns.clear();
    assert_eq!(host.minutes(10, usual), []);
    assert!(host.returns.iter().any(|back| back.subject == "host silent"));
}

#[test]
fn when_all_hosts_stop_it_is_the_same_thing_for_each() {
    let mut host = Host::new();
    host.minutes(2_000, usual);
    let last = at(host.now - 60);
    host.now += 900;
    let told = host.tick(Some((last.plus(Duration::from_secs(20)), 4)));
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].subject.as_str(), told[0].sentence.as_str()),
        (EVERYTHING, "all 5 hosts have been silent for 16 min")
    );
    let mut alone = Host::new();
    alone.minutes(2_000, usual);
    alone.now += 900;
    assert_eq!(alone.tick(Some((at(alone.now), 4)))[0].subject, "host silent");
}

#[test]
fn what_we_did_not_listen_to_is_no_silence() {
    let mut host = Host::new();
    host.minutes(2_000, usual);
    host.restart();
    host.now += 50_000;
    assert_eq!(host.tick(None), [], "just started");
    host.now += 500;
    assert_eq!(host.tick(None), []);
    host.now += 200;
    assert_eq!(host.tick(None).len(), 1, "and ten minutes later still nothing");
    let mut back = Host::new();
    back.minutes(2_000, usual);
    back.restart();
    back.now += 50_000;
    assert_eq!(back.minutes(600, usual), []);
}

#[test]
fn irregular_hosts_and_quiet_nights_are_not_missed() {
    let mut batch = Host::new();
    // A few minutes of work, some hours apart, never the same.
    let works = |minute: i64| (minute * 7_919 / 97) % 311 < 4;
    assert_eq!(batch.minutes(10_000, |minute| if works(minute) { vec![("job", 1)] } else { Vec::new() }), []);
    let mut office = Host::new();
    office.learnt_at = 190_000; // a day of lines takes two days of ten hours, and the night between
    let is_day = |minute: i64| (480..1_080).contains(&(minute % 1_440));
    assert_eq!(
        office.minutes(10_000, |minute| if is_day(minute) { vec![("desk", 1)] } else { Vec::new() }),
        []
    );
}

#[test]
fn a_restart_in_the_middle_of_learning_changes_nothing() {
    let (mut whole, mut restarted) = (Host::new(), Host::new());
    for minute in 0..2_500 {
        let lines = if minute < 2_200 { usual(minute) } else { vec![("web", 1)] };
        assert_eq!(whole.minute(&lines), restarted.minute(&lines), "minute {minute}");
        if [3, 700, 1_700].contains(&minute) {
            restarted.restart();
            restarted.silence.awake = whole.silence.awake;
        }
    }
    assert_eq!(whole.silence.watches, restarted.silence.watches);
}

#[test]
fn watches_are_bounded_and_the_known_ones_stay() {
    let mut host = Host::new();
    host.minutes(100, usual);
    for n in 0..50_u64 {
        let lines: Vec<Spoken> = (0..100).map(|m| ("web", 1_000 + n * 100 + m)).collect();
        host.minute(&lines);
    }
    assert!(host.silence.watches.len() <= 1 + MAX_STREAMS + MAX_TEMPLATES);
    assert!(host.silence.watches.contains_key(&1) && host.silence.watches.contains_key(&2));
    assert!(host.silence.bytes() < 64 << 10);
}
