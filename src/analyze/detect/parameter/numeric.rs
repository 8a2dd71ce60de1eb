//! The values of a position as numbers: how they are distributed, and how far outside one is.
//!
//! A histogram over logarithms gives the quantiles; beyond the values seen the tail goes on exponentially in the
//! logarithm, as fast as its last tenth falls (Hill: "A Simple General Approach to Inference About the Tail of a
//! Distribution", Annals of Statistics 1975), never faster than a floor. Counters, which only grow, are recognised.

use super::{
    codec::{Reader, Writer},
    quantity::Unit,
};

/// Values learnt before one can be unusual.
const SETTLED: u32 = 100;
/// Bins in memory; with more they are made twice as wide.
const MAX_BINS: usize = 96;
/// At so many values the past counts half.
const FADING: u32 = 1 << 16;
/// Bins per e-fold: a bin is 13 % wide.
const FINENESS: f64 = 8.0;
/// Of a window's values the first so many are learnt, then every so many-th.
const SAMPLED: u32 = 64;
/// Values learnt in a window, besides the extremes.
const MAX_SAMPLES: usize = 128;
/// More values than this make the tail no better known: the world changes.
const TRUSTED: f64 = 10_000.0;
/// The tail falls by a factor of e no faster than within these spans of the logarithm.
const FLOOR_UP: f64 = 0.25;
const FLOOR_DOWN: f64 = 0.4;
/// Moves from value to value after which a counter is recognised.
const COUNTED: u32 = 16;

/// A value beyond all known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tail {
    /// The probability of one so far out is `10^-exponent`.
    pub(super) exponent: f64,
    pub(super) is_high: bool,
}

/// The numbers at one position.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numeric {
    pub(super) unit: Unit,
    bins: Vec<(i16, u32)>,
    shift: u8,
    total: u32,
    low: f64,
    high: f64,
    moves: Moves,
    /// Windows that went beyond all known, the late ones counting more.
    growth: f32,
    tails: Tails,
    window: Window,
}

/// How values follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moves {
    last: f64,
    ups: u32,
    downs: u32,
}

/// Computed from the bins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tails {
    /// Logarithms where the outer tenths begin.
    tenth: f64,
    ninetieth: f64,
    down: f64,
    up: f64,
}

#[derive(Clone, Debug, PartialEq)]
struct Window {
    lines: u32,
    samples: Vec<i16>,
    low: f64,
    high: f64,
    moves: Moves,
}

impl Numeric {
    pub(super) fn new(unit: Unit) -> Self {
        Numeric {
            unit,
            bins: Vec::new(),
            shift: 0,
            total: 0,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            moves: Moves::default(),
            growth: 0.0,
            tails: Tails::default(),
            window: Window {
                lines: 0,
                samples: Vec::new(),
                low: f64::INFINITY,
                high: f64::NEG_INFINITY,
                moves: Moves::default(),
            },
        }
    }

    /// Takes a value; says how far out it is if it is beyond all known.
    pub(super) fn meet(&mut self, value: f64) -> Option<Tail> {
        let window = &mut self.window;
        window.lines = window.lines.saturating_add(1);
        if window.lines <= SAMPLED || window.lines.is_multiple_of(SAMPLED) {
            if window.samples.len() < MAX_SAMPLES {
                window.samples.push(bin(value));
            }
            if self.total > 0 || window.lines > 1 {
                window.moves.ups += u32::from(value > window.moves.last);
                window.moves.downs += u32::from(value < window.moves.last);
            }
            window.moves.last = value;
        }
        if self.low <= value && value <= self.high {
            return None;
        }
        window.low = window.low.min(value);
        window.high = window.high.max(value);
        self.beyond(value)
    }

    fn beyond(&self, value: f64) -> Option<Tail> {
        if self.total < SETTLED || self.is_counter() {
            return None;
        }
        let is_high = value > self.high;
        let (outside, inner, scale) = match is_high {
            true => (log(value) - log(self.high), log(value) - self.tails.ninetieth, self.tails.up),
            false => (log(self.low) - log(value), self.tails.tenth - log(value), self.tails.down),
        };
        // Zero is no quantity: nothing was sent, nothing was measured.
        if !is_high && value.abs() < 1e-9 {
            return None;
        }
        let unseen = (1.0 + f64::from(self.growth)).powi(2) / f64::from(self.total).min(TRUSTED);
        let from_extreme = unseen.log10() - outside / scale * std::f64::consts::LOG10_E;
        let from_tenth = -1.0 - inner / scale * std::f64::consts::LOG10_E;
        let exponent = -from_extreme.max(from_tenth).min(0.0);
        Some(Tail { exponent, is_high })
    }

    /// Whether the values only go one way, as counters and times do.
    pub(super) fn is_counter(&self) -> bool {
        let Moves { ups, downs, .. } = self.moves;
        ups + downs >= COUNTED && ups.max(downs) * 10 >= (ups + downs) * 9
    }

    /// Whether enough is known to judge.
    pub(super) fn is_settled(&self) -> bool {
        self.total >= SETTLED
    }

    /// Whether all values were the same so far.
    pub(super) fn is_constant(&self) -> bool {
        self.low >= self.high
    }

