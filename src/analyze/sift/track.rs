//! A track: what is remembered of one rule's threshold for one key (an address, a user, a host).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::attempt::Attempts;
use crate::{
    model::{EvidenceLine, LineRef, Severity, TemplateId, Timestamp},
    rules::{Field, Fields, Threshold},
};

/// Slices a threshold's time is counted in: more would be exact to no use.
const SLICES: i64 = 16;
/// What happens again within this time is one episode; as long as equal findings are one by default.
const EPISODE: std::time::Duration = std::time::Duration::from_secs(3_600);
/// Distinct values remembered; thresholds ask for fewer.
const MAX_DISTINCT: usize = 128;
/// Addresses and users named in one finding.
const MAX_NAMED: usize = 64;
/// Lines kept from the beginning and from the end.
const MAX_FIRST: usize = 3;
const MAX_LAST: usize = 3;
/// Lines kept because they are worse than those before.
const MAX_TELLING: usize = 2;

/// A line kept as evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Exhibit {
    pub at: LineRef,
    pub line: EvidenceLine,
    pub template: Option<TemplateId>,
    /// Further lines of the same event that were joined to it.
    pub joined: u16,
}

/// One sighting, as a track books it.
pub(super) struct Sighting<'a> {
    pub fields: &'a Fields,
    pub weight: u64,
    pub severity: Severity,
    pub exhibit: Exhibit,
    pub host: &'a str,
    pub program: Option<&'a str>,
    pub begins: bool,
}

/// What one threshold remembers of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Track {
    /// Events per slice of time: (slice, count), ascending.
    slices: Vec<(i64, u64)>,
    /// Hashes of distinct values with when they were last seen.
    distinct: Vec<(u64, i64)>,
    pub attempts: Attempts,
    /// Events not yet told in an ended window.
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    pub severity: Severity,
    /// Whether the threshold was reached by a sighting of this window.
    pub is_active: bool,
    pub ips: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub hosts: BTreeSet<String>,
    /// Fields of the last sighting that had them.
    pub fields: Vec<(Field, String)>,
    pub program: Option<String>,
    pub evidence: Vec<Exhibit>,
    telling: usize,
    /// Reached as the continuation of this rule's failures: what it takes over.
    pub absorbs: Option<u64>,
    /// What ended windows have told of the same episode: words speak of all of it.
    #[serde(default)]
    told: Told,
}

/// What was told of an episode in windows that have ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Told {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    ips: BTreeSet<String>,
    users: BTreeSet<String>,
}

impl Track {
    pub fn new(at: Timestamp) -> Self {
        Track {
            slices: Vec::new(),
            distinct: Vec::new(),
            attempts: Attempts::default(),
            count: 0,
            first: at,
            last: at,
            severity: Severity::Info,
            is_active: false,
            ips: BTreeSet::new(),
            users: BTreeSet::new(),
            hosts: BTreeSet::new(),
            fields: Vec::new(),
            program: None,
            evidence: Vec::new(),
            telling: 0,
            absorbs: None,
            told: Told::default(),
        }
    }

    /// Events of the whole episode.
    pub fn episode_count(&self) -> u64 {
        self.count.saturating_add(self.told.count)
    }

    /// When the episode began.
    pub fn episode_first(&self) -> Timestamp {
        if self.told.count > 0 { self.first.min(self.told.first) } else { self.first }
    }

    /// Addresses of the whole episode.
    pub fn episode_ips(&self) -> impl Iterator<Item = &String> {
        self.ips.iter().chain(&self.told.ips)
    }

    /// Accounts of the whole episode.
    pub fn episode_users(&self) -> impl Iterator<Item = &String> {
        self.users.iter().chain(&self.told.users)
    }

    /// Books a sighting; says whether the threshold is reached at its time.
    pub fn book(&mut self, threshold: &Threshold, sighting: Sighting<'_>) -> bool {
        let at = sighting.exhibit.line.timestamp_ns;
        if self.count == 0 {
            (self.first, self.last) = (at, at);
            if at.since(self.told.last) > EPISODE {
                self.told = Told::default();
            }
        }
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        if sighting.begins {
            self.count = self.count.saturating_add(sighting.weight);
            self.add_slice(threshold, at.as_secs(), sighting.weight);
        }
        if let Some(value) = threshold.distinct.and_then(|field| sighting.fields.get(field)) {
            self.add_distinct(threshold, at.as_secs(), value);
        }
        let is_worse = sighting.severity > self.severity;
        self.severity = self.severity.max(sighting.severity);
        self.note(&sighting);
        self.keep(sighting.exhibit, is_worse);
        self.is_reached(threshold, at.as_secs())
    }

    /// Events within `secs` before `at`.
    pub fn recent(&self, at: i64, secs: i64, within_secs: i64) -> u64 {
        let width = slice_width(within_secs);
        let (from, to) = ((at - secs).div_euclid(width), at.div_euclid(width));
        self.slices.iter().filter(|(slice, _)| (from..=to).contains(slice)).map(|(_, count)| count).sum()
    }

    /// Bytes of evidence, by which memory is bounded.
    pub fn bytes(&self) -> usize {
        self.evidence.iter().map(|exhibit| exhibit.line.line.len()).sum()
    }

