//! Silence: a heartbeat that is missing, a stream or a host that stopped.
//!
//! Learns from the windows when each regular thing was heard (see `watch`); asks at the end of windows and, for groups
//! without lines, when the clock ticks. The evidence is the last line there was, so a quote of it is kept. What we could not
//! hear because we were not running is no silence; when every host stops at once, it is one thing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Closing, Evidence, Sighting,
    memory::Part,
    settings::Settings,
    watch::{Kind, Watch},
};
use crate::{
    analyze::window::{TemplateStat, quote},
    model::{EvidenceLine, Labels, TemplateId, Timestamp},
    store::memory::MemoryRow,
};

/// Its name.
pub const NAME: &str = "silence";
/// The subject of evidence that every host has fallen silent; the same for every group that says it.
pub const EVERYTHING: &str = "every host silent";
/// The subject of evidence that a host has fallen silent.
pub const THIS_HOST: &str = "host silent";
/// The key of the group itself; templates are numbered from 1, streams have the highest bit.
const HOST: u64 = 0;
const STREAM: u64 = 1 << 63;
/// Streams and templates watched per group; beyond, the least known and longest unheard go.
const MAX_STREAMS: usize = 32;
const MAX_TEMPLATES: usize = 128;
/// Bytes of a kept line.
const MAX_QUOTE: usize = 300;
/// What was heard last within this time, and that in which it usually comes, stopped together.
const TOGETHER: Duration = Duration::from_secs(90);
/// How soon a silence that is not odd enough yet is asked about again.
const AGAIN: Duration = Duration::from_secs(60);

/// Time that passed without a window.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// What the operator set.
    pub settings: &'a Settings,
    /// Now. The analysis must not be behind: lines that wait to be read are no silence.
    pub now: Timestamp,
    /// The group's name; may be empty.
    pub group: &'a str,
    /// When anything was last heard of the tenant's other groups, and how many those are.
    pub others: Option<(Timestamp, usize)>,
}

/// Something that was missing is back for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The subject of the evidence that said it was missing.
    pub subject: String,
    /// Since when it was missing.
    pub since: Timestamp,
    /// When it was heard again.
    pub at: Timestamp,
}

/// The silence detector of one group.
#[derive(Debug, Default)]
pub struct Silence {
    watches: BTreeMap<u64, Watch>,
    /// Streams of the open window: the current one last.
    heard: Vec<Heard>,
    /// Since when we listen; what was silent before is not known.
    awake: Option<Timestamp>,
    /// What was given as normal ended here: what was not heard since is not missed.
    judged_from: Option<Timestamp>,
    /// Nothing is worth asking about before.
    next: Timestamp,
    dirty: BTreeSet<u64>,
}

/// A stream in the open window.
#[derive(Debug)]
struct Heard {
    labels: Labels,
    first: Timestamp,
    last: Timestamp,
    block: u64,
    quote: EvidenceLine,
}

impl Silence {
    /// Notes that a stream speaks.
    pub fn line(&mut self, sighting: &Sighting<'_>) {
        let (line, received) = (sighting.line, sighting.received);
        if let Some(current) = self.heard.last_mut().filter(|heard| heard.labels == *line.labels) {
            if current.block != line.at.block {
                current.block = line.at.block;
                current.last = current.last.max(received);
                current.quote = shortened(quote(line));
            }
            return;
        }
        self.awake.get_or_insert(received);
        if let Some(known) = self.heard.iter().position(|heard| heard.labels == *line.labels) {
            // To the end, where the next line of the same stream finds it at once.
            let mut heard = self.heard.swap_remove(known);
            heard.last = heard.last.max(received);
            self.heard.push(heard);
        } else if self.heard.len() < MAX_STREAMS {
            let (labels, block) = (line.labels.clone(), line.at.block);
            let quote = shortened(quote(line));
            self.heard.push(Heard { labels, first: received, last: received, block, quote });
        }
    }

    /// Ends a window: learns who was heard, says who was not, and who is back.
    pub fn close(&mut self, closing: &Closing<'_>, is_learning: bool) -> (Vec<Evidence>, Vec<Return>) {
        let mut returns = Vec::new();
        self.hear_streams(&mut returns);
        self.hear_templates(closing, &mut returns);
        self.bound(Kind::Stream, MAX_STREAMS);
        self.bound(Kind::Template, MAX_TEMPLATES);
        self.next = Timestamp::MIN;
        if is_learning {
            return (Vec::new(), returns);
        }
        let tick = Tick { settings: closing.settings, now: closing.now, group: closing.group, others: None };
        (self.ask(&tick, closing.text_of), returns)
    }

