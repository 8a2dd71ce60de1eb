//! The engine: lines to sessions, ended sessions to verdicts.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{
    Settings, Templates, Verdict, batch,
    calibrate::{self, Chance},
    key::{self, Candidate},
    kind::{KeyKind, Standing},
    knowledge::{Doubts, Knowledge},
    model::Model,
    open::Open,
    session::{Ended, Session},
    shape::Shape,
    words,
};
use crate::{
    analyze::{line::Line, mine::Value, window},
    model::{TemplateId, Timestamp},
};

/// Kinds of keys watched at a time, and accepted ones among them: a line costs something for each.
const MAX_KINDS: usize = 16;
const MAX_ACCEPTED: usize = 3;
/// A kind not seen for so many lines gives way to a new one.
const STALE_LINES: u64 = 1 << 14;
/// Abnormal sessions kept for the next call of `end_idle`; the rest is counted.
const MAX_PENDING: usize = 256;
/// One in so many abnormal sessions is learnt: what goes on happening becomes normal in the end.
const SLOWLY: u64 = 8;
/// A template in fewer sessions than this share is worth quoting.
const RARE: f64 = 0.01;
/// The surprise of a line whose template no session of its kind has had.
const UNKNOWN: f32 = 0.6;

/// Follows the sessions of one group. Owned by one thread.
pub struct Sessions {
    pub(super) settings: Settings,
    pub(super) kinds: Vec<KeyKind>,
    pub(super) models: FxHashMap<u64, Model>,
    pub(super) open: Open,
    /// Lines with a key seen.
    pub(super) clock: u64,
    /// Abnormal sessions met in judging.
    pub(super) abnormal: u64,
    pub(super) is_learning: bool,
    /// Whether there are restored courses of which no knowledge was made yet.
    pub(super) is_unsettled: bool,
    /// The row of the kinds as it was last written.
    pub(super) written_kinds: Vec<u8>,
    pending: Vec<Pending>,
    kept: Kept,
    is_trained: bool,
}

/// An abnormal session, to be put into words.
struct Pending {
    session: Ended,
    shape: Shape,
    chance: Chance,
    doubts: Doubts,
}

/// Ended sessions waiting for `finish`.
#[derive(Default)]
struct Kept {
    shapes: FxHashMap<u64, Shape>,
    sessions: Vec<(u64, Ended)>,
    left_out: u64,
}

/// Templates as they were when the line was seen: for sessions that have to make room in the middle of a window.
struct AsSeen;

impl Templates for AsSeen {
    fn resolve(&self, id: TemplateId) -> TemplateId {
        id
    }

    fn text(&self, _: TemplateId) -> Option<String> {
        None
    }
}

impl Sessions {
    /// Nothing seen, nothing learnt.
    pub fn new(settings: Settings) -> Self {
        Sessions {
            settings,
            kinds: Vec::new(),
            models: FxHashMap::default(),
            open: Open::default(),
            clock: 0,
            abnormal: 0,
            is_learning: true,
            is_unsettled: false,
            written_kinds: Vec::new(),
            pending: Vec::new(),
            kept: Kept::default(),
            is_trained: false,
        }
    }

    /// Takes a line into the sessions of its keys; says how surprising it is there, in [0, 1].
    pub fn observe(
        &mut self,
        line: &Line<'_>,
        template: TemplateId,
        values: &[Value],
        received: Timestamp,
    ) -> f32 {
        let candidates = key::candidates(line, values, self.settings.key.as_ref());
        if candidates.is_empty() {
            return 0.0;
        }
        self.settle();
        self.clock += 1;
        let mut surprise = 0.0f32;
        for candidate in &candidates {
            let Some(lines) = self.sight(candidate) else { continue };
            let hash = candidate.hash();
            if !self.open.contains(hash) {
                self.make_room();
                let key = candidate.key.to_text();
                self.open.insert(hash, Session::new(candidate.kind, key, line.timestamp, lines));
            }
            surprise = surprise.max(self.take(hash, candidate.kind, (line, template), (received, lines)));
            self.hold_trial(candidate.kind);
        }
        surprise
    }

