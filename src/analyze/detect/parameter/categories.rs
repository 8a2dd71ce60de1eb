//! The values of a position as names: which there are, how often, and whether new ones are to be expected.
//!
//! How surprising a new value is follows Good and Turing (Good: "The population frequencies of species and the
//! estimation of population parameters", Biometrika 1953): by how often values have been new lately. A window's values
//! are judged against what was learnt before it, and learnt at its end.

use smallvec::SmallVec;

use super::codec::{Reader, Writer};

/// Distinct values remembered; a position with more is free text.
pub(super) const MAX_VALUES: usize = 32;
/// Values whose text is kept, to say what is normal.
const MAX_TEXTS: usize = 4;
/// Bytes of a kept text.
pub(super) const MAX_TEXT: usize = 40;
/// Lines after which a new value is one that was not expected.
const SETTLED: u64 = 50;
/// A position with so many lines does not become free text by one wild window.
const FIRM: u64 = 1_000;
/// But by so many.
const WILD_WINDOWS: u8 = 3;

/// The names at one position.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Categories {
    hashes: Vec<u64>,
    counts: Vec<u32>,
    texts: Vec<(u64, Box<str>)>,
    /// Lines learnt.
    pub(super) seen: u64,
    /// Values that were new after the beginning, the late ones counting more.
    late: f32,
    wild: u8,
    /// Anything may stand here.
    pub(super) is_open: bool,
    window: Window,
}

/// What the open window brought.
#[derive(Clone, Debug, Default, PartialEq)]
struct Window {
    lines: u32,
    /// Lines of each known value.
    known: Vec<u32>,
    /// New values with their lines.
    fresh: Vec<(u64, u32)>,
    texts: SmallVec<[(u64, Box<str>); 1]>,
    is_wild: bool,
}

impl Categories {
    /// Takes a value; says whether it is none of the known ones.
    pub(super) fn meet(&mut self, hash: u64, text: impl FnOnce() -> Box<str>) -> bool {
        self.window.lines = self.window.lines.saturating_add(1);
        if let Some(at) = self.hashes.iter().position(|known| *known == hash) {
            if let Some(count) = self.window.known.get_mut(at) {
                *count += 1;
            }
            return false;
        }
        let window = &mut self.window;
        if window.is_wild {
            return self.seen >= FIRM;
        }
        if let Some((_, count)) = window.fresh.iter_mut().find(|(known, _)| *known == hash) {
            *count += 1;
            return true;
        }
        if self.hashes.len() + window.fresh.len() >= MAX_VALUES {
            window.is_wild = true;
            return true;
        }
        window.fresh.push((hash, 1));
        if self.texts.len() + window.texts.len() < MAX_TEXTS {
            window.texts.push((hash, text()));
        }
        true
    }

    /// How unexpected a new value is: 1 where the values have long been the same, more where that is less sure.
    pub(super) fn weight(&self) -> Option<f64> {
        (self.seen >= SETTLED && !self.is_open)
            .then(|| (1.0 + 3.0 * f64::from(self.late)) * (500.0 / self.seen as f64).max(1.0))
    }

    /// Whether the open window brought a value that is not known yet.
    pub(super) fn has_news(&self) -> bool {
        self.window.is_wild || !self.window.fresh.is_empty()
    }

    /// Learns the window.
    pub(super) fn commit(&mut self) {
        let window = std::mem::take(&mut self.window);
        let share = f64::from(window.lines) / (self.seen + u64::from(window.lines)).max(1) as f64;
        self.late *= (1.0 - 0.7 * share) as f32;
        for (count, more) in self.counts.iter_mut().zip(&window.known) {
            *count = count.saturating_add(*more);
        }
        if window.is_wild {
            self.wild = self.wild.saturating_add(1);
            if self.seen < FIRM || self.wild >= WILD_WINDOWS {
                *self = Categories { seen: self.seen, is_open: true, ..Categories::default() };
                return;
            }
        } else {
            if self.seen >= SETTLED {
                self.late += window.fresh.len() as f32;
            }
            for (hash, count) in &window.fresh {
                self.hashes.push(*hash);
                self.counts.push(*count);
            }
            self.texts.extend(window.texts);
        }
        self.seen += u64::from(window.lines);
        self.reset();
    }

