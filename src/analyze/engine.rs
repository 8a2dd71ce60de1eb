//! The analysis itself, without a store: lines come in, windows with their findings go out.
//!
//! Owns the miners, the groups with what they carry from window to window, and every open window. What it needs from an
//! earlier run is handed to it, what the next run will need it hands out; when and where that is kept is its owner's.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicU64},
};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    Settings,
    detect::{self, Closing, GroupDetect, Sighting},
    digest,
    exhibit::Exhibit,
    group::{Group, GroupKey, Groups, StreamContext, group_name},
    judge,
    line::Line,
    mine::{self, Change, Miner},
    sift::{GroupSift, Sifter, Verdict},
    taught::{Sieved, Taught},
    window::{OpenWindow, Seen, TemplateStat},
};
use crate::{
    model::{FindingDraft, Labels, LineRef, TemplateId, Timestamp},
    store::{
        alias::Alias,
        memory::{MemoryRow, StoredRow},
        position, template,
    },
    wire::{
        envelope::{self, Envelope},
        level::Level,
    },
};

/// A line as it was received.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// Its name.
    pub at: LineRef,
    /// The sender's time.
    pub timestamp: Timestamp,
    /// Its bytes.
    pub line: &'a [u8],
    /// How serious the metadata sent along with it says it is.
    pub level: Level,
}

/// What an earlier run left; empty for a fresh start.
#[derive(Default)]
pub struct Carried {
    /// Mined templates.
    pub templates: Vec<template::TemplateRow>,
    /// Positions and rule state of the groups.
    pub groups: Vec<position::Group>,
    /// What the detectors remember.
    pub memory: Vec<StoredRow>,
    /// Templates that were merged into others.
    pub aliases: Vec<Alias>,
}

/// What one line turned out to be.
pub struct Noted<'a> {
    /// The line.
    pub line: &'a Line<'a>,
    /// Its template.
    pub template: TemplateId,
    /// The message's variable parts.
    pub values: &'a [mine::Value],
    /// What the rules said.
    pub verdict: &'a Verdict,
    /// How surprising the detectors find it by itself, in [0, 1].
    pub surprise: f32,
}

/// Is told about every line. `()` wants to know nothing, and costs nothing.
pub trait Watch {
    /// Takes note of a line.
    fn line(&mut self, noted: &Noted<'_>);
}

impl Watch for () {
    fn line(&mut self, _: &Noted<'_>) {}
}

/// A window that has ended, with everything it leads to.
pub struct Closed {
    /// Its group.
    pub key: GroupKey,
    /// What it counted.
    pub window: OpenWindow,
    /// What is to be told.
    pub told: Sieved,
    /// What is over: fingerprints, each with the time that was said.
    pub recovered: Vec<(String, Timestamp)>,
    /// What a model would be shown; made where one is configured and there is something to say.
    pub exhibit: Option<Exhibit>,
    /// Lines by template, and the time of the last.
    pub counts: Vec<(TemplateId, u64, Timestamp)>,
    /// Its templates, and of which of them a rule or a finding spoke.
    pub seen: Vec<(TemplateId, bool)>,
    /// The rule state carried on.
    pub carried: Vec<u8>,
    /// What the detectors have learnt.
    pub memory: Vec<MemoryRow>,
}

/// What became of the templates since the last time.
#[derive(Default)]
pub struct TemplateChanges {
    /// New and changed ones.
    pub rows: Vec<template::TemplateRow>,
    /// Which were merged into which.
    pub merged: Vec<(TemplateId, TemplateId)>,
    /// Those that are gone.
    pub evicted: Vec<TemplateId>,
}

/// Owns every open window.
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) sifter: Arc<Sifter>,
    ids: Arc<AtomicU64>,
    pub(super) miners: FxHashMap<i64, Miner>,
    pub(super) groups: Groups,
    open_templates: usize,
    /// Memory that everything takes that detectors have learnt.
    pub(super) learnt_bytes: usize,
    /// No window is due before this time.
    next_due: Timestamp,
    pub(super) taught: Arc<Taught>,
}

