//! Unusual values at the variable positions of templates: names never seen, numbers far outside, networks never seen,
//! numbers that never stood together.
//!
//! Good: "The population frequencies of species and the estimation of population parameters" (Biometrika 1953) for
//! names; Hill: "A Simple General Approach to Inference About the Tail of a Distribution" (Annals of Statistics 1975)
//! for numbers; Tan, Ting, Liu: "Fast Anomaly Detection for Streaming Data" (IJCAI 2011) for several numbers together.
//! Every line is checked against what was learnt before its window; the window is learnt at its end.

mod categories;
mod codec;
mod field;
mod network;
mod noted;
mod numeric;
mod odds;
mod position;
mod profile;
mod quantity;
mod trees;

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use self::{
    codec::{Reader, Writer},
    field::Nature,
    noted::{Known, Noted},
    odds::Odds,
    position::{Chance, Odd, What},
    profile::{Found, Profile, Shown},
    trees::{Dim, MAX_DIMS, Point, Trees},
};
use super::{Closing, Evidence, Part, Sighting};
use crate::{model::TemplateId, store::memory::MemoryRow};

/// The detector's name in evidence and weights.
pub const NAME: &str = "parameter";

/// What the operator may set about values.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether values are looked at.
    pub enabled: bool,
    /// Templates whose values are known, per host; the one unused for longest goes first.
    pub max_templates: usize,
    /// Memory for them per host, in bytes.
    pub max_bytes: usize,
    /// Templates whose numbers are looked at together, per host.
    pub max_joint: usize,
    /// Lines of a template before its numbers are looked at together.
    pub joint_from: u64,
    /// Evidence with a lower score is not passed on.
    pub least_score: f64,
    /// Evidence of one window, the surest first.
    pub max_evidence: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            enabled: true,
            // A host has some hundred templates; one with four positions takes 1 to 4 KB.
            max_templates: 256,
            max_bytes: 1 << 20,
            max_joint: 16,
            joint_from: 500,
            least_score: 0.3,
            max_evidence: 8,
        }
    }
}

/// The row of what is known of the group as a whole; templates are numbered from 1.
const WHOLE: u64 = 0;
/// Of the lines of a window the first so many are looked at as points, then every so many-th.
const FIRST_POINTS: u32 = 64;
const EVERY_POINT: u32 = 16;
/// What an empty place among the numbers amounts to for one line: a hint, whatever the trees say.
const TOGETHER: f64 = 4.5;
/// Idle windows after which a joint model makes room for another.
const IDLE: u32 = 256;

/// What is known of the values of one group.
#[derive(Debug, Default)]
pub struct Parameters {
    odds: Odds,
    profiles: FxHashMap<TemplateId, Box<Profile>>,
    trees: FxHashMap<TemplateId, Box<Trees>>,
    lines: u64,
    noted: Noted,
    shown: Shown,
    changed: BTreeSet<(Part, u64)>,
}

impl Parameters {
    /// Takes a line; says how surprising its values are, in [0, 1].
    pub fn line(&mut self, settings: &Settings, sighting: &Sighting<'_>) -> f32 {
        self.lines += 1;
        if sighting.values.is_empty() || !settings.enabled {
            return 0.0;
        }
        let has_room = self.profiles.len() < settings.max_templates;
        let profile = match self.profiles.get_mut(&sighting.template) {
            Some(profile) => profile,
            None if has_room => self.profiles.entry(sighting.template).or_default(),
            None => return 0.0, // there is room again after this window, if this one is used more than others
        };
        let message = &*sighting.line.envelope.message;
        profile.meet(message, sighting.values, self.odds.age, &mut self.shown);
        if self.shown.numbers.len() > 1
            && (profile.lines <= FIRST_POINTS || profile.lines.is_multiple_of(EVERY_POINT))
            && let Some(trees) = self.trees.get_mut(&sighting.template)
        {
            together(trees, profile, sighting, &mut self.shown);
        }
        let mut worst = 0.0f64;
        for found in &self.shown.odd {
            let Some(position) = profile.positions.get(found.position) else { continue };
            let chance = position.by_age(found.odd.chance, self.odds.age);
            let found = Found { odd: Odd { chance, ..found.odd }, ..*found };
            worst = worst.max(self.noted.take(&self.odds, sighting, position.at, &found));
        }
        worst as f32
    }