    /// Forgets the window.
    pub(super) fn reset(&mut self) {
        let mut known = std::mem::take(&mut self.window.known);
        known.clear();
        known.resize(self.hashes.len(), 0);
        self.window = Window { known, ..Window::default() };
    }

    /// The most frequent values, for people: `GET, POST, …`.
    pub(super) fn normal(&self) -> String {
        let mut known: Vec<(u32, &str)> = self
            .texts
            .iter()
            .filter_map(|(hash, text)| {
                let at = self.hashes.iter().position(|known| known == hash)?;
                Some((*self.counts.get(at)?, text.as_ref()))
            })
            .collect();
        known.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let mut text = known.iter().take(3).map(|(_, text)| *text).collect::<Vec<_>>().join(", ");
        if self.hashes.len() > known.len().min(3) {
            text.push_str(", …");
        }
        text
    }

    /// Memory held besides the struct itself.
    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(|(_, text)| text.len() + 24).sum();
        self.hashes.len() * 16 + texts
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(self.seen);
        out.byte(u8::from(self.is_open));
        if self.is_open {
            return;
        }
        out.byte(self.wild);
        out.single(self.late);
        out.number(self.hashes.len() as u64);
        for (hash, count) in self.hashes.iter().zip(&self.counts) {
            out.hash(*hash);
            out.number(u64::from(*count));
        }
        out.number(self.texts.len() as u64);
        for (hash, text) in &self.texts {
            out.hash(*hash);
            out.text(text);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Categories> {
        let mut found =
            Categories { seen: from.number()?, is_open: from.byte()? == 1, ..Categories::default() };
        if found.is_open {
            return Some(found);
        }
        found.wild = from.byte()?;
        found.late = from.single()?;
        for _ in 0..from.count()? {
            found.hashes.push(from.hash()?);
            found.counts.push(from.small()?);
        }
        for _ in 0..from.count()? {
            found.texts.push((from.hash()?, from.text()?.into()));
        }
        found.reset();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(set: &mut Categories, values: impl IntoIterator<Item = u64>) {
        for value in values {
            set.meet(value, || format!("v{value}").into());
        }
        set.commit();
    }

    #[test]
    fn a_window_is_judged_by_what_was_known_before_it() {
        let mut set = Categories::default();
        learn(&mut set, (0..600).map(|n| n % 3));
        assert_eq!((set.weight(), set.normal().as_str()), (Some(1.0), "v0, v1, v2"));
        assert!(set.meet(9, || "v9".into()) && set.meet(9, || "v9".into()) && !set.meet(1, || "v1".into()));
        set.commit();
        assert!(!set.meet(9, || "v9".into()));
    }

    #[test]
    fn where_values_were_new_lately_a_new_one_is_less_of_a_surprise() {
        let mut set = Categories::default();
        learn(&mut set, vec![1; 100]);
        // 500 / 100 lines.
        assert_eq!(set.weight(), Some(5.0));
        learn(&mut set, [2, 3]);
        // (1 + 3 · 2) · 500 / 102.
        assert!((set.weight().unwrap() - 7.0 * 500.0 / 102.0).abs() < 1e-6);
        learn(&mut set, vec![1; 5_000]);
        assert!(set.weight().unwrap() < 3.0);
    }

    #[test]
    fn a_position_with_many_values_becomes_free_and_holds_nothing() {
        let mut set = Categories::default();
        learn(&mut set, 0..1_000);
        assert!(set.is_open && set.weight().is_none() && set.bytes() == 0);
    }

    #[test]
    fn one_wild_window_does_not_blind_a_firm_position_and_three_open_it() {
        let mut set = Categories::default();
        learn(&mut set, vec![1; 2_000]);
        learn(&mut set, 100..400);
        assert!(!set.is_open && set.meet(100, || "v100".into()));
        set.reset();
        learn(&mut set, 400..800);
        learn(&mut set, 800..1_200);
        assert!(set.is_open);
    }

    #[test]
    fn a_set_is_read_back_as_it_was() {
        let mut set = Categories::default();
        learn(&mut set, (0..300).map(|n| n % 7));
        learn(&mut set, [77]);
        let mut out = Writer::default();
        set.write(&mut out);
        assert_eq!(Categories::read(&mut Reader(&out.0)), Some(set));
    }
}