    /// Whether the open window went beyond all known.
    pub(super) fn has_news(&self) -> bool {
        self.window.low < self.low || self.window.high > self.high
    }

    /// Learns the window.
    pub(super) fn commit(&mut self) {
        let samples = std::mem::take(&mut self.window.samples);
        let learnt = samples.len() as f64;
        for bin in &samples {
            self.count(*bin);
        }
        if self.has_news() {
            self.growth += f32::from(u8::from(self.total >= SETTLED));
            for extreme in [self.window.low, self.window.high] {
                if extreme.is_finite() && !(self.low..=self.high).contains(&extreme) {
                    self.count(bin(extreme));
                }
            }
            (self.low, self.high) = (self.low.min(self.window.low), self.high.max(self.window.high));
        }
        self.growth *= (1.0 - 0.7 * learnt / f64::from(self.total).max(1.0)) as f32;
        self.moves.ups += self.window.moves.ups;
        self.moves.downs += self.window.moves.downs;
        self.moves.last = self.window.moves.last;
        if self.moves.ups + self.moves.downs > 1_000 {
            (self.moves.ups, self.moves.downs) = (self.moves.ups / 2, self.moves.downs / 2);
        }
        self.fade();
        self.tails = self.tails_now();
        self.window.samples = samples;
        self.reset();
    }

    /// Forgets the window.
    pub(super) fn reset(&mut self) {
        let mut samples = std::mem::take(&mut self.window.samples);
        samples.clear();
        self.window = Window {
            lines: 0,
            samples,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            moves: Moves { last: self.moves.last, ups: 0, downs: 0 },
        };
    }