    /// Ends the window: says what was unusual, and learns it.
    pub fn close(&mut self, settings: &Settings, closing: &Closing<'_>) -> Vec<Evidence> {
        let (exponent, novel) = self.noted.worst();
        let known = Known { settings, odds: &self.odds, profiles: &self.profiles };
        let evidence = self.noted.evidence(&known, closing);
        self.odds.end(closing.now, self.lines, novel, exponent);
        self.lines = 0;
        self.changed.insert((Part::Parameter, WHOLE));
        self.follow_merges(closing);
        self.learn();
        self.grow_trees(settings);
        self.make_room(settings);
        evidence
    }

    /// Ends the learning: what was learnt is what a whole day has shown.
    pub fn finish_learning(&mut self) {
        self.odds.grow_up();
        self.changed.insert((Part::Parameter, WHOLE));
    }

    /// What changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        for (part, key) in std::mem::take(&mut self.changed) {
            let id = TemplateId(key);
            let state = match part {
                Part::Trees => self.trees.get(&id).map(|trees| {
                    let mut out = Writer::default();
                    trees.write(&mut out);
                    out.0
                }),
                _ if key == WHOLE => {
                    let mut out = Writer::default();
                    self.odds.write(&mut out);
                    Some(out.0)
                }
                _ => self.profiles.get(&id).map(|profile| profile.encode()),
            };
            out.push(MemoryRow { part: part.number(), key, state });
        }
    }

    /// Takes a row back; one of another layout is learnt anew.
    pub fn restore(&mut self, row: &MemoryRow) {
        let (id, Some(state)) = (TemplateId(row.key), row.state.as_deref()) else { return };
        match Part::from_number(row.part) {
            Some(Part::Parameter) if row.key == WHOLE => {
                self.odds = Odds::read(&mut Reader(state)).unwrap_or_default();
            }
            Some(Part::Parameter) => {
                self.profiles.extend(Profile::decode(state).map(|profile| (id, Box::new(profile))));
            }
            Some(Part::Trees) => {
                self.trees.extend(Trees::read(&mut Reader(state)).map(|trees| (id, Box::new(trees))));
            }
            _ => {}
        }
    }

    /// Templates that were merged into another leave it what they knew, if it knows less.
    fn follow_merges(&mut self, closing: &Closing<'_>) {
        let mut moved: Vec<(TemplateId, TemplateId)> = self
            .profiles
            .keys()
            .map(|id| (*id, (closing.resolve)(*id)))
            .filter(|(id, into)| id != into)
            .collect();
        moved.sort_unstable_by_key(|(id, _)| *id);
        for (id, into) in moved {
            self.changed.extend([id.0, into.0].map(|key| (Part::Parameter, key)));
            if self.trees.remove(&id).is_some() {
                self.changed.insert((Part::Trees, id.0));
            }
            let Some(profile) = self.profiles.remove(&id) else { continue };
            let known = self.profiles.entry(into).or_default();
            if known.seen < profile.seen {
                *known = profile;
            }
        }
    }

    fn learn(&mut self) {
        for (id, profile) in &mut self.profiles {
            let has_changed = profile.end(self.odds.windows, id.0);
            if has_changed {
                self.changed.insert((Part::Parameter, id.0));
            }
            if let Some(trees) = self.trees.get_mut(id) {
                if has_changed {
                    trees.commit();
                    self.changed.insert((Part::Trees, id.0));
                } else {
                    trees.reset();
                }
            }
        }
    }

    /// Gives busy templates with several numbers a joint model.
    fn grow_trees(&mut self, settings: &Settings) {
        let now = self.odds.windows;
        let is_due = |id: &TemplateId, profile: &Profile| {
            profile.used == now && profile.seen >= settings.joint_from && !self.trees.contains_key(id)
        };
        let due = self.profiles.iter().filter(|(id, profile)| is_due(id, profile));
        let mut due: Vec<TemplateId> = due.map(|(id, _)| *id).collect();
        due.sort_unstable();
        for id in due {
            let Some(dims) = self.profiles.get(&id).and_then(|profile| dims(profile)) else { continue };
            if self.trees.len() >= settings.max_joint && !self.drop_idle_trees(now) {
                return;
            }
            self.trees.insert(id, Box::new(Trees::new(id.0, dims)));
            self.changed.insert((Part::Trees, id.0));
        }
    }

    fn drop_idle_trees(&mut self, now: u32) -> bool {
        let used = |id: &TemplateId| self.profiles.get(id).map_or(0, |profile| profile.used);
        let idlest = self.trees.keys().copied().min_by_key(|id| (used(id), *id));
        let Some(id) = idlest.filter(|id| used(id).saturating_add(IDLE) < now) else { return false };
        self.trees.remove(&id);
        self.changed.insert((Part::Trees, id.0));
        true
    }

    /// Forgets the templates unused for longest, of equals the rarest, until there is room again.
    fn make_room(&mut self, settings: &Settings) {
        let mut bytes = self.bytes();
        let (most, room) = (settings.max_templates, settings.max_templates * 3 / 4);
        if self.profiles.len() < most - most / 8 && bytes <= settings.max_bytes {
            return;
        }
        // Profiles that rest do not show every use: sixteen windows are one age.
        let mut all: Vec<(u32, u64, TemplateId)> =
            self.profiles.iter().map(|(id, profile)| (profile.used / 16, profile.seen, *id)).collect();
        all.sort_unstable();
        for (_, _, id) in all {
            if self.profiles.len() <= room && bytes <= settings.max_bytes / 4 * 3 {
                break;
            }
            self.changed.insert((Part::Parameter, id.0));
            bytes = bytes.saturating_sub(self.profiles.remove(&id).map_or(0, |profile| profile.bytes()));
            if let Some(trees) = self.trees.remove(&id) {
                self.changed.insert((Part::Trees, id.0));
                bytes = bytes.saturating_sub(trees.bytes());
            }
        }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.profiles.values().map(|profile| profile.bytes()).sum::<usize>()
            + self.trees.values().map(|trees| trees.bytes()).sum::<usize>()
    }
}

