//! How many lines of each template, and of all, are usual for one group, and which windows departed from it.
//!
//! Two scales. A window is compared with other windows in which the template occurred at all, so that what comes in bursts
//! by nature (a timer, a nightly job) is expected to come in bursts; an hour is compared with all hours, empty ones
//! included, so that what comes more often shows as well. Both know the daily course once two days are learnt. The statistics
//! are in `count` (Farrington 1996, Noufaily 2013); rows of 74 bytes, the least recently seen go first.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::{
    count::{Expected, Rate},
    memory::Part,
    pack::{Packer, Unpacker},
    profile::Profile,
    tail,
};
use crate::{
    model::{TemplateId, Timestamp},
    store::memory::MemoryRow,
};

/// The key of all lines together; templates are numbered from 1.
const VOLUME: u64 = 0;
/// The key of the counters, among the daily courses.
const CLOCK: u64 = u64::MAX;
/// Layout of the rows.
const LAYOUT: u8 = 1;
/// Windows remembered: a day of full ones.
const WINDOWS: f32 = 1_440.0;
/// Hours remembered: a week.
const HOURS: f32 = 168.0;
/// Windows and hours to be known before a count can be too high.
const KNOWN_WINDOWS: f64 = 10.0;
const KNOWN_HOURS: f64 = 12.0;
/// A count above the largest one known is no news before it is so many times as large.
const ABOVE_PEAK: f64 = 1.5;
/// An hour must bring so many times the least spike, all lines together again more.
const HOUR_FACTOR: u64 = 2;
const VOLUME_FACTOR: u64 = 4;
/// Templates that come in nearly every window, so often, can be missed.
const BUSY_PRESENCE: f32 = 0.98;
const BUSY_WINDOWS: f64 = 500.0;
const BUSY_MEAN: f64 = 20.0;
/// A drop is to this part of what was expected, in so many windows one after the other.
const DROP_PART: f64 = 0.25;
const DROP_WINDOWS: u8 = 5;
/// After so many windows of the same departure, one after the other, it is how things are now: learnt anew.
const NEW_NORMAL: u8 = 120;
/// How fast presence is learnt, per window.
const PRESENCE_SHARE: f32 = 1.0 / 500.0;
/// Templates with a daily course of their own, and how many lines an hour they need.
const PROFILES: usize = 32;
const PROFILE_MEAN: f64 = 20.0;
const PROFILE_HOURS: f64 = 6.0;

/// What the operator set.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Lines in a window below which nothing is a spike.
    pub spike_min: u64,
    /// How many times the usual a spike is at least.
    pub spike_ratio: f64,
    /// Templates remembered.
    pub max_templates: usize,
}

/// The counts of one window.
#[derive(Clone, Copy, Debug)]
pub struct Tally<'a> {
    /// When it closed.
    pub closed: Timestamp,
    /// How many windows' worth of events it holds: more than 1 when a backlog came in one window.
    pub spans: f64,
    /// Lines by template, in order of template.
    pub counts: &'a [(TemplateId, u64)],
    /// All lines.
    pub lines: u64,
    /// Nothing is told yet, and everything is believed.
    pub is_learning: bool,
}

/// Which way a count departed from the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Too many in a window.
    Spike,
    /// Too many in this hour.
    Rise,
    /// Too few, window after window.
    Drop,
}

/// A count that is not what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Departure {
    /// The template; `None` for all lines together.
    pub template: Option<TemplateId>,
    /// Which way.
    pub turn: Turn,
    /// How many there were.
    pub observed: u64,
    /// How many were expected.
    pub expected: Expected,
    /// How surely this is not chance.
    pub score: f64,
}

/// What is known of one template.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Row {
    window: Rate,
    hour: Rate,
    /// The part of the group's windows that it occurs in.
    presence: f32,
    /// The window it was last seen in.
    touched: u64,
    /// The hour it was last seen in, its lines in that hour, and the hour's factor.
    hour_at: u64,
    hour_count: u64,
    hour_factor: f32,
    /// Windows of departures so far, one after the other.
    odd: u8,
    /// Windows of a drop so far, and the logarithm of their common probability.
    low: u8,
    low_ln: f32,
    /// This hour departed: it is learnt only as far as it is credible.
    is_odd_hour: bool,
}

