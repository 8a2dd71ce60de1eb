//! One thing that comes regularly: how long its silences are, and from when on one is too long.
//!
//! The waiting time is taken as gamma distributed, fitted by its mean and variance (a renewal process: Cox, "Renewal Theory",
//! 1962): the more regular, the sooner a silence is odd. What is irregular is never missed.

use std::time::Duration;

use super::{
    count::Rate,
    pack::{Packer, Unpacker},
    tail,
};
use crate::model::{EvidenceLine, Labels, Timestamp};

/// Silences remembered.
const MEMORY: f32 = 1_000.0;
/// Silences to be known before one can be too long.
const KNOWN: f64 = 20.0;
/// A silence lasts so many times the mean and the longest known one before it is odd.
const MEAN_FACTOR: f64 = 3.0;
const LONGEST_FACTOR: f64 = 2.0;
/// Nothing is more regular than this: clocks and senders have their own pace.
const MIN_VARIATION: f64 = 0.2;
/// Windows with lines after which a silence counts as ended.
const BACK_FOR_GOOD: u8 = 3;
/// How long it is remembered that something came back, and how patient that makes at most.
const FLAPPING: Duration = Duration::from_secs(7 * 86_400);
const MAX_FLAPS: u8 = 5;
/// A silence that was told so many times lately is how things are: from then on it is learnt like any other.
const USUAL_AFTER: u8 = 2;
/// Layout of the row.
const LAYOUT: u8 = 1;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The group itself.
    Host,
    /// One stream of it.
    Stream,
    /// One template.
    Template,
}

impl Kind {
    /// Silences count as at least this long: within it, it is one sound.
    fn breath(self) -> Duration {
        match self {
            Kind::Host | Kind::Stream => Duration::from_secs(60),
            Kind::Template => Duration::from_secs(1),
        }
    }

    /// The coefficient of variation up to which it counts as regular; by chance alone it is 1.
    fn max_variation(self) -> f64 {
        match self {
            Kind::Host | Kind::Stream => 1.0,
            Kind::Template => 0.5,
        }
    }
}

/// One thing that is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// What it is.
    pub kind: Kind,
    /// When it was last heard.
    pub last: Timestamp,
    /// A line of that time.
    pub quote: Option<EvidenceLine>,
    /// Since when it is reported as silent.
    pub missing_since: Option<Timestamp>,
    gaps: Rate,
    back: u8,
    flaps: u8,
    flapped: Timestamp,
}

impl Watch {
    /// Heard for the first time.
    pub fn new(kind: Kind) -> Self {
        Watch {
            kind,
            last: Timestamp::MIN,
            quote: None,
            missing_since: None,
            gaps: Rate::default(),
            back: 0,
            flaps: 0,
            flapped: Timestamp::MIN,
        }
    }

    /// Heard from `first` to `last`; silences that began before `awake` were ours. Says since when it had been missing, if
    /// it is now back for good.
    pub fn hear(&mut self, first: Timestamp, last: Timestamp, awake: Timestamp) -> Option<Timestamp> {
        let gap = first.since(self.last).max(self.kind.breath());
        if let Some(since) = self.missing_since {
            let is_steady = gap <= (self.usual() * 3).max(self.kind.breath() * 3);
            self.back = if is_steady { self.back + 1 } else { 1 };
            if self.flaps >= USUAL_AFTER && self.last >= awake {
                self.gaps.learn(gap.as_secs_f64(), MEMORY);
            }
            self.last = self.last.max(last);
            if self.back < BACK_FOR_GOOD {
                return None;
            }
            (self.missing_since, self.back, self.flapped) = (None, 0, last);
            self.flaps = self.flaps.saturating_add(1).min(MAX_FLAPS);
            return Some(since);
        }
        if self.last >= awake {
            self.gaps.learn(gap.as_secs_f64(), MEMORY);
        }
        if last.since(self.flapped) > FLAPPING {
            self.flaps = 0;
        }
        self.last = self.last.max(last);
        None
    }

