//! What is normal for one kind of session, and how far a session departs from it.
//!
//! Made of the courses learnt, weighted by how often each was seen. A doubt is the share of sessions that depart in
//! the same way; the session judged may be among those learnt from and is then left out. Five ways to depart are
//! told apart, as they are trusted differently (see `calibrate`).

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::shape::{EDGE, Shape};
use crate::model::TemplateId;

/// Nothing is said of a template's company and counts before so many sessions had it.
const MIN_SUPPORT: u64 = 20;
/// What holds in all but this share of sessions is a rule; a session that breaks it is doubtful.
const EXCEPTIONS: f64 = 0.05;
/// Templates whose company is learnt: the most frequent ones. Bounds the pairs.
const MAX_COMPANY: usize = 128;

/// Ways to depart from what is normal.
pub(super) const WAYS: usize = 5;

/// A way to depart, in the order of `Doubts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A template that hardly any session has.
    Rarity = 0,
    /// A rule between templates or counts is broken.
    Rule = 1,
    /// A template came more or less often than elsewhere.
    Count = 2,
    /// Templates came in another order.
    Order = 3,
    /// Two lines followed each other that never do.
    Move = 4,
}

impl Way {
    pub const ALL: [Way; WAYS] = [Way::Rarity, Way::Rule, Way::Count, Way::Order, Way::Move];
}

/// What exactly departs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Hardly any session has this template.
    Rare(TemplateId),
    /// Sessions with `with` have `missing` too.
    Missing { with: TemplateId, missing: TemplateId },
    /// Sessions have this template `usual` times.
    NotUsual { template: TemplateId, count: u32, usual: u32 },
    /// Sessions have both equally often.
    Unequal { one: TemplateId, other: TemplateId, counts: (u32, u32) },
    /// Outside the counts of nearly all sessions.
    Extreme { template: TemplateId, count: u32, range: (u32, u32) },
    /// `late` should have come first.
    Early { early: TemplateId, late: TemplateId },
    /// `to` does not follow `from`; the edges are `None`.
    Follows { from: Option<TemplateId>, to: Option<TemplateId> },
}

/// How a session departs in one way: the share of sessions that do so too, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Doubt {
    pub share: f64,
    pub reason: Option<Reason>,
}

/// One doubt for each way.
pub(super) type Doubts = [Doubt; WAYS];

const NONE: Doubt = Doubt { share: 1.0, reason: None };

/// What is known of one template.
#[derive(Clone, Debug, Default)]
struct About {
    /// Sessions that have it.
    sessions: u64,
    /// Sessions by how often they have it.
    counts: BTreeMap<u32, u64>,
    /// Templates that nearly always come with it, and in how many of its sessions.
    company: Vec<(TemplateId, u64)>,
    /// What nearly always holds between it and a later template (by id).
    pairs: Vec<(TemplateId, Pair)>,
}

/// What was seen of two templates in the same sessions; the first is the one with the lower id.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    both: u64,
    equal: u64,
    first_before: u64,
    last_before: u64,
}

/// What is normal for one kind of session.
#[derive(Clone, Debug, Default)]
pub(super) struct Knowledge {
    /// Sessions learnt from.
    pub total: u64,
    templates: FxHashMap<TemplateId, About>,
    moves: FxHashMap<Move, u64>,
    vectors: FxHashMap<u64, u64>,
    /// Lines of nearly all sessions: from, to.
    pub lines: (u64, u64),
    /// The template most sessions end with.
    pub end: Option<TemplateId>,
}

type Move = (Option<TemplateId>, Option<TemplateId>);