    fn count(&mut self, bin: i16) {
        let bin = bin >> self.shift;
        match self.bins.binary_search_by_key(&bin, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, count)) = self.bins.get_mut(at) {
                    *count += 1;
                }
            }
            Err(at) => self.bins.insert(at, (bin, 1)),
        }
        self.total += 1;
        while self.bins.len() > MAX_BINS {
            self.shift += 1;
            self.bins.iter_mut().for_each(|(bin, _)| *bin >>= 1);
            self.bins.dedup_by(|next, kept| {
                let is_same = next.0 == kept.0;
                kept.1 += if is_same { next.1 } else { 0 };
                is_same
            });
        }
    }

    /// Halves the past when there is much of it; what has become nothing is no longer known.
    fn fade(&mut self) {
        if self.total < FADING {
            return;
        }
        self.bins.iter_mut().for_each(|(_, count)| *count /= 2);
        self.bins.retain(|(_, count)| *count > 0);
        self.total = self.bins.iter().map(|(_, count)| *count).sum();
        if let (Some((first, _)), Some((last, _))) = (self.bins.first(), self.bins.last()) {
            let width = f64::from(1u32 << self.shift) / FINENESS;
            self.low = self.low.max(unlog(f64::from(*first) * width));
            self.high = self.high.min(unlog((f64::from(*last) + 1.0) * width));
        }
    }

    fn tails_now(&self) -> Tails {
        let at = |share| self.quantile(share);
        let (tenth, middle, ninetieth) = (at(0.1), at(0.5), at(0.9));
        // Falls over the last tenth by a factor of ten, between the middle and it by five.
        let slope = |outer: f64, inner: f64| (outer / std::f64::consts::LN_10).max(inner / 5f64.ln() / 2.0);
        Tails {
            tenth,
            ninetieth,
            down: slope(tenth - at(0.01), middle - tenth).max(FLOOR_DOWN),
            up: slope(at(0.99) - ninetieth, ninetieth - middle).max(FLOOR_UP),
        }
    }

    /// The logarithm below which this share of the values lies.
    fn quantile(&self, share: f64) -> f64 {
        let width = f64::from(1u32 << self.shift) / FINENESS;
        let (mut below, wanted) = (0.0, share * f64::from(self.total));
        let mut found = 0.0;
        for (bin, count) in &self.bins {
            let count = f64::from(*count);
            found = (f64::from(*bin) + ((wanted - below) / count).clamp(0.0, 1.0)) * width;
            below += count;
            if below >= wanted {
                break;
            }
        }
        found.clamp(log(self.low), log(self.high))
    }

    /// The range of nearly all values, for people: `12–80 ms`.
    pub(super) fn normal(&self, unit: Unit) -> String {
        let unit = if self.unit == Unit::Plain { unit } else { self.unit };
        let low = unit.show(unlog(self.quantile(0.01)));
        let high = unit.show(unlog(self.quantile(0.99)));
        let name = |text: &str| text.split_once(' ').map(|(_, name)| name.to_owned());
        match low.split_once(' ') {
            _ if low == high => low,
            Some((number, unit)) if name(&high).as_deref() == Some(unit) => format!("{number}–{high}"),
            _ => format!("{low}–{high}"),
        }
    }

    /// The values' place in the range learnt so far, as `(from, to)` of their logarithm.
    pub(super) fn range(&self) -> (f64, f64) {
        (self.quantile(0.01), self.quantile(0.99))
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Numeric>() + self.bins.len() * 8 + 2 * SAMPLED as usize
    }

    pub(super) fn write(&self, out: &mut Writer) {
        self.unit.write(out);
        out.byte(self.shift);
        out.double(self.low);
        out.double(self.high);
        out.double(self.moves.last);
        out.number(u64::from(self.moves.ups));
        out.number(u64::from(self.moves.downs));
        out.single(self.growth);
        out.number(self.bins.len() as u64);
        let mut before = 0i64;
        for (bin, count) in &self.bins {
            out.signed(i64::from(*bin) - before);
            out.number(u64::from(*count));
            before = i64::from(*bin);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Numeric> {
        let mut found = Numeric::new(Unit::read(from)?);
        found.shift = from.byte().filter(|shift| *shift < 16)?;
        (found.low, found.high) = (from.double()?, from.double()?);
        found.moves = Moves { last: from.double()?, ups: from.small()?, downs: from.small()? };
        found.growth = from.single()?;
        let mut before = 0i64;
        for _ in 0..from.count()? {
            before = before.checked_add(from.signed()?)?;
            let count = from.small()?;
            found.bins.push((i16::try_from(before).ok()?, count));
            found.total = found.total.checked_add(count)?;
        }
        found.tails = if found.total > 0 { found.tails_now() } else { Tails::default() };
        found.reset();
        Some(found)
    }
}

/// The logarithm used: finite at zero, odd for negative numbers, a thousandth of the base unit still told from zero.
pub(super) fn log(value: f64) -> f64 {
    (value.abs() * 1e3).ln_1p().copysign(value)
}

fn unlog(log: f64) -> f64 {
    (log.abs().exp_m1() / 1e3).copysign(log)
}

fn bin(value: f64) -> i16 {
    (log(value) * FINENESS).floor() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(numbers: &mut Numeric, values: impl IntoIterator<Item = f64>) {
        for value in values {
            numbers.meet(value);
        }
        numbers.commit();
    }

    /// 12 to 80 ms, neither rising nor falling.
    fn durations() -> Numeric {
        let mut numbers = Numeric::new(Unit::Time);
        for window in 0..20 {
            learn(&mut numbers, (0..60).map(|n| 12.0 + f64::from((window * 60 + n) * 37 % 69)));
        }
        numbers
    }

    #[test]
    fn a_duration_a_hundred_times_too_long_is_unusual_and_the_normal_range_is_told() {
        let mut numbers = durations();
        assert_eq!(numbers.meet(40.0), None);
        let tail = numbers.meet(9_800.0).unwrap();
        // 1200 values: 10^-3.08; ln(9800 / 80) = 4.81 over a slope of about a quarter is 10^-8 more.
        assert!(tail.is_high && (9.0..13.0).contains(&tail.exponent), "{tail:?}");
        assert!(numbers.meet(100.0).unwrap().exponent < 4.5);
        let normal = numbers.normal(Unit::Plain);
        assert!(normal == "12–80 ms" || normal == "13–80 ms" || normal == "12–79 ms", "{normal}");
    }

    #[test]
    fn a_heavy_tail_makes_a_far_value_less_of_a_surprise() {
        let mut numbers = Numeric::new(Unit::Bytes);
        // Pareto with exponent 1: one value in ten is ten times larger.
        for window in 0..20 {
            learn(&mut numbers, (0..60).map(|n| 1.2e6 / (f64::from((window * 60 + n) * 487 % 1200) + 1.0)));
        }
        let far = numbers.meet(1.2e6 * 100.0).unwrap();
        // 1/1200 to be beyond all, a hundredth of that to be a hundred times beyond.
        assert!((4.0..6.0).contains(&far.exponent), "{far:?}");
    }

    #[test]
    fn a_counter_never_alarms_and_zero_is_no_quantity() {
        let mut counter = Numeric::new(Unit::Plain);
        learn(&mut counter, (0..200).map(f64::from));
        learn(&mut counter, (200..400).map(f64::from));
        assert!(counter.is_counter() && counter.meet(1e12).is_none());
        assert_eq!(durations().meet(0.0), None);
        assert!(durations().meet(0.001).is_some_and(|tail| !tail.is_high));
    }

    #[test]
    fn what_was_learnt_once_is_not_beyond_all_known() {
        let mut numbers = durations();
        learn(&mut numbers, [9_800.0]);
        assert_eq!(numbers.meet(9_700.0), None);
    }

    #[test]
    fn bins_stay_within_their_limit_and_old_values_fade() {
        let mut numbers = Numeric::new(Unit::Plain);
        for window in 0..700u32 {
            learn(&mut numbers, (0..128).map(|n| f64::from(window * 128 + n).powi(3) * 1e-6 - 1e3));
        }
        assert!(numbers.bins.len() <= MAX_BINS && numbers.total < FADING && numbers.bytes() < 2_048);
    }

    #[test]
    fn numbers_are_read_back_as_they_were() {
        let mut numbers = durations();
        learn(&mut numbers, [9_800.0, -4.0]);
        let mut out = Writer::default();
        numbers.write(&mut out);
        assert_eq!(Numeric::read(&mut Reader(&out.0)), Some(numbers));
    }
}