    /// From how long a silence on it is worth asking about; `None` for what is irregular or little known.
    pub fn patience(&self, least: Duration) -> Option<Duration> {
        if self.gaps.weight() < KNOWN || self.variation() > self.kind.max_variation() {
            return None;
        }
        let expected = self.gaps.expect(1.0);
        let patience = (MEAN_FACTOR * expected.mean).max(LONGEST_FACTOR * expected.peak).min(1e9);
        Some(Duration::from_secs_f64(patience).max(least) * (u32::from(self.flaps) + 1))
    }

    /// How odd a silence of this length is.
    pub fn score(&self, silent: Duration) -> f64 {
        let variation = self.variation().max(MIN_VARIATION);
        tail::score(tail::waits_longer(silent.as_secs_f64(), self.gaps.mean(), variation))
    }

    /// It is reported as missing, since it was last heard.
    pub fn miss(&mut self) {
        (self.missing_since, self.back) = (Some(self.last), 0);
    }

    /// The mean silence.
    pub fn usual(&self) -> Duration {
        Duration::from_secs_f64(self.gaps.mean().clamp(0.0, 1e9))
    }

    /// How well it is known: the silences learnt.
    pub fn weight(&self) -> f64 {
        self.gaps.weight()
    }

    /// Memory taken, roughly, in bytes; labels are shared.
    pub fn bytes(&self) -> usize {
        size_of::<Watch>() + self.quote.as_ref().map_or(0, |quote| quote.line.len())
    }

    /// The row.
    pub fn pack(&self) -> Vec<u8> {
        let mut row = Packer::new(LAYOUT);
        row.number(self.kind as u64);
        row.time(self.last);
        self.gaps.save(&mut row);
        row.number(u64::from(self.missing_since.is_some()));
        row.time(self.missing_since.unwrap_or_default());
        row.number(u64::from(self.back));
        row.number(u64::from(self.flaps));
        row.time(self.flapped);
        row.number(u64::from(self.quote.is_some()));
        if let Some(quote) = &self.quote {
            row.time(quote.timestamp_ns);
            row.text(&quote.line);
            row.number(quote.stream.len() as u64);
            for (name, value) in quote.stream.iter() {
                row.text(name);
                row.text(value);
            }
        }
        row.finish()
    }

    /// Reads a row back.
    pub fn unpack(state: &[u8]) -> Option<Self> {
        let mut row = Unpacker::new(LAYOUT, state)?;
        let kind = match row.number()? {
            0 => Kind::Host,
            1 => Kind::Stream,
            2 => Kind::Template,
            _ => return None,
        };
        let (last, gaps) = (row.time()?, Rate::restore(&mut row)?);
        let (is_missing, since) = (row.number()? == 1, row.time()?);
        let (back, flaps) = (u8::try_from(row.number()?).ok()?, u8::try_from(row.number()?).ok()?);
        let flapped = row.time()?;
        let quote = if row.number()? == 1 { Some(quote(&mut row)?) } else { None };
        let missing_since = is_missing.then_some(since);
        Some(Watch { kind, last, quote, missing_since, gaps, back, flaps, flapped })
    }

    fn variation(&self) -> f64 {
        self.gaps.deviation() / self.gaps.mean().max(1e-9)
    }
}

