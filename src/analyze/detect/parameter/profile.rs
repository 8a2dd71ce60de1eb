//! What is known of one template: its variable positions.

use smallvec::SmallVec;

use super::{
    codec::{Reader, Writer},
    field,
    position::{Odd, Position},
};
use crate::analyze::mine::{Kind, Value};

/// Positions of a template that are looked at.
pub(super) const MAX_POSITIONS: usize = 16;
/// Values within one word of the template that are looked at.
const MAX_PARTS: u8 = 8;
/// Values longer than this are text that nobody compares.
const MAX_VALUE: usize = 512;
/// From so many lines on a profile learns from every eighth window, unless something is new.
const MATURE: u64 = 4_096;
const RESTS: u32 = 8;
/// First byte of a row; another layout gets another number.
const LAYOUT: u8 = 1;

/// An unusual value of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Which position of the profile.
    pub(super) position: usize,
    pub(super) odd: Odd,
    /// Where the value stands in the message.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What one line showed; reused from line to line.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) odd: Vec<Found>,
    /// Position and value of every number, asked for where numbers are looked at together.
    pub(super) numbers: SmallVec<[((u16, u8), f64); MAX_POSITIONS]>,
}

/// The positions of one template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Profile {
    /// In the order of the template.
    pub(super) positions: Vec<Position>,
    /// Lines learnt.
    pub(super) seen: u64,
    /// The window it last learnt from.
    pub(super) used: u32,
    /// Lines of the open window.
    pub(super) lines: u32,
    has_grown: bool,
}

impl Profile {
    /// Takes the values of a line; `age` is the group's.
    pub(super) fn meet(&mut self, message: &str, values: &[Value], age: f64, shown: &mut Shown) {
        self.lines = self.lines.saturating_add(1);
        shown.odd.clear();
        shown.numbers.clear();
        let (mut at, mut slot, mut part) = (0, None, 0u8);
        let mut rest = values;
        while let Some((value, behind)) = rest.split_first() {
            rest = behind;
            part = if slot == Some(value.slot) { part.saturating_add(1) } else { 0 };
            slot = Some(value.slot);
            if is_free(value.kind) || part >= MAX_PARTS || value.end() - value.start() > MAX_VALUE {
                continue;
            }
            let (joined, end, skipped) = thousands(message, value, behind);
            rest = behind.get(skipped..).unwrap_or_default();
            at = self.seek(at, (value.slot, part));
            if self.positions.get(at).is_none_or(|position| position.at != (value.slot, part)) {
                if self.positions.len() >= MAX_POSITIONS {
                    continue;
                }
                let field = field::guess(message, value.start(), value.end(), value.kind);
                self.positions.insert(at, Position::new((value.slot, part), field, age));
                self.has_grown = true;
            }
            let Some(position) = self.positions.get_mut(at) else { continue };
            let met = position.meet(value.kind, value.text(message), joined);
            if let Some(number) = met.number {
                shown.numbers.push((position.at, number));
            }
            if let Some(odd) = met.odd {
                shown.odd.push(Found { position: at, odd, start: value.start(), end });
            }
            at += 1;
        }
    }

    /// The first position from `at` on that does not stand before `key`.
    fn seek(&self, mut at: usize, key: (u16, u8)) -> usize {
        while self.positions.get(at).is_some_and(|position| position.at < key) {
            at += 1;
        }
        at
    }

    /// The position of this place.
    pub(super) fn at(&self, key: (u16, u8)) -> Option<&Position> {
        let found = self.positions.binary_search_by_key(&key, |position| position.at).ok()?;
        self.positions.get(found)
    }

    /// Learns the window, the `number`-th of its group, or rests; says whether anything changed.
    pub(super) fn end(&mut self, number: u32, id: u64) -> bool {
        if self.lines == 0 {
            return false;
        }
        let rests = self.seen >= MATURE && !(u64::from(number) + id).is_multiple_of(u64::from(RESTS));
        if rests && !self.has_grown && !self.positions.iter().any(Position::has_news) {
            self.positions.iter_mut().for_each(Position::reset);
            self.lines = 0;
            return false;
        }
        self.positions.iter_mut().for_each(Position::commit);
        self.seen += u64::from(self.lines);
        self.used = number;
        self.lines = 0;
        self.has_grown = false;
        true
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Profile>() + self.positions.iter().map(Position::bytes).sum::<usize>()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(LAYOUT);
        out.number(self.seen);
        out.number(u64::from(self.used));
        out.number(self.positions.len() as u64);
        self.positions.iter().for_each(|position| position.write(&mut out));
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Profile> {
        let mut from = Reader(bytes);
        from.byte().filter(|layout| *layout == LAYOUT)?;
        let mut found = Profile { seen: from.number()?, used: from.small()?, ..Profile::default() };
        for _ in 0..from.count()? {
            found.positions.push(Position::read(&mut from)?);
        }
        Some(found)
    }
}

/// Times, ids by nature: they never come again, and nobody wonders.
fn is_free(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Time | Kind::Uuid | Kind::Hex)
}

/// A number written in groups of thousands (`1,234,567`), where it ends, and how many values it goes on over.
fn thousands(message: &str, value: &Value, behind: &[Value]) -> (Option<f64>, usize, usize) {
    let (mut end, mut skipped) = (value.end(), 0);
    if value.kind != Kind::Number || !(1..=3).contains(&(end - value.start())) {
        return (None, end, 0);
    }
    let mut number = None;
    for next in behind {
        let is_group = next.slot == value.slot
            && next.start() == end + 1
            && next.end() == end + 4
            && message.as_bytes().get(end) == Some(&b',');
        let Some(group) = is_group.then(|| next.text(message).parse::<u16>().ok()).flatten() else { break };
        let Some(before) = number.or_else(|| value.text(message).parse::<f64>().ok()) else { break };
        number = Some(before * 1e3 + f64::from(group));
        (end, skipped) = (next.end(), skipped + 1);
    }
    (number, end, skipped)
}