    /// Ends sessions that got no line for the idle time, and judges them by what was learnt before. Gives the abnormal
    /// ones, also those that had to make room since the last call. While learning nothing is abnormal.
    pub fn end_idle(&mut self, now: Timestamp, is_learning: bool, templates: &dyn Templates) -> Vec<Verdict> {
        self.settle();
        self.is_learning = is_learning;
        for session in self.open.take_idle(now.minus(self.settings.idle)) {
            self.end(session, templates);
        }
        let pending = std::mem::take(&mut self.pending);
        let verdicts = pending.into_iter().map(|pending| self.verdict(pending, templates)).collect();
        for model in self.models.values_mut().filter(|model| model.is_due(&self.settings)) {
            model.refresh(&self.settings, templates);
        }
        verdicts
    }

    /// Everything that came so far is normal: ends every session and learns from it. For files (`max_kept` above 0).
    pub fn train(&mut self, templates: &dyn Templates) {
        self.end_all(templates);
        let kept = std::mem::take(&mut self.kept);
        for (hash, session) in &kept.sessions {
            if let Some(shape) = kept.shapes.get(hash) {
                self.models.entry(session.kind).or_default().learn(shape.clone());
            }
        }
        for model in self.models.values_mut() {
            model.refresh(&self.settings, templates);
        }
        self.is_trained = true;
    }

    /// Ends every session and gives a verdict on each one since `train`, or on all, in the order of their last lines.
    /// For files (`max_kept` above 0).
    pub fn finish(&mut self, templates: &dyn Templates) -> Vec<Verdict> {
        self.end_all(templates);
        let kept = std::mem::take(&mut self.kept);
        let mut by_kind: BTreeMap<u64, Vec<(Ended, Shape)>> = BTreeMap::new();
        for (hash, session) in kept.sessions {
            let Some(shape) = kept.shapes.get(&hash) else { continue };
            let shape = shape.resolved(templates).unwrap_or_else(|| shape.clone());
            by_kind.entry(session.kind).or_default().push((session, shape));
        }
        let mut verdicts = Vec::new();
        for (kind, sessions) in by_kind {
            if self.standing(kind) == Some(Standing::Accepted) {
                verdicts.extend(self.judge_all(kind, &sessions, templates));
            }
        }
        verdicts.sort_by_key(|(stamp, _)| *stamp);
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    /// Sessions that were not judged because `max_kept` was reached.
    pub fn left_out(&self) -> u64 {
        self.kept.left_out
    }

    /// Open sessions.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Sessions learnt from, of all kinds of keys.
    pub fn learnt(&self) -> u64 {
        self.models.values().map(|model| model.knowledge.total).sum()
    }

    /// Memory of open sessions and courses learnt, in bytes.
    pub fn bytes(&self) -> usize {
        self.open.bytes() + self.models.values().map(Model::bytes).sum::<usize>()
    }

    /// The kinds of keys that hold sessions together here.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().filter(|kind| kind.standing == Standing::Accepted).map(|kind| kind.name.as_str())
    }