fn quote(row: &mut Unpacker<'_>) -> Option<EvidenceLine> {
    let (timestamp_ns, line) = (row.time()?, row.text()?.to_owned());
    let pairs = (0..row.number()?.min(256)).map(|_| Some((row.text()?, row.text()?)));
    let stream = Labels::from_pairs(pairs.collect::<Option<Vec<_>>>()?).ok()?;
    Some(EvidenceLine { stream, timestamp_ns, line, template: None, at: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    fn heard(kind: Kind, gaps: impl IntoIterator<Item = i64>) -> Watch {
        let mut watch = Watch::new(kind);
        let mut now = 0;
        watch.hear(at(0), at(0), at(0));
        for gap in gaps {
            now += gap;
            watch.hear(at(now), at(now), at(0));
        }
        watch
    }

    #[test]
    fn a_beat_every_five_minutes_is_missed_after_three() {
        let watch = heard(Kind::Template, [300; 50]);
        assert_eq!(watch.patience(LEAST), Some(Duration::from_secs(900)));
        // Variation 0.2: shape 25; after three beats Q(25, 75) is far below one in ten million.
        assert!(watch.score(Duration::from_secs(900)) > 0.8 && watch.score(Duration::from_secs(310)) < 0.3);
    }

    #[test]
    fn what_is_irregular_or_little_known_is_never_missed() {
        let batch = heard(Kind::Host, (0..100).map(|n| if n % 20 == 0 { 40_000 } else { 60 }));
        assert_eq!(batch.patience(LEAST), None);
        assert_eq!(heard(Kind::Template, [300; 19]).patience(LEAST), None);
        let logins = heard(Kind::Template, (0..200).map(|n| if n % 3 == 0 { 900 } else { 20 }));
        assert_eq!(logins.patience(LEAST), None);
    }

    #[test]
    fn the_longest_silence_known_counts_twice() {
        let mut watch = heard(Kind::Host, [60; 500]);
        assert_eq!(watch.patience(LEAST), Some(LEAST));
        let last = watch.last.plus(Duration::from_secs(450));
        watch.hear(last, last, at(0));
        assert_eq!(watch.patience(LEAST).map(|patience| patience.as_secs()), Some(900));
    }

    #[test]
    fn a_silence_that_was_ours_is_not_learnt() {
        let mut watch = heard(Kind::Host, [60; 100]);
        let before = watch.gaps;
        let back = watch.last.plus(Duration::from_secs(50_000));
        watch.hear(back, back, back);
        assert_eq!((watch.gaps, watch.last), (before, back));
    }

    #[test]
    fn coming_back_takes_three_windows_and_makes_patient() {
        let mut watch = heard(Kind::Host, [60; 100]);
        let gone = watch.last;
        watch.miss();
        let back = |n: u64| gone.plus(Duration::from_secs(3_600 + 60 * n));
        assert_eq!(watch.hear(back(0), back(0), at(0)), None);
        assert_eq!(watch.hear(back(1), back(1), at(0)), None);
        assert_eq!(watch.hear(back(2), back(2), at(0)), Some(gone));
        assert_eq!(watch.patience(LEAST), Some(LEAST * 2), "and the outage is not learnt as a usual silence");
        let next_week = back(2).plus(Duration::from_secs(7 * 86_400 + 1));
        watch.hear(next_week, next_week, next_week);
        assert_eq!(watch.patience(LEAST), Some(LEAST));
    }

    #[test]
    fn what_falls_silent_every_night_is_usual_after_the_third() {
        let mut watch = heard(Kind::Host, [60; 600]);
        let mut told = 0;
        for _ in 0..6 {
            let silent = Duration::from_secs(10 * 3_600);
            if watch.patience(LEAST).is_some_and(|patience| patience <= silent) {
                watch.miss();
                told += 1;
            }
            let morning = watch.last.plus(silent);
            (0..600).for_each(|n| {
                let now = morning.plus(Duration::from_secs(n * 60));
                watch.hear(now, now, at(0));
            });
        }
        assert_eq!(told, 3);
    }

    #[test]
    fn a_row_brings_back_the_same_watch() {
        let mut watch = heard(Kind::Stream, [60, 70, 80, 3]);
        watch.quote = Some(EvidenceLine {
            stream: Labels::from_pairs([("host", "vps1"), ("job", "cron")]).unwrap(),
            timestamp_ns: at(5),
            line: "tick".into(),
            template: None,
            at: None,
        });
        watch.miss();
        assert_eq!(Watch::unpack(&watch.pack()), Some(watch.clone()));
        assert_eq!(Watch::unpack(&watch.pack()[..20]), None);
        watch.quote = None;
        assert!(watch.pack().len() <= 100, "{}", watch.pack().len());
    }
}