    /// Time passes without a window.
    pub fn tick(&mut self, tick: &Tick<'_>, text_of: &dyn Fn(TemplateId) -> Option<String>) -> Vec<Evidence> {
        self.awake.get_or_insert(tick.now);
        if tick.now < self.next { Vec::new() } else { self.ask(tick, text_of) }
    }

    /// Ends the learning: what comes next may be of quite another time, and of some of the streams only.
    pub fn finish_learning(&mut self, now: Timestamp) {
        (self.awake, self.judged_from) = (None, Some(now));
    }

    /// When anything of this group was last heard.
    pub fn last_heard(&self) -> Option<Timestamp> {
        self.watches.get(&HOST).map(|watch| watch.last)
    }

    /// Memory taken, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.watches.values().map(|watch| watch.bytes() + 48).sum()
    }

    /// Appends what changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        for key in std::mem::take(&mut self.dirty) {
            let state = self.watches.get(&key).map(Watch::pack);
            out.push(MemoryRow { part: Part::Silence.number(), key, state });
        }
    }

    /// Takes a row back.
    pub fn restore(&mut self, key: u64, state: &[u8]) {
        self.watches.extend(Watch::unpack(state).map(|watch| (key, watch)));
    }

    fn hear_streams(&mut self, returns: &mut Vec<Return>) {
        let mut heard = std::mem::take(&mut self.heard);
        heard.sort_by_key(|heard| heard.last);
        let Some(first) = heard.iter().map(|heard| heard.first).min() else { return };
        if let Some(newest) = heard.last() {
            self.hear((HOST, Kind::Host), (first, newest.last), returns);
            if let Some(host) = self.watches.get_mut(&HOST) {
                host.quote = Some(newest.quote.clone());
            }
        }
        for Heard { labels, first, last, quote, .. } in heard {
            let key = xxh3_64(labels.to_string().as_bytes()) | STREAM;
            self.hear((key, Kind::Stream), (first, last), returns);
            if let Some(stream) = self.watches.get_mut(&key) {
                stream.quote = Some(quote);
            }
        }
    }

    fn hear_templates(&mut self, closing: &Closing<'_>, returns: &mut Vec<Return>) {
        let window = closing.window;
        let is_known = |stat: &TemplateStat| stat.known_before > 0;
        let mut stats: Vec<(TemplateId, &TemplateStat)> = window
            .templates
            .iter()
            .filter(|(_, stat)| is_known(stat))
            .map(|(id, stat)| ((closing.resolve)(*id), stat))
            .collect();
        stats.sort_by_key(|(id, stat)| (*id, stat.first));
        for (id, stat) in stats {
            // Lines that were sent late were not heard before they came.
            let arrived = |at: Timestamp| at.clamp(window.opened, closing.now.max(window.opened));
            self.hear((id.0, Kind::Template), (arrived(stat.first), arrived(stat.last)), returns);
            if let Some(watch) = self.watches.get_mut(&id.0) {
                let is_regular = watch.patience(closing.settings.silence).is_some();
                let newest = stat.tail.as_ref().unwrap_or(&stat.head);
                watch.quote = is_regular.then(|| shortened(newest.clone()));
            }
        }
    }

    fn hear(
        &mut self,
        (key, kind): (u64, Kind),
        (first, last): (Timestamp, Timestamp),
        returns: &mut Vec<Return>,
    ) {
        let awake = self.awake.unwrap_or(first);
        let watch = self.watches.entry(key).or_insert_with(|| Watch::new(kind));
        self.dirty.insert(key);
        if let Some(since) = watch.hear(first, last, awake) {
            returns.push(Return { subject: subject(key, kind), since, at: last });
        }
    }

    /// The least known, then the longest unheard go.
    fn bound(&mut self, kind: Kind, max: usize) {
        let of_kind = self.watches.iter().filter(|(_, watch)| watch.kind == kind);
        let mut order: Vec<(bool, Timestamp, u64)> =
            of_kind.map(|(key, watch)| (watch.weight() >= 5.0, watch.last, *key)).collect();
        let excess = order.len().saturating_sub(max);
        if excess > 0 {
            order.sort_unstable();
            for (.., key) in order.into_iter().take(excess) {
                self.watches.remove(&key);
                self.dirty.insert(key);
            }
        }
    }

    fn ask(&mut self, tick: &Tick<'_>, text_of: &dyn Fn(TemplateId) -> Option<String>) -> Vec<Evidence> {
        let (now, least) = (tick.now, tick.settings.silence);
        let awake = self.awake.unwrap_or(now);
        let mut missing = Vec::new();
        self.next = Timestamp::MAX;
        for (key, watch) in &self.watches {
            if watch.missing_since.is_some() || Some(watch.last) <= self.judged_from {
                continue;
            }
            let Some(patience) = watch.patience(least) else { continue };
            let silent = now.since(watch.last.max(awake));
            if silent < patience {
                self.next = self.next.min(watch.last.max(awake).plus(patience));
            } else if watch.score(silent) < tick.settings.threshold {
                self.next = self.next.min(now.plus(AGAIN));
            } else {
                missing.push(*key);
            }
        }
        let mut told = Vec::new();
        for key in missing {
            let is_own = self.is_own(key, least);
            let Some(watch) = self.watches.get_mut(&key) else { continue };
            if is_own {
                let text = (watch.kind == Kind::Template).then(|| text_of(TemplateId(key))).flatten();
                told.extend(evidence(key, watch, tick, text));
            }
            watch.miss();
            self.dirty.insert(key);
        }
        told
    }

    /// Whether a silence is of this thing alone: what stopped together with its regular stream or host is not told apart.
    fn is_own(&self, key: u64, least: Duration) -> bool {
        let Some(watch) = self.watches.get(&key) else { return false };
        let is_above = |other: &Watch| {
            let covers = match (other.kind, &other.quote, &watch.quote) {
                (Kind::Host, ..) => true,
                (Kind::Stream, Some(theirs), Some(own)) => theirs.stream == own.stream,
                _ => false,
            };
            covers && other.kind < watch.kind && other.patience(least).is_some()
        };
        let together = TOGETHER + watch.usual();
        !self.watches.values().any(|other| is_above(other) && other.last.since(watch.last) < together)
    }
}