impl Engine {
    /// Goes on where an earlier run ended.
    pub fn restore(settings: Settings, sifter: Arc<Sifter>, carried: Carried) -> Self {
        // A number is never given twice, or an old alias would speak for a new template.
        let known =
            carried.templates.iter().map(|row| row.id).chain(carried.aliases.iter().map(|alias| alias.id));
        let next_id = known.map(|id| id.0 + 1).max().unwrap_or(1);
        let groups = carried.groups.into_iter().map(|group| restored_group(group, &settings)).collect();
        let mut engine = Engine {
            settings,
            sifter,
            ids: Arc::new(AtomicU64::new(next_id)),
            miners: FxHashMap::default(),
            groups,
            open_templates: 0,
            learnt_bytes: 0,
            next_due: Timestamp::MAX,
            taught: Arc::default(),
        };
        let mut by_tenant: FxHashMap<i64, Vec<template::TemplateRow>> = FxHashMap::default();
        for row in carried.templates {
            by_tenant.entry(row.tenant).or_default().push(row);
        }
        for (tenant, rows) in by_tenant {
            engine.miner(tenant).restore(rows);
        }
        for Alias { tenant, id, into } in carried.aliases {
            engine.miner(tenant).restore_alias(id, into);
        }
        for StoredRow { tenant, group, row } in carried.memory {
            if let Some(group) = engine.groups.get_mut(&(tenant, group)) {
                group.detect.restore(&row);
            }
        }
        let keys: Vec<GroupKey> = engine.groups.iter().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| engine.weigh(key));
        engine
    }

    /// Takes over what people have taught, in the place of what they had taught before.
    pub fn teach(&mut self, taught: Arc<Taught>) {
        self.taught = taught;
    }

    /// The group in which the lines of a label set are analysed.
    pub fn group_of(&self, tenant: i64, labels: &Labels) -> GroupKey {
        (tenant, group_name(labels, &self.settings.group_by))
    }

    /// Whether a group is in memory.
    pub fn has(&self, key: &GroupKey) -> bool {
        self.groups.get(key).is_some()
    }

    /// Whether a group has an open window.
    pub fn is_open(&self, key: &GroupKey) -> bool {
        self.groups.get(key).is_some_and(|group| group.window.is_some())
    }

    /// Takes a group back that was given up or is of an earlier run.
    pub fn restore_group(&mut self, group: position::Group, memory: &[MemoryRow]) {
        let (key, mut group) = restored_group(group, &self.settings);
        memory.iter().for_each(|row| group.detect.restore(row));
        self.groups.insert(key.clone(), group);
        self.weigh(&key);
    }

    /// Gives up a group that has no open window; what it carries is its owner's to keep or forget.
    pub fn forget(&mut self, key: &GroupKey) {
        if !self.is_open(key) {
            let learnt = self.groups.get(key).map_or(0, |group| group.learnt_bytes);
            self.learnt_bytes = self.learnt_bytes.saturating_sub(learnt);
            self.groups.remove(key);
        }
    }

    /// Gives up the groups silent for longest when there are too many. What they carry must have been kept by now.
    pub fn evict(&mut self) {
        let max_bytes = self.settings.detect.max_bytes;
        if self.groups.len() > self.settings.max_groups || self.learnt_bytes > max_bytes {
            self.groups.evict(self.settings.max_groups, max_bytes);
            self.learnt_bytes = self.groups.values().map(|group| group.learnt_bytes).sum();
        }
    }

    /// What the lines of a label set have in common; to be kept by the caller.
    pub fn context(&self, tenant: i64, labels: Labels) -> StreamContext {
        let group = self.group_of(tenant, &labels);
        StreamContext { tenant, group, rules: self.sifter.stream_rules(&labels), is_bare: false, labels }
    }

    /// Takes lines of one stream that arrived together; `seq` numbers arrivals.
    pub fn take<'l>(
        &mut self,
        context: &StreamContext,
        (seq, received): (u64, Timestamp),
        lines: impl IntoIterator<Item = Received<'l>>,
        watch: &mut impl Watch,
    ) {
        self.miner(context.tenant);
        let group = self.groups.get_or_new(&context.group, &self.settings.detect);
        let Some(miner) = self.miners.get_mut(&context.tenant) else { return };
        if seq <= group.seq {
            return; // analysed before a restart, together with a window already committed
        }
        let Group { window, sift, detect, urgent_since, .. } = group;
        let window = window.get_or_insert_with(|| OpenWindow::open(seq, received));
        let templates_before = window.templates.len();
        let mut reader =
            Reader { miner, sifter: &self.sifter, context, sift, window, detect, settings: &self.settings };
        for line in lines {
            if reader.read(line, received, watch) {
                urgent_since.get_or_insert(received);
            }
        }
        self.open_templates += window.templates.len() - templates_before;
        let is_full = window.lines >= self.settings.max_window_lines;
        let due = if is_full { Timestamp::MIN } else { window.opened.plus(self.settings.window) };
        self.next_due = self.next_due.min(due);
    }

    /// The groups whose window is due at `now`, old enough or large enough, in an order that no hash decides.
    pub fn due(&mut self, now: Timestamp) -> Vec<GroupKey> {
        if now < self.next_due {
            return Vec::new();
        }
        let (age, lines) = (self.settings.window, self.settings.max_window_lines);
        let mut due = Vec::new();
        self.next_due = Timestamp::MAX;
        for (key, group) in self.groups.iter() {
            let Some(window) = &group.window else { continue };
            if now >= window.opened.plus(age) || window.lines >= lines {
                due.push(key.clone());
            } else {
                self.next_due = self.next_due.min(window.opened.plus(age));
            }
        }
        due.sort();
        due
    }

    /// Every group with an open window, in an order that no hash decides.
    pub fn open(&self) -> Vec<GroupKey> {
        let open = self.groups.iter().filter(|(_, group)| group.window.is_some());
        let mut keys: Vec<_> = open.map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    }

    /// Whether the open windows together hold too much and should be closed early.
    pub fn is_overfull(&self) -> bool {
        self.open_templates > self.settings.max_open_templates
            || self.learnt_bytes > self.settings.detect.max_bytes
            || self.has_too_many_groups()
    }

    /// Whether more groups have an open window than may be in memory.
    fn has_too_many_groups(&self) -> bool {
        let max = self.settings.max_groups;
        let open = || self.groups.values().filter(|group| group.window.is_some()).count();
        self.groups.len() > max && open() > max
    }

    /// Ends the window of a group; every arrival up to `seq` is in it or before it.
    pub fn close(&mut self, key: &GroupKey, seq: u64, now: Timestamp) -> Option<Closed> {
        let group = self.groups.get_mut(key)?;
        let open = group.window.take()?;
        self.open_templates = self.open_templates.saturating_sub(open.templates.len());
        let miner = self.miners.get(&key.0);
        let text_of = |id| miner.and_then(|m| m.template(id)).map(|t| t.text.to_string());
        // A template may have been merged since the window met it.
        let resolve = |id| miner.map_or(id, |miner| miner.resolve(id));
        let mut findings = group.sift.drafts(&self.sifter, &text_of);
        if self.settings.detect.enabled {
            let closing = Closing {
                settings: &self.settings.detect,
                group: &key.1,
                window: &open,
                now,
                text_of: &text_of,
                resolve: &resolve,
            };
            let mut evidence = group.detect.close(&closing);
            self.taught.weigh(key.0, &key.1, &mut evidence);
            findings = judge::judge(findings, evidence, &closing);
        }
        let told = self.taught.sieve(key.0, findings, now);
        let findings = &told.findings;
        let is_telling = !findings.is_empty() || open.is_suspicious();
        let exhibit = (self.settings.ask_model && is_telling)
            .then(|| digest::exhibit(&key.1, &open, findings, &text_of));
        let counts = open.templates.iter().map(|(id, stat)| (resolve(*id), stat.count, stat.last)).collect();
        let spoken: BTreeSet<&str> = findings.iter().flat_map(FindingDraft::templates).collect();
        let is_spoken_of =
            |id| !spoken.is_empty() && text_of(id).is_some_and(|t| spoken.contains(t.as_str()));
        let flagged = |(id, stat): (&TemplateId, &TemplateStat)| stat.severity.is_some() || is_spoken_of(*id);
        let seen = open.templates.iter().map(|entry| (resolve(*entry.0), flagged(entry))).collect();
        let mut recovered = group.sift.take_recoveries();
        group.sift.end_window(now);
        group.seq = seq;
        group.urgent_since = None;
        let carried = serde_json::to_vec(&group.sift).unwrap_or_default();
        let memory = group.detect.save();
        let returns = group.detect.take_returns().into_iter();
        recovered.extend(
            returns.map(|back| (judge::fingerprint(detect::SILENCE, &key.1, &back.subject), back.at)),
        );
        self.weigh(key);
        let key = key.clone();
        Some(Closed { key, window: open, told, recovered, exhibit, counts, seen, carried, memory })
    }

    /// Ends the learning of every group: what they have seen so far was given as normal.
    pub fn finish_learning(&mut self, now: Timestamp) {
        for (_, group) in self.groups.iter_mut() {
            group.detect.finish_learning(now);
        }
    }

    /// The groups in which an urgent rule spoke and may be written at `now`.
    pub fn urgent(&self, now: Timestamp) -> Vec<GroupKey> {
        let interval = self.settings.urgent_interval;
        let due = |group: &Group| {
            group.urgent_since.is_some() && group.urgent_written.is_none_or(|last| now >= last.plus(interval))
        };
        let mut keys: Vec<_> =
            self.groups.iter().filter(|(_, g)| due(g)).map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    }

    /// What the rules say so far of a window that goes on; and since when an urgent one has been waiting.
    pub fn early(
        &mut self,
        key: &GroupKey,
        now: Timestamp,
    ) -> Option<(&OpenWindow, Sieved, Option<Timestamp>)> {
        let group = self.groups.get_mut(key)?;
        let miner = self.miners.get(&key.0);
        let text_of = |id| miner.and_then(|m| m.template(id)).map(|t| t.text.to_string());
        let since = group.urgent_since.take();
        group.urgent_written = Some(now);
        let open = group.window.as_ref()?;
        let told = self.taught.sieve(key.0, group.sift.drafts(&self.sifter, &text_of), now);
        Some((open, told, since))
    }

    /// What became of the templates since the last call.
    pub fn template_changes(&mut self) -> TemplateChanges {
        let mut changes = TemplateChanges::default();
        for miner in self.miners.values_mut() {
            let (rows, evicted) = miner.dirty();
            changes.rows.extend(rows);
            let merged = evicted.iter().map(|id| (*id, miner.resolve(*id))).filter(|(id, into)| id != into);
            changes.merged.extend(merged);
            changes.evicted.extend(evicted);
        }
        changes
    }

    /// The last arrival up to `read` that no open window needs: where reading starts after a restart.
    pub fn settled(&self, read: u64) -> u64 {
        let open = self.groups.values().filter_map(|group| group.window.as_ref());
        open.map(|window| window.first_seq.saturating_sub(1)).min().unwrap_or(read).min(read)
    }

    /// The miner of a tenant.
    pub fn miner(&mut self, tenant: i64) -> &mut Miner {
        let (settings, ids) = (&self.settings.mine, &self.ids);
        self.miners.entry(tenant).or_insert_with(|| Miner::new(settings, tenant, Arc::clone(ids)))
    }
}

