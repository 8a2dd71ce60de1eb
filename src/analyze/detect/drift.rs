//! Drift: the lines of a group have changed for good.
//!
//! Two streams of numbers are watched with ADWIN (Bifet and Gavaldà, SDM 2007; see `adwin`): which part of a window's
//! templates is new, and how odd the oddest thing in it was. When their mean has risen and stays, that is told once, as
//! news, and the group is learnt anew.

use std::collections::BTreeSet;

use super::{
    Closing, Evidence,
    adwin::{Adwin, Cut},
    memory::Part,
    pack::{Packer, Unpacker},
};
use crate::store::memory::MemoryRow;

/// Its name.
pub const NAME: &str = "drift";
/// Windows whose mean is one number: half an hour must have passed before a change is seen.
const PER_NUMBER: u64 = 5;
/// A mean that rose by less is no change worth a word.
const LEAST_RISE: f64 = 0.15;
/// News, not an alarm: it is told where the threshold is the usual one, and never more than that.
const SCORE: f64 = 0.8;
/// Layout of the rows.
const LAYOUT: u8 = 1;
/// Keys of the rows: what is not yet a number, and the two streams.
const OPEN: u64 = 0;
const FRESH: u64 = 1;
const ODD: u64 = 2;

/// The drift detector of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drift {
    fresh: Adwin,
    odd: Adwin,
    /// Sums of the windows that are not yet a number, and how many they are.
    fresh_sum: f64,
    odd_sum: f64,
    windows: u64,
    is_dirty: bool,
}

impl Drift {
    /// Ends the window, in which the oddest thing had this score; says whether the lines have changed for good.
    pub fn close(&mut self, closing: &Closing<'_>, oddest: f64) -> Option<Evidence> {
        let templates = closing.window.templates.len().max(1);
        let fresh = closing.window.templates.values().filter(|stat| stat.is_new).count();
        let cut = self.learn(fresh as f64 / templates as f64, oddest)?;
        let line =
            closing.window.templates.iter().max_by_key(|(id, stat)| (stat.is_new, stat.count, **id))?.1;
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        Some(Evidence {
            detector: NAME,
            subject: "changed".to_owned(),
            template: None,
            score: SCORE,
            observed: percent(cut.after),
            expected: percent(cut.before),
            sentence: format!(
                "the lines of this host have changed for good: {} of it is new or unusual, {} before; \
                 what is normal is being learnt anew",
                percent(cut.after),
                percent(cut.before)
            ),
            lines: vec![line.head.clone()],
            count: closing.window.lines,
            first: closing.window.from,
            last: closing.window.to,
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
        })
    }

    /// Appends what changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        let mut put = |key, write: &dyn Fn(&mut Packer)| {
            let mut row = Packer::new(LAYOUT);
            write(&mut row);
            out.push(MemoryRow { part: Part::Drift.number(), key, state: Some(row.finish()) });
        };
        put(OPEN, &|row| {
            row.precise(self.fresh_sum);
            row.precise(self.odd_sum);
            row.number(self.windows);
        });
        if self.is_dirty {
            put(FRESH, &|row| self.fresh.save(row));
            put(ODD, &|row| self.odd.save(row));
        }
        self.is_dirty = false;
    }

    /// Takes a row back.
    pub fn restore(&mut self, key: u64, state: &[u8]) {
        let Some(mut row) = Unpacker::new(LAYOUT, state) else { return };
        match key {
            FRESH => self.fresh = Adwin::restore(&mut row).unwrap_or_default(),
            ODD => self.odd = Adwin::restore(&mut row).unwrap_or_default(),
            _ => {
                if let (Some(fresh), Some(odd), Some(windows)) = (row.precise(), row.precise(), row.number())
                {
                    (self.fresh_sum, self.odd_sum, self.windows) = (fresh, odd, windows);
                }
            }
        }
    }

    /// Takes the numbers of one window; the first rise of either stream.
    fn learn(&mut self, fresh: f64, odd: f64) -> Option<Cut> {
        self.fresh_sum += fresh;
        self.odd_sum += odd;
        self.windows += 1;
        if self.windows < PER_NUMBER {
            return None;
        }
        let count = self.windows as f64;
        let cuts = [self.fresh.add(self.fresh_sum / count), self.odd.add(self.odd_sum / count)];
        (self.fresh_sum, self.odd_sum, self.windows) = (0.0, 0.0, 0);
        self.is_dirty = true;
        let rise = cuts.into_iter().flatten().find(|cut| cut.after >= cut.before + LEAST_RISE)?;
        // What is left of the past would be told again and again while it is being dropped.
        *self = Drift { is_dirty: true, ..Drift::default() };
        Some(rise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(drift: &mut Drift, windows: u32, fresh: f64, odd: f64) -> Vec<(u32, Cut)> {
        (1..=windows).filter_map(|n| drift.learn(fresh, odd).map(|cut| (n, cut))).collect()
    }

    #[test]
    fn a_change_that_stays_is_told_once_and_after_half_an_hour_at_the_earliest() {
        let mut drift = Drift::default();
        assert_eq!(feed(&mut drift, 1_000, 0.0, 0.3), []);
        let cuts = feed(&mut drift, 500, 0.0, 0.9);
        assert_eq!(cuts.len(), 1, "{cuts:?}");
        let (windows, cut) = cuts[0];
        assert!((30..=120).contains(&windows), "{windows}");
        assert!((cut.before - 0.3).abs() < 0.05 && cut.after > 0.6, "{cut:?}");
    }

    #[test]
    fn an_odd_quarter_of_an_hour_and_a_change_to_the_better_are_not_told() {
        let mut drift = Drift::default();
        feed(&mut drift, 1_000, 0.0, 0.5);
        assert_eq!(feed(&mut drift, 15, 0.3, 0.95), []);
        assert_eq!(feed(&mut drift, 1_000, 0.0, 0.5), []);
        assert_eq!(feed(&mut drift, 1_000, 0.0, 0.0), []);
    }

    #[test]
    fn a_restart_goes_on_exactly() {
        let (mut whole, mut restarted) = (Drift::default(), Drift::default());
        let mut rows = std::collections::BTreeMap::new();
        for window in 0..1_200 {
            let odd = if window < 900 { 0.1 } else { 0.8 };
            assert_eq!(whole.learn(0.0, odd), restarted.learn(0.0, odd));
            let mut out = Vec::new();
            restarted.save(&mut out);
            rows.extend(out.into_iter().map(|row| (row.key, row.state.unwrap())));
            if window % 97 == 0 {
                restarted = Drift::default();
                rows.iter().for_each(|(key, state)| restarted.restore(*key, state));
            }
        }
        whole.is_dirty = restarted.is_dirty;
        assert_eq!(whole, restarted);
        assert!(rows.values().all(|row| row.len() < 512));
    }
}