/// The rates of one group.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    rows: FxHashMap<u64, Row>,
    profiles: BTreeMap<u64, Profile>,
    /// Windows so far.
    windows: u64,
    /// Hours with windows so far, and the current one since 1970.
    hours: u64,
    hour: i64,
    dirty: BTreeSet<u64>,
    dirty_profiles: BTreeSet<u64>,
}

impl Rates {
    /// Ends a window: says which counts departed from the usual, and learns all of them.
    pub fn close(&mut self, limits: &Limits, tally: &Tally<'_>) -> Vec<Departure> {
        self.turn_hour(tally.closed);
        self.windows += 1;
        let mut departures = Vec::new();
        let mut explained = 0;
        for (template, count) in tally.counts.iter().filter(|(_, count)| *count > 0) {
            if let Some(departure) = self.take(template.0, *count, limits, tally) {
                if departure.turn == Turn::Spike {
                    explained += count - (departure.expected.mean as u64).min(*count);
                }
                departures.push(departure);
            }
        }
        // What a template's spike explains is not told a second time as the spike of all lines.
        let rest = tally.lines.saturating_sub(explained);
        if rest > 0 {
            let limits = Limits { spike_min: limits.spike_min.saturating_mul(VOLUME_FACTOR), ..*limits };
            departures.extend(self.take(VOLUME, rest, &limits, tally));
        }
        self.bound(limits.max_templates);
        departures
    }

    /// Follows templates that were merged since.
    pub fn merge(&mut self, resolve: &dyn Fn(TemplateId) -> TemplateId) {
        let moved = |key: &u64| (*key, resolve(TemplateId(*key)).0);
        let templates = self.rows.keys().filter(|key| **key != VOLUME);
        let mut merged: Vec<(u64, u64)> = templates.map(moved).filter(|(from, into)| from != into).collect();
        merged.sort_unstable();
        for (from, into) in merged {
            let Some(old) = self.rows.remove(&from) else { continue };
            self.forget_profile(from);
            self.dirty.extend([from, into]);
            match self.rows.get_mut(&into) {
                Some(row) => row.absorb(&old),
                None => _ = self.rows.insert(into, old),
            }
        }
    }

    /// Forgets everything: the stream has changed for good.
    pub fn clear(&mut self) {
        self.dirty.extend(self.rows.drain().map(|(key, _)| key));
        self.dirty_profiles.extend(std::mem::take(&mut self.profiles).into_keys());
        (self.windows, self.hours, self.hour) = (0, 0, 0);
    }

    /// Memory taken, roughly, in bytes.
    pub fn bytes(&self) -> usize {
        self.rows.len() * (size_of::<(u64, Row)>() + 8) + self.profiles.len() * (size_of::<Profile>() + 16)
    }