    /// Appends a continuation to the evidence of its head line.
    pub fn join(&mut self, head: LineRef, text: &str, limit: usize) {
        const MAX_JOINED: u16 = 24;
        let Some(exhibit) = self.evidence.iter_mut().find(|exhibit| exhibit.at == head) else { return };
        if exhibit.joined < MAX_JOINED && exhibit.line.line.len() + text.len() < limit {
            exhibit.line.line.push('\n');
            exhibit.line.line.push_str(text);
            exhibit.joined += 1;
        }
    }

    /// Forgets the window; what was told is not told again.
    pub fn end_window(&mut self) {
        if self.is_active {
            self.is_active = false;
            self.told.first = self.episode_first();
            self.told.last = self.told.last.max(self.last);
            self.told.count = self.episode_count();
            merge(&mut self.told.ips, &self.ips);
            merge(&mut self.told.users, &self.users);
            self.count = 0;
            self.severity = Severity::Info;
            self.evidence.clear();
            self.telling = 0;
            self.absorbs = None;
            self.ips.clear();
            self.users.clear();
        }
    }

    fn is_reached(&self, threshold: &Threshold, at: i64) -> bool {
        let needed = u64::from(threshold.count);
        let within = threshold.within_secs;
        if threshold.distinct.is_some() {
            let recent = self.distinct.iter().filter(|(_, seen)| (at - within..=at + within).contains(seen));
            return u64::try_from(recent.count()).unwrap_or(u64::MAX) >= needed.min(MAX_DISTINCT as u64);
        }
        needed <= 1 || self.densest(at, within) >= needed
    }

    /// Most events in any period of this length that holds `at`: a late line may complete a period that began before it
    /// or goes on after it.
    fn densest(&self, at: i64, within_secs: i64) -> u64 {
        let width = slice_width(within_secs);
        let (here, length) = (at.div_euclid(width), within_secs.div_euclid(width));
        let ends =
            self.slices.iter().map(|(slice, _)| *slice).filter(|end| (here..=here + length).contains(end));
        let sum = |end: i64| {
            let period = self.slices.iter().filter(|(slice, _)| (end - length..=end).contains(slice));
            period.map(|(_, count)| count).sum()
        };
        ends.map(sum).max().unwrap_or(0)
    }

    fn add_slice(&mut self, threshold: &Threshold, at: i64, weight: u64) {
        let slice = at.div_euclid(slice_width(threshold.within_secs));
        match self.slices.binary_search_by_key(&slice, |(known, _)| *known) {
            Ok(found) => {
                if let Some((_, count)) = self.slices.get_mut(found) {
                    *count = count.saturating_add(weight);
                }
            }
            Err(place) => self.slices.insert(place, (slice, weight)),
        }
        let newest = self.slices.last().map_or(slice, |(slice, _)| *slice);
        self.slices.retain(|(known, _)| *known >= newest - SLICES * 2);
    }

    fn add_distinct(&mut self, threshold: &Threshold, at: i64, value: &str) {
        let hash = xxhash_rust::xxh3::xxh3_64(value.as_bytes());
        if let Some((_, seen)) = self.distinct.iter_mut().find(|(known, _)| *known == hash) {
            *seen = at.max(*seen);
            return;
        }
        if self.distinct.len() >= MAX_DISTINCT {
            self.distinct.retain(|(_, seen)| *seen >= at - threshold.within_secs);
        }
        if self.distinct.len() < MAX_DISTINCT {
            self.distinct.push((hash, at));
        }
    }

    fn note(&mut self, sighting: &Sighting<'_>) {
        let mut add = |set: Field, value: &str| match set {
            Field::Ip if self.ips.len() < MAX_NAMED && value.parse::<std::net::IpAddr>().is_ok() => {
                self.ips.insert(value.to_owned());
            }
            Field::User if self.users.len() < MAX_NAMED => {
                self.users.insert(value.to_owned());
            }
            _ => {}
        };
        for (field, value) in sighting.fields.iter() {
            add(field, value);
            match self.fields.iter_mut().find(|(known, _)| *known == field) {
                Some((_, known)) => value.clone_into(known),
                None => self.fields.push((field, value.to_owned())),
            }
        }
        if self.hosts.len() < MAX_NAMED && !self.hosts.contains(sighting.host) && !sighting.host.is_empty() {
            self.hosts.insert(sighting.host.to_owned());
        }
        if let Some(program) = sighting.program.filter(|program| self.program.as_deref() != Some(program)) {
            self.program = Some(program.to_owned());
        }
    }

    /// Keeps the first lines, those worse than any before, and the last ones.
    fn keep(&mut self, exhibit: Exhibit, is_worse: bool) {
        let fixed = MAX_FIRST + self.telling;
        if self.evidence.iter().any(|known| known.at == exhibit.at) {
            return;
        }
        if is_worse && self.evidence.len() >= MAX_FIRST && self.telling < MAX_TELLING {
            self.evidence.insert(fixed, exhibit);
            self.telling += 1;
            return;
        }
        if self.evidence.len() >= fixed + MAX_LAST {
            self.evidence.remove(fixed);
        }
        self.evidence.push(exhibit);
    }
}

/// Adds names up to the limit.
fn merge(known: &mut BTreeSet<String>, more: &BTreeSet<String>) {
    let room = MAX_NAMED.saturating_sub(known.len());
    let fresh: Vec<String> = more.difference(known).take(room).cloned().collect();
    known.extend(fresh);
}

fn slice_width(within_secs: i64) -> i64 {
    (within_secs / SLICES).max(1)
}
