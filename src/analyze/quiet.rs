//! Time passes: what is to be said of groups that say nothing themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    detect::{Closing, EVERYTHING, Tick},
    engine::Engine,
    group::{Group, GroupKey},
    judge,
    taught::Sieved,
    window::OpenWindow,
};
use crate::{
    model::{FindingDraft, FindingWindow, Timestamp},
    store::{finding::Source, memory::MemoryRow},
};

/// Groups not heard for longer do not count among those that could have been heard.
const RECENT: std::time::Duration = std::time::Duration::from_secs(86_400);

/// A group without an open window about which there is something to say.
pub struct Quiet {
    /// The group, and under which name what it adds to findings is booked.
    pub source: Source,
    /// What is to be told.
    pub told: Sieved,
    /// What its detectors have learnt.
    pub memory: Vec<MemoryRow>,
}

/// When a tenant was heard: its newest and second newest group, and how many were heard lately.
#[derive(Default)]
struct Heard {
    newest: Option<(Timestamp, GroupKey)>,
    second: Option<Timestamp>,
    count: usize,
}

impl Heard {
    fn add(&mut self, at: Timestamp, key: &GroupKey) {
        self.count += 1;
        if self.newest.as_ref().is_none_or(|(newest, _)| at > *newest) {
            self.second = self.newest.replace((at, key.clone())).map(|(newest, _)| newest).max(self.second);
        } else {
            self.second = self.second.max(Some(at));
        }
    }

    /// When any other group was heard last, and how many others there are.
    fn others(&self, key: &GroupKey) -> Option<(Timestamp, usize)> {
        let (newest, whose) = self.newest.as_ref()?;
        let at = if whose == key { self.second? } else { *newest };
        Some((at, self.count.saturating_sub(1)))
    }
}

impl Engine {
    /// Lets time pass for groups without an open window, after everything up to the arrival `seq` was read. To be called
    /// every now and then, never while arrivals wait to be read.
    pub fn tick(&mut self, seq: u64, now: Timestamp) -> Vec<Quiet> {
        if !self.settings.detect.enabled {
            return Vec::new();
        }
        let heard = self.heard(now);
        let settings = &self.settings.detect;
        let mut quiet = Vec::new();
        let mut told_of_all = BTreeSet::new();
        let mut groups: Vec<_> = self.groups.iter_mut().filter(|(_, group)| group.window.is_none()).collect();
        groups.sort_by_key(|(key, _)| *key); // what is told does not depend on a hash seed
        for (key, group) in groups {
            let miner = self.miners.get(&key.0);
            let text_of = |id| miner.and_then(|m| m.template(id)).map(|t| t.text.to_string());
            let others = heard.get(&key.0).and_then(|heard| heard.others(key));
            let mut evidence = group.detect.tick(&Tick { settings, now, group: &key.1, others }, &text_of);
            // Every host says the same: once is enough.
            evidence.retain(|evidence| evidence.subject != EVERYTHING || told_of_all.insert(key.0));
            let memory = group.detect.save_silence();
            if memory.is_empty() {
                continue;
            }
            let window = OpenWindow::open(seq, now);
            let closing = Closing {
                settings,
                group: &key.1,
                window: &window,
                now,
                text_of: &text_of,
                resolve: &|id| miner.map_or(id, |miner| miner.resolve(id)),
            };
            self.taught.weigh(key.0, &key.1, &mut evidence);
            let findings = judge::judge(Vec::new(), evidence, &closing);
            let source = source(key, seq, &findings, now);
            quiet.push(Quiet { source, told: self.taught.sieve(key.0, findings, now), memory });
        }
        quiet
    }

    /// Notes how much memory a group has come to take.
    pub(super) fn weigh(&mut self, key: &GroupKey) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let bytes = group.detect.bytes();
        self.learnt_bytes = self.learnt_bytes.saturating_sub(group.learnt_bytes).saturating_add(bytes);
        group.learnt_bytes = bytes;
    }

    fn heard(&self, now: Timestamp) -> BTreeMap<i64, Heard> {
        let mut heard: BTreeMap<i64, Heard> = BTreeMap::new();
        for (key, group) in self.groups.iter() {
            if let Some(at) = last_heard(group).filter(|at| now.since(*at) < RECENT) {
                heard.entry(key.0).or_default().add(at, key);
            }
        }
        heard
    }
}

fn last_heard(group: &Group) -> Option<Timestamp> {
    group.window.as_ref().map(|window| window.opened).max(group.detect.last_heard())
}