    /// Counts a line for the kind of its key; gives the number of such lines if its session is to be followed.
    fn sight(&mut self, candidate: &Candidate<'_>) -> Option<u64> {
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.id == candidate.kind) {
            kind.seen_at = self.clock;
            return kind.sight().then_some(kind.lines);
        }
        if self.kinds.len() >= MAX_KINDS {
            let (place, stale) = self.kinds.iter().enumerate().min_by_key(|(_, kind)| kind.seen_at)?;
            if self.clock - stale.seen_at.min(self.clock) < STALE_LINES {
                return None;
            }
            let stale = self.kinds.swap_remove(place);
            self.forget(stale.id);
        }
        let mut kind = KeyKind::new(candidate.kind, candidate.name.describe());
        if candidate.name == key::Name::Configured {
            kind.standing = Standing::Accepted;
        }
        kind.seen_at = self.clock;
        let is_followed = kind.sight();
        let lines = kind.lines;
        self.kinds.push(kind);
        is_followed.then_some(lines)
    }

    /// Books a line in an open session.
    fn take(
        &mut self,
        hash: u64,
        kind: u64,
        (line, template): (&Line<'_>, TemplateId),
        (received, kind_lines): (Timestamp, u64),
    ) -> f32 {
        let knowledge = self.models.get(&kind).map(|model| &model.knowledge);
        let knowledge = knowledge.filter(|known| known.total >= self.settings.min_sessions);
        let (clock, max_quotes) = (self.clock, self.settings.max_quotes);
        let mut surprise = 0.0;
        let is_opened = self.open.with(hash, |session| {
            let is_opened = session.lines == 0;
            let is_first = session.take(template, line.timestamp);
            (session.stamp, session.seen_at, session.received) = (clock, kind_lines, received);
            let is_rare = is_first && knowledge.is_some_and(|known| known.presence(template) < RARE);
            if session.quotes.len() < max_quotes && (is_opened || is_rare) {
                session.quotes.push(window::quote(line));
            }
            if is_rare && knowledge.is_some_and(|known| !known.knows(template)) {
                surprise = UNKNOWN;
            }
            is_opened
        });
        if is_opened == Some(true)
            && let Some(kind) = self.kind_mut(kind)
        {
            kind.opened += 1;
        }
        if self.standing(kind) == Some(Standing::Accepted) && !self.is_learning { surprise } else { 0.0 }
    }

    fn hold_trial(&mut self, id: u64) {
        if !self.kinds.iter().any(|kind| kind.id == id && kind.is_due()) {
            return;
        }
        let accepted = self.kinds().count();
        let lines = self.kinds.iter().find(|kind| kind.id == id).map_or(0, |kind| kind.lines);
        let census = self.open.census(id, lines);
        let Some(kind) = self.kind_mut(id) else { return };
        kind.hold_trial(census);
        if kind.standing == Standing::Accepted && accepted >= MAX_ACCEPTED {
            kind.standing = Standing::Rejected;
        }
        if kind.standing == Standing::Rejected {
            self.forget(id);
        }
    }

    /// Drops the sessions and the courses of a kind.
    fn forget(&mut self, kind: u64) {
        self.open.take_kind(kind);
        self.kept.sessions.retain(|(_, session)| session.kind != kind);
        if let Some(model) = self.models.get_mut(&kind) {
            model.clear();
        }
    }

    fn make_room(&mut self) {
        if self.open.is_full(self.settings.max_open, self.settings.max_open_bytes) {
            for session in self.open.take_oldest() {
                self.end(session, &AsSeen);
            }
        }
    }

    fn end_all(&mut self, templates: &dyn Templates) {
        self.settle();
        for kind in self.kinds.iter_mut().filter(|kind| kind.standing == Standing::Trial) {
            kind.hold_last_trial(self.open.census(kind.id, kind.lines));
        }
        for session in self.open.take_all() {
            self.end(session, templates);
        }
    }

    fn end(&mut self, session: Session, templates: &dyn Templates) {
        if let Some(kind) = self.kind_mut(session.kind) {
            kind.ended += 1;
            kind.with_course += u64::from(session.has_course());
        }
        let shape = session.shape(templates);
        let session = session.into_ended();
        if self.settings.max_kept > 0 {
            self.kept.push(session, shape, self.settings.max_kept);
        } else {
            self.judge(session, shape);
        }
    }

    /// Judges a session by what was learnt before, and learns from it.
    fn judge(&mut self, session: Ended, shape: Shape) {
        let is_judged = !self.is_learning && self.standing(session.kind) == Some(Standing::Accepted);
        let model = self.models.entry(session.kind).or_default();
        if is_judged && model.knowledge.total >= self.settings.min_sessions {
            let doubts = model.doubts(&shape);
            let chance = model.chance(&doubts);
            if chance.chance <= calibrate::cut(self.settings.false_alarms, model.knowledge.total) {
                self.abnormal += 1;
                if self.abnormal.is_multiple_of(SLOWLY) {
                    model.learn(shape.clone());
                }
                if self.pending.len() < MAX_PENDING {
                    self.pending.push(Pending { session, shape, chance, doubts });
                }
                return;
            }
        }
        model.learn(shape);
    }

    fn verdict(&self, pending: Pending, templates: &dyn Templates) -> Verdict {
        let Pending { session, shape, chance, doubts } = pending;
        match self.models.get(&session.kind) {
            Some(model) => self.word(session, (&shape, chance, &doubts), &model.knowledge, templates),
            None => self.word(session, (&shape, chance, &doubts), &Knowledge::default(), templates),
        }
    }

    fn judge_all(
        &mut self,
        kind: u64,
        sessions: &[(Ended, Shape)],
        templates: &dyn Templates,
    ) -> Vec<(u64, Verdict)> {
        let mut distinct: BTreeMap<u64, (&Shape, u64)> = BTreeMap::new();
        for (_, shape) in sessions {
            distinct.entry(shape.hash()).or_insert((shape, 0)).1 += 1;
        }
        let hashes: Vec<u64> = distinct.keys().copied().collect();
        let shapes: Vec<(&Shape, u64)> = distinct.into_values().collect();
        let trained = self.models.get_mut(&kind).filter(|_| self.is_trained);
        let (chances, knowledge) = match trained {
            Some(model) if model.knowledge.total >= self.settings.min_sessions => {
                model.refresh(&self.settings, templates);
                let judged = shapes.iter().map(|(shape, _)| model.doubts(shape));
                let judged = judged.map(|doubts| (model.chance(&doubts), doubts)).collect();
                (judged, model.knowledge.clone())
            }
            _ => {
                let judged = batch::judge(&shapes, &self.settings);
                (judged.chances, judged.knowledge)
            }
        };
        let judged: BTreeMap<u64, (Chance, Doubts)> = hashes.into_iter().zip(chances).collect();
        let word = |(session, shape): &(Ended, Shape)| {
            let (chance, doubts) = judged.get(&shape.hash())?;
            let session = session.clone();
            Some((session.stamp, self.word(session, (shape, *chance, doubts), &knowledge, templates)))
        };
        sessions.iter().filter_map(word).collect()
    }

    fn word(
        &self,
        session: Ended,
        (shape, chance, doubts): (&Shape, Chance, &Doubts),
        knowledge: &Knowledge,
        templates: &dyn Templates,
    ) -> Verdict {
        let cut = calibrate::cut(self.settings.false_alarms, knowledge.total);
        let is_known_enough = knowledge.total >= self.settings.min_sessions;
        let score = calibrate::score(chance, cut, self.settings.threshold);
        let score = if is_known_enough { score } else { 0.0 };
        let is_anomaly = score >= self.settings.threshold;
        let reason = doubts.get(chance.way as usize).and_then(|doubt| doubt.reason);
        let kind = self.kinds.iter().find(|kind| kind.id == session.kind);
        let name = kind.map(|kind| kind.name.clone()).unwrap_or_default();
        let words = match reason {
            Some(reason) if is_anomaly => words::of(&session, shape, reason, (&name, knowledge, templates)),
            _ => super::Words::default(),
        };
        Verdict {
            key: session.key,
            kind: name,
            score,
            is_anomaly,
            words,
            way: reason.map_or("", words::way),
            template: reason.and_then(words::about),
            lines: u64::from(session.lines),
            first: session.first,
            last: session.last,
            quotes: session.quotes,
        }
    }

    fn standing(&self, kind: u64) -> Option<Standing> {
        self.kinds.iter().find(|other| other.id == kind).map(|kind| kind.standing)
    }

    fn kind_mut(&mut self, kind: u64) -> Option<&mut KeyKind> {
        self.kinds.iter_mut().find(|other| other.id == kind)
    }

    /// Makes knowledge of restored courses.
    fn settle(&mut self) {
        if std::mem::take(&mut self.is_unsettled) {
            self.models.values_mut().for_each(Model::settle);
        }
    }
}

impl Kept {
    fn push(&mut self, session: Ended, shape: Shape, max: usize) {
        if self.sessions.len() >= max {
            self.left_out += 1;
            return;
        }
        let hash = shape.hash();
        self.shapes.entry(hash).or_insert(shape);
        self.sessions.push((hash, session));
    }
}