/// Reads lines of one stream: mine, sift, count, detect.
struct Reader<'a> {
    miner: &'a mut Miner,
    sifter: &'a Sifter,
    context: &'a StreamContext,
    sift: &'a mut GroupSift,
    window: &'a mut OpenWindow,
    detect: &'a mut GroupDetect,
    settings: &'a Settings,
}

impl Reader<'_> {
    /// Says whether an urgent rule newly spoke.
    fn read(&mut self, received: Received<'_>, arrival: Timestamp, watch: &mut impl Watch) -> bool {
        /// Values of a line that are counted in the window.
        const COUNTED: usize = 8;
        /// Values of a line that are taken without asking for memory; few lines have more.
        const USUAL: usize = 16;
        let envelope = match self.context.is_bare {
            true => envelope::bare(received.line),
            false => envelope::open(received.line),
        };
        let observation = self.miner.observe(&envelope.message, received.timestamp);
        let (template, change) = (observation.template, observation.change);
        let found: SmallVec<[_; USUAL]> = observation.values.iter().copied().collect();
        let values: SmallVec<[&str; COUNTED]> =
            found.iter().take(COUNTED).map(|value| value.text(&envelope.message)).collect();
        let known_before = match self.window.templates.contains_key(&template) {
            true => 0, // asked only when the window meets the template
            false => self.miner.template(template).map_or(0, |known| known.count.saturating_sub(1)),
        };
        let line = Line {
            at: received.at,
            labels: &self.context.labels,
            host: host(&self.context.group.1, &envelope),
            timestamp: received.timestamp,
            level: received.level,
            raw: received.line,
            envelope: &envelope,
            template: Some(template),
        };
        let verdict = self.sift.line(self.sifter, &self.context.rules, &line);
        let seen = Seen {
            template,
            is_new: change == Change::New,
            known_before,
            severity: verdict.severity,
            hit: verdict.hit,
            values: &values,
        };
        let level = self.window.add(&line, &seen);
        let mut surprise = 0.0;
        let detect = &self.settings.detect;
        if detect.enabled {
            let sighting = Sighting {
                line: &line,
                template,
                change,
                values: &found,
                received: arrival,
                hit: verdict.hit,
                level,
                is_late: self.detect.is_late(detect, received.timestamp, arrival),
            };
            surprise = self.detect.line(detect, &sighting);
        }
        watch.line(&Noted { line: &line, template, values: &found, verdict: &verdict, surprise });
        verdict.urgent
    }
}

/// The group's name, or what the line itself says where the group has none.
fn host<'a>(group: &'a str, envelope: &'a Envelope<'_>) -> &'a str {
    if group.is_empty() { envelope.host.as_deref().unwrap_or_default() } else { group }
}

fn restored_group(group: position::Group, settings: &Settings) -> (GroupKey, Group) {
    let sift = serde_json::from_slice(&group.state).unwrap_or_else(|error| {
        // Thresholds start over; positions and findings are unaffected.
        tracing::warn!(group = group.name, %error, "carried rule state could not be read, starting afresh");
        GroupSift::default()
    });
    ((group.tenant, group.name), Group { seq: group.seq, sift, ..Group::new(&settings.detect) })
}