impl Knowledge {
    /// Learns from courses with their weights.
    pub fn new<'s>(shapes: impl Iterator<Item = (&'s Shape, u64)> + Clone) -> Self {
        let mut known = Knowledge::default();
        let mut lengths: BTreeMap<u64, u64> = BTreeMap::new();
        let mut ends: BTreeMap<TemplateId, u64> = BTreeMap::new();
        for (shape, weight) in shapes.clone() {
            known.total += weight;
            for part in &shape.parts {
                let about = known.templates.entry(part.template).or_default();
                about.sessions += weight;
                *about.counts.entry(part.count).or_default() += weight;
            }
            for step in moves(shape) {
                *known.moves.entry(step).or_default() += weight;
            }
            *known.vectors.entry(shape.vector()).or_default() += weight;
            *lengths.entry(shape.lines()).or_default() += weight;
            if let Some(end) = shape.end() {
                *ends.entry(end).or_default() += weight;
            }
        }
        known.lines = (quantile(&lengths, 0.05), quantile(&lengths, 0.95));
        known.end =
            ends.iter().max_by_key(|(id, count)| (**count, std::cmp::Reverse(**id))).map(|(id, _)| *id);
        known.learn_company(shapes);
        known
    }

    fn learn_company<'s>(&mut self, shapes: impl Iterator<Item = (&'s Shape, u64)>) {
        let mut frequent: Vec<(u64, TemplateId)> = self
            .templates
            .iter()
            .filter(|(_, about)| about.sessions >= MIN_SUPPORT)
            .map(|(id, about)| (about.sessions, *id))
            .collect();
        frequent.sort_unstable_by_key(|(sessions, id)| (std::cmp::Reverse(*sessions), *id));
        frequent.truncate(MAX_COMPANY);
        let mut frequent: Vec<TemplateId> = frequent.into_iter().map(|(_, id)| id).collect();
        frequent.sort_unstable();
        let pairs = pairs(shapes, &frequent);
        for ((one, other), pair) in pairs {
            for (with, missing) in [(one, other), (other, one)] {
                if let Some(about) = self.templates.get_mut(&with)
                    && is_rule(about.sessions - pair.both.min(about.sessions), about.sessions)
                {
                    about.company.push((missing, pair.both));
                }
            }
            if let Some(about) = self.templates.get_mut(&one)
                && pair.both >= MIN_SUPPORT
                && pair.has_rule()
            {
                about.pairs.push((other, pair));
            }
        }
    }

    /// How often exactly these counts were seen.
    pub fn vector(&self, shape: &Shape) -> u64 {
        self.vectors.get(&shape.vector()).copied().unwrap_or(0)
    }

    /// Whether any session had this template.
    pub fn knows(&self, template: TemplateId) -> bool {
        self.templates.contains_key(&template)
    }

    /// The share of sessions that have this template.
    pub fn presence(&self, template: TemplateId) -> f64 {
        let sessions = self.templates.get(&template).map_or(0, |about| about.sessions);
        sessions as f64 / self.total.max(1) as f64
    }

    /// How a session departs. `own` is its weight among the sessions learnt from: 1 leaves it out, 0 when it is not
    /// among them. It is left out of what was seen and not of what it is a share of: what no other session did is then
    /// the same share for both, or calibration would take every outsider for rarer than anything it knows.
    pub fn doubts(&self, shape: &Shape, own: u64) -> Doubts {
        let mut doubts = [NONE; WAYS];
        let mut worst = Worst(&mut doubts);
        let total = self.total;
        for part in &shape.parts {
            let Some(about) = self.templates.get(&part.template) else {
                worst.note(Way::Rarity, share(0, total), Reason::Rare(part.template));
                continue;
            };
            let sessions = about.sessions.saturating_sub(own);
            worst.note(Way::Rarity, share(sessions, total), Reason::Rare(part.template));
            if about.sessions >= MIN_SUPPORT {
                about.doubt_company(shape, part.template, own, &mut worst);
                about.doubt_count(part.template, part.count, own, &mut worst);
            }
            about.doubt_pairs(shape, part.template, own, &mut worst);
        }
        for step in moves(shape) {
            let seen = self.moves.get(&step).map_or(0, |seen| seen.saturating_sub(own));
            worst.note(Way::Move, share(seen, total), Reason::Follows { from: step.0, to: step.1 });
        }
        doubts
    }
}

impl About {
    fn doubt_company(&self, shape: &Shape, with: TemplateId, own: u64, worst: &mut Worst<'_>) {
        for (missing, both) in &self.company {
            if shape.part(*missing).is_none() {
                let without = self.sessions.saturating_sub(*both).saturating_sub(own);
                let reason = Reason::Missing { with, missing: *missing };
                worst.note(Way::Rule, share(without, self.sessions), reason);
            }
        }
    }

    fn doubt_count(&self, template: TemplateId, count: u32, own: u64, worst: &mut Worst<'_>) {
        let usual = self.counts.iter().max_by_key(|(count, seen)| (**seen, std::cmp::Reverse(**count)));
        if let Some((usual, seen)) = usual
            && *usual != count
            && is_rule(self.sessions - seen, self.sessions)
        {
            let others = self.sessions.saturating_sub(*seen).saturating_sub(own);
            let reason = Reason::NotUsual { template, count, usual: *usual };
            worst.note(Way::Rule, share(others, self.sessions), reason);
        }
        let above: u64 = self.counts.range(count..).map(|(_, seen)| seen).sum();
        let below: u64 = self.counts.range(..=count).map(|(_, seen)| seen).sum();
        let tail = above.min(below).saturating_sub(own);
        let range = self.range();
        worst.note(Way::Count, share(tail, self.sessions), Reason::Extreme { template, count, range });
    }