    /// Appends what changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        for key in std::mem::take(&mut self.dirty) {
            let state = self.rows.get(&key).map(Row::pack);
            out.push(MemoryRow { part: Part::Frequency.number(), key, state });
        }
        let mut clock = Packer::new(LAYOUT);
        clock.number(self.windows);
        clock.number(self.hours);
        clock.number(self.hour.cast_unsigned());
        let part = Part::Course.number();
        out.push(MemoryRow { part, key: CLOCK, state: Some(clock.finish()) });
        for key in std::mem::take(&mut self.dirty_profiles) {
            let packed = |profile: &Profile| {
                let mut row = Packer::new(LAYOUT);
                profile.save(&mut row);
                row.finish()
            };
            out.push(MemoryRow { part, key, state: self.profiles.get(&key).map(packed) });
        }
    }

    /// Takes a row of `Part::Frequency` back; a damaged one is learnt anew.
    pub fn restore_row(&mut self, key: u64, state: &[u8]) {
        if let Some(row) = Unpacker::new(LAYOUT, state).and_then(|mut row| Row::unpack(&mut row)) {
            self.rows.insert(key, row);
        }
    }

    /// Takes a row of `Part::Course` back.
    pub fn restore_course(&mut self, key: u64, state: &[u8]) {
        let Some(mut row) = Unpacker::new(LAYOUT, state) else { return };
        if key != CLOCK {
            self.profiles.extend(Profile::restore(&mut row).map(|profile| (key, profile)));
        } else if let (Some(windows), Some(hours), Some(hour)) = (row.number(), row.number(), row.number()) {
            (self.windows, self.hours, self.hour) = (windows, hours, hour.cast_signed());
        }
    }

    /// Begins a new hour where one has ended: daily courses learn the hour that is over.
    fn turn_hour(&mut self, now: Timestamp) {
        let hour = now.as_secs().div_euclid(3_600);
        if self.hours > 0 && hour == self.hour {
            return;
        }
        // The first hour is mostly a part of one.
        if self.hours > 1 {
            for (key, profile) in &mut self.profiles {
                let row = self.rows.get(key).filter(|row| row.hour_at == self.hours);
                profile.learn(self.hour, row.map_or(0.0, |row| row.hour_count as f64));
                self.dirty_profiles.insert(*key);
            }
        }
        self.choose_profiles();
        self.hour = hour;
        self.hours += 1;
    }

    /// All lines together have a daily course from the beginning, the most frequent templates once they are known.
    fn choose_profiles(&mut self) {
        self.profiles.entry(VOLUME).or_default();
        let room = (PROFILES + 1).saturating_sub(self.profiles.len());
        if room == 0 {
            return;
        }
        let is_frequent = |row: &Row| row.hour.weight() >= PROFILE_HOURS && row.hour.mean() >= PROFILE_MEAN;
        let unknown =
            self.rows.iter().filter(|(key, row)| is_frequent(row) && !self.profiles.contains_key(key));
        let mut frequent: Vec<(f64, u64)> = unknown.map(|(key, row)| (row.hour.mean(), *key)).collect();
        frequent.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, key) in frequent.into_iter().take(room) {
            self.profiles.insert(key, Profile::default());
        }
    }

    fn take(&mut self, key: u64, count: u64, limits: &Limits, tally: &Tally<'_>) -> Option<Departure> {
        let factor = self.profiles.get(&key).map_or(1.0, |profile| profile.factor(tally.closed));
        self.dirty.insert(key);
        let row = self.rows.entry(key).or_default();
        row.touch(self.windows, self.hours, factor);
        row.hour_count += count;
        let departure = if tally.is_learning { None } else { row.depart(count, factor, limits, tally.spans) };
        row.settle(departure.is_some());
        let usual = count as f64 / (factor * tally.spans);
        let believed = if departure.is_some() { row.window.credible(usual) } else { usual };
        row.window.learn(believed, WINDOWS);
        let (turn, observed, expected, probability) = departure?;
        let template = (key != VOLUME).then_some(TemplateId(key));
        Some(Departure { template, turn, observed, expected, score: tail::score(probability) })
    }

    fn forget_profile(&mut self, key: u64) {
        if self.profiles.remove(&key).is_some() {
            self.dirty_profiles.insert(key);
        }
    }

    /// A tenth too many at once: looking for the oldest costs as much as all of them.
    fn bound(&mut self, max: usize) {
        if self.rows.len() <= max {
            return;
        }
        let templates = self.rows.iter().filter(|(key, _)| **key != VOLUME);
        let mut oldest: Vec<(u64, u64)> = templates.map(|(key, row)| (row.touched, *key)).collect();
        oldest.sort_unstable();
        let excess = self.rows.len().saturating_sub(max - max / 10);
        for (_, key) in oldest.into_iter().take(excess) {
            self.rows.remove(&key);
            self.forget_profile(key);
            self.dirty.insert(key);
        }
    }
}

impl Row {
    /// Seen in this window of this hour: the hours and windows since it was last seen are learnt.
    fn touch(&mut self, window: u64, hour: u64, factor: f64) {
        if self.hour_at != hour {
            if self.hour_at > 0 {
                let count = self.hour_count as f64 / f64::from(self.hour_factor).max(0.01);
                let believed = if self.is_odd_hour { self.hour.credible(count) } else { count };
                self.hour.learn(believed, HOURS);
                let absent = hour.saturating_sub(self.hour_at + 1);
                self.hour.learn_absence(u32::try_from(absent).unwrap_or(u32::MAX), HOURS);
            }
            (self.hour_at, self.hour_count, self.hour_factor) = (hour, 0, factor as f32);
            self.is_odd_hour = false;
        }
        let absent = window.saturating_sub(self.touched + 1);
        if absent > 0 {
            let absent = i32::try_from(absent).unwrap_or(i32::MAX);
            self.presence *= (1.0 - PRESENCE_SHARE).powi(absent);
            (self.low, self.low_ln) = (0, 0.0);
        }
        self.presence += PRESENCE_SHARE * (1.0 - self.presence);
        self.touched = window;
    }