fn subject(key: u64, kind: Kind) -> String {
    match kind {
        Kind::Host => THIS_HOST.to_owned(),
        Kind::Stream => format!("stream silent {key:016x}"),
        Kind::Template => format!("missing {key}"),
    }
}

fn evidence(key: u64, watch: &Watch, tick: &Tick<'_>, text: Option<String>) -> Option<Evidence> {
    let quote = watch.quote.clone()?;
    let silent = tick.now.since(watch.last);
    let (silent_for, usual) = (span(silent), span(watch.usual()));
    let stopped_together = |heard: Timestamp| heard.since(watch.last) < tick.settings.silence / 2;
    let others = tick.others.filter(|(heard, count)| *count > 0 && stopped_together(*heard));
    let (subject, sentence) = match (watch.kind, others) {
        (Kind::Host, Some((_, count))) => {
            (EVERYTHING.to_owned(), format!("all {} hosts have been silent for {silent_for}", count + 1))
        }
        (Kind::Host, None) => {
            let sentence = format!("no line has come for {silent_for}, usually one comes every {usual}");
            (subject(key, watch.kind), sentence)
        }
        (Kind::Stream, _) => {
            let stream = &quote.stream;
            let sentence = format!("nothing from {stream} for {silent_for}, usually every {usual}");
            (subject(key, watch.kind), sentence)
        }
        (Kind::Template, _) => {
            let what = text.unwrap_or_else(|| quote.line.clone());
            let sentence = format!("\"{what}\" is missing for {silent_for}, it used to come every {usual}");
            (subject(key, watch.kind), sentence)
        }
    };
    Some(Evidence {
        detector: NAME,
        subject,
        template: (watch.kind == Kind::Template).then_some(TemplateId(key)),
        score: watch.score(silent),
        observed: format!("silent for {silent_for}"),
        expected: format!("one every {usual}"),
        sentence,
        lines: vec![quote],
        count: 1,
        first: watch.last,
        last: tick.now,
        source_ips: BTreeSet::new(),
        users: BTreeSet::new(),
    })
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{} s", seconds.max(1)),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn shortened(mut line: EvidenceLine) -> EvidenceLine {
    if line.line.len() > MAX_QUOTE {
        line.line.truncate(line.line.floor_char_boundary(MAX_QUOTE));
        line.line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