fn source(key: &GroupKey, seq: u64, findings: &[FindingDraft], now: Timestamp) -> Source {
    let from = findings.iter().map(|draft| draft.first_seen).min().unwrap_or(now);
    let window = FindingWindow { from, to: now, lines: 0, suspicious: 0 };
    Source { tenant: key.0, group: key.1.clone(), first_seq: seq, window }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        analyze::{
            Settings,
            engine::{Carried, Received},
            sift::Sifter,
        },
        model::{Labels, LineRef},
        rules,
        wire::level::Level,
    };

    /// Hosts that write a line a minute, and the clock.
    struct Hosts {
        engine: Engine,
        seq: u64,
        now: Timestamp,
    }

    impl Hosts {
        fn new() -> Self {
            let mut settings = Settings::default();
            settings.detect.learning = Duration::from_secs(7_200);
            let sifter = Arc::new(Sifter::new(rules::load(&rules::Settings::default()).unwrap()));
            let engine = Engine::restore(settings, sifter, Carried::default());
            Hosts { engine, seq: 0, now: Timestamp::from_secs(1_800_000_000) }
        }

        fn minutes(&mut self, minutes: u32, hosts: &[&str]) -> Vec<FindingDraft> {
            let mut told = Vec::new();
            for _ in 0..minutes {
                self.now = self.now.plus(Duration::from_secs(60));
                for key in self.engine.due(self.now) {
                    told.extend(self.engine.close(&key, self.seq, self.now).unwrap().told.findings);
                }
                self.seq += 1;
                for (index, host) in (0..).zip(hosts) {
                    let context = self.engine.context(1, Labels::from_pairs([("host", *host)]).unwrap());
                    let at = LineRef { block: self.seq, index };
                    let line = Received {
                        at,
                        timestamp: self.now,
                        line: b"session opened for the usual user",
                        level: Level::Unknown,
                    };
                    self.engine.take(&context, (self.seq, self.now), [line], &mut ());
                }
                told.extend(
                    self.engine.tick(self.seq, self.now).into_iter().flat_map(|quiet| quiet.told.findings),
                );
            }
            told
        }
    }

    #[test]
    fn a_host_that_stops_among_others_is_told_by_name() {
        let mut hosts = Hosts::new();
        assert_eq!(hosts.minutes(300, &["a", "b", "c"]), []);
        let told = hosts.minutes(60, &["a", "c"]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].fingerprint, "anomaly/silence/b/host silent");
        assert_eq!(told[0].title, "no line has come for 10 min, usually one comes every 60 s on b");
        assert_eq!(told[0].evidence[0].line, "session opened for the usual user");
    }

    #[test]
    fn after_training_detectors_speak_at_once() {
        let burst = |is_trained: bool| {
            let mut hosts = Hosts::new();
            hosts.minutes(60, &["a"]);
            if is_trained {
                hosts.engine.finish_learning(hosts.now);
            }
            hosts.minutes(1, &["a"; 400]);
            hosts.minutes(2, &["a"]).len()
        };
        assert_eq!((burst(false), burst(true)), (0, 1));
    }

    #[test]
    fn when_all_stop_it_is_told_once_and_of_no_host() {
        let mut hosts = Hosts::new();
        hosts.minutes(300, &["a", "b", "c"]);
        let told = hosts.minutes(60, &[]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].fingerprint, "anomaly/silence//every host silent");
        assert_eq!(told[0].title, "all 3 hosts have been silent for 10 min");
    }

    #[test]
    fn what_is_learnt_is_bounded_by_giving_up_those_silent_for_longest() {
        let mut hosts = Hosts::new();
        hosts.minutes(3, &["a", "b", "c", "d"]);
        hosts.minutes(30, &["b", "c", "d"]);
        hosts.minutes(2, &[]);
        hosts.engine.evict();
        assert_eq!(hosts.engine.groups.len(), 4);
        hosts.engine.settings.detect.max_bytes = hosts.engine.learnt_bytes - 1;
        assert!(hosts.engine.is_overfull());
        hosts.engine.evict();
        assert!(!hosts.engine.has(&(1, "a".to_owned())) && !hosts.engine.is_overfull());
        assert_eq!(hosts.engine.groups.len(), 3);
    }

    #[test]
    fn a_backlog_after_an_outage_raises_no_spike_and_a_burst_of_now_does() {
        let mut hosts = Hosts::new();
        hosts.minutes(300, &["a"]);
        let flood = |hosts: &mut Hosts, back: u64| {
            hosts.seq += 1;
            let context = hosts.engine.context(1, Labels::from_pairs([("host", "a")]).unwrap());
            let (seq, now) = (hosts.seq, hosts.now);
            let lines = (0..300_u32).map(|index| Received {
                at: LineRef { block: seq, index },
                timestamp: now.minus(Duration::from_secs(back * u64::from(index))),
                line: b"session opened for the usual user",
                level: Level::Unknown,
            });
            hosts.engine.take(&context, (seq, now), lines, &mut ());
            hosts.minutes(2, &["a"])
        };
        assert_eq!(flood(&mut hosts, 60), [], "five hours of a line a minute");
        assert_eq!(flood(&mut hosts, 86_400), [], "most of a year");
        let told = flood(&mut hosts, 0);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].title.starts_with("301 lines of \"session opened for"), "{}", told[0].title);
    }
}