    /// Counts departures; a row that departs for hours begins anew.
    fn settle(&mut self, is_odd: bool) {
        self.odd = if is_odd { self.odd.saturating_add(1) } else { 0 };
        if self.odd >= NEW_NORMAL {
            (self.window, self.hour) = (Rate::default(), Rate::default());
            (self.odd, self.low, self.low_ln) = (0, 0, 0.0);
        }
    }

    fn depart(
        &mut self,
        count: u64,
        factor: f64,
        limits: &Limits,
        spans: f64,
    ) -> Option<(Turn, u64, Expected, f64)> {
        let expected = self.window.expect(factor * spans);
        if self.window.weight() >= KNOWN_WINDOWS && is_above(count, &expected, limits) {
            self.is_odd_hour = true;
            return Some((Turn::Spike, count, expected, expected.at_least(count)));
        }
        let hour = self.hour.expect(factor);
        let hour_limits = Limits { spike_min: limits.spike_min.saturating_mul(HOUR_FACTOR), ..*limits };
        if self.hour.weight() >= KNOWN_HOURS && is_above(self.hour_count, &hour, &hour_limits) {
            self.is_odd_hour = true;
            return Some((Turn::Rise, self.hour_count, hour, hour.at_least(self.hour_count)));
        }
        self.drop(count, &expected)
    }

    fn drop(&mut self, count: u64, expected: &Expected) -> Option<(Turn, u64, Expected, f64)> {
        let is_busy = self.presence >= BUSY_PRESENCE
            && self.window.weight() >= BUSY_WINDOWS
            && expected.mean >= BUSY_MEAN;
        if !is_busy || count as f64 > expected.mean * DROP_PART {
            (self.low, self.low_ln) = (0, 0.0);
            return None;
        }
        self.low = self.low.saturating_add(1);
        self.low_ln += expected.at_most(count).max(1e-30).ln() as f32;
        // Windows one after the other resemble each other: together they say half of what they would say independently.
        let probability = (f64::from(self.low_ln) / 2.0).exp();
        (self.low >= DROP_WINDOWS).then_some((Turn::Drop, count, *expected, probability))
    }

    /// Takes over what was known of a template that is now this one.
    fn absorb(&mut self, other: &Row) {
        self.window.absorb(&other.window);
        self.hour.absorb(&other.hour);
        self.presence = self.presence.max(other.presence);
        if self.hour_at == other.hour_at {
            self.hour_count += other.hour_count;
        }
    }

    fn pack(&self) -> Vec<u8> {
        let mut row = Packer::new(LAYOUT);
        self.window.save(&mut row);
        self.hour.save(&mut row);
        for value in [self.presence, self.hour_factor, self.low_ln] {
            row.real(value);
        }
        for value in [self.touched, self.hour_at, self.hour_count] {
            row.number(value);
        }
        for value in [u64::from(self.odd), u64::from(self.low), u64::from(self.is_odd_hour)] {
            row.number(value);
        }
        row.finish()
    }

    fn unpack(row: &mut Unpacker<'_>) -> Option<Row> {
        let (window, hour) = (Rate::restore(row)?, Rate::restore(row)?);
        let (presence, hour_factor, low_ln) = (row.real()?, row.real()?, row.real()?);
        let (touched, hour_at, hour_count) = (row.number()?, row.number()?, row.number()?);
        let (odd, low, is_odd_hour) = (row.number()?, row.number()?, row.number()?);
        Some(Row {
            window,
            hour,
            presence,
            touched,
            hour_at,
            hour_count,
            hour_factor,
            odd: u8::try_from(odd).ok()?,
            low: u8::try_from(low).ok()?,
            low_ln,
            is_odd_hour: is_odd_hour == 1,
        })
    }
}

/// Whether a count is large enough, in every respect, to be asked how likely it is.
fn is_above(count: u64, expected: &Expected, limits: &Limits) -> bool {
    let lines = count as f64;
    count >= limits.spike_min
        && lines >= expected.mean * limits.spike_ratio
        && lines > expected.peak * ABOVE_PEAK
}

#[cfg(test)]
mod tests;