    fn doubt_pairs(&self, shape: &Shape, one: TemplateId, own: u64, worst: &mut Worst<'_>) {
        let Some(here) = shape.part(one) else { return };
        for (other, pair) in &self.pairs {
            let Some(there) = shape.part(*other) else { continue };
            let unequal = pair.both.saturating_sub(pair.equal);
            if here.count != there.count && is_rule(unequal, pair.both) {
                let reason = Reason::Unequal { one, other: *other, counts: (here.count, there.count) };
                worst.note(Way::Rule, share(unequal.saturating_sub(own), pair.both), reason);
            }
            let orders =
                [(pair.first_before, here.first < there.first), (pair.last_before, here.last < there.last)];
            for (before, is_before) in orders {
                let same = if is_before { before } else { pair.both.saturating_sub(before) };
                if is_rule(same, pair.both) {
                    let (early, late) = if is_before { (one, *other) } else { (*other, one) };
                    let share = share(same.saturating_sub(own), pair.both);
                    worst.note(Way::Order, share, Reason::Early { early, late });
                }
            }
        }
    }

    fn range(&self) -> (u32, u32) {
        (quantile(&self.counts, 0.01), quantile(&self.counts, 0.99))
    }
}

impl Pair {
    fn has_rule(&self) -> bool {
        let is_order =
            |before: u64| is_rule(before, self.both) || is_rule(self.both.saturating_sub(before), self.both);
        is_rule(self.both.saturating_sub(self.equal), self.both)
            || is_order(self.first_before)
            || is_order(self.last_before)
    }
}

/// Keeps the smallest share for each way; of equal ones the first.
struct Worst<'a>(&'a mut Doubts);

impl Worst<'_> {
    fn note(&mut self, way: Way, share: f64, reason: Reason) {
        if let Some(doubt) = self.0.get_mut(way as usize)
            && share < doubt.share
        {
            *doubt = Doubt { share, reason: Some(reason) };
        }
    }
}

/// What was seen of every two frequent templates (sorted by id) in the same sessions; in the order of their ids.
fn pairs<'s>(
    shapes: impl Iterator<Item = (&'s Shape, u64)>,
    frequent: &[TemplateId],
) -> BTreeMap<(TemplateId, TemplateId), Pair> {
    let mut pairs: FxHashMap<(TemplateId, TemplateId), Pair> = FxHashMap::default();
    for (shape, weight) in shapes {
        let mut parts = shape.parts.iter().filter(|part| frequent.binary_search(&part.template).is_ok());
        while let Some(one) = parts.next() {
            for other in parts.clone() {
                let pair = pairs.entry((one.template, other.template)).or_default();
                pair.both += weight;
                pair.equal += weight * u64::from(one.count == other.count);
                pair.first_before += weight * u64::from(one.first < other.first);
                pair.last_before += weight * u64::from(one.last < other.last);
            }
        }
    }
    pairs.into_iter().collect()
}

fn moves(shape: &Shape) -> impl Iterator<Item = Move> {
    shape.moves.iter().map(|(from, to)| {
        let template = |place: u8| if place == EDGE { None } else { shape.template_at(place) };
        (template(*from), template(*to))
    })
}

/// Whether so many exceptions leave a rule standing.
fn is_rule(exceptions: u64, of: u64) -> bool {
    of >= MIN_SUPPORT && exceptions as f64 <= EXCEPTIONS * of as f64
}

/// A share that is never 0: what was not seen in `of` sessions may well be half a case.
fn share(seen: u64, of: u64) -> f64 {
    (seen as f64 + 0.5) / (of as f64 + 1.0)
}

/// The value below which `at` of the weight lies.
fn quantile<T: Copy + Default>(weights: &BTreeMap<T, u64>, at: f64) -> T {
    let total: u64 = weights.values().sum();
    let mut seen = 0;
    for (value, weight) in weights {
        seen += weight;
        if seen as f64 >= at * total as f64 {
            return *value;
        }
    }
    T::default()
}