/// Looks at the numbers of a line together, where each of them is usual.
fn together(trees: &mut Trees, profile: &Profile, sighting: &Sighting<'_>, shown: &mut Shown) {
    let mut point: Point = [0.0; MAX_DIMS];
    for (place, dim) in point.iter_mut().zip(&trees.dims) {
        let Some((_, number)) = shown.numbers.iter().find(|(at, _)| *at == (dim.slot, dim.part)) else {
            return;
        };
        *place = numeric::log(*number) as f32;
    }
    if !trees.meet(point) || !shown.odd.is_empty() {
        return;
    }
    let key = trees.dims.first().map_or((0, 0), |dim| (dim.slot, dim.part));
    let Some(position) = profile.positions.iter().position(|position| position.at == key) else { return };
    let is_dim = |value: &&crate::analyze::mine::Value| trees.dims.iter().any(|dim| dim.slot == value.slot);
    let mut dims = sighting.values.iter().filter(is_dim);
    let (Some(first), last) = (dims.next(), dims.next_back()) else { return };
    let end = last.unwrap_or(first).end();
    let odd = Odd { what: What::Together, tag: 0, chance: Chance::Tail(TOGETHER) };
    shown.odd.push(Found { position, odd, start: first.start(), end });
}

/// The numbers of a template that can be looked at together: at least two that vary and do not only count.
fn dims(profile: &Profile) -> Option<SmallVec<[Dim; MAX_DIMS]>> {
    let dims: SmallVec<[Dim; MAX_DIMS]> = profile
        .positions
        .iter()
        .filter(|position| matches!(position.field.nature, Nature::Measure | Nature::Count))
        .filter_map(|position| Some((position.at, position.numbers.as_ref()?)))
        .filter(|(_, numbers)| numbers.is_settled() && !numbers.is_counter() && !numbers.is_constant())
        .take(MAX_DIMS)
        .map(|(at, numbers)| {
            let (low, high) = numbers.range();
            Dim { slot: at.0, part: at.1, low: low as f32, high: high as f32 }
        })
        .collect();
    (dims.len() > 1).then_some(dims)
}

#[cfg(test)]
mod tests;
