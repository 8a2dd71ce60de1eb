//! Dates as people write them, and the point in time they mean.

use crate::model::Timestamp;

const DAY: i64 = 86_400;
const NANOS: i64 = 1_000_000_000;
/// A log that is being written names a time no further than this from its arrival; decides between `03/04` and `04/03`.
const LIVE: i64 = 36 * 3600;
/// A line is written before it is read; clocks and references are wrong by less than this.
const AHEAD: i64 = 30 * DAY;

/// A day of the calendar that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    year: i64,
    month: i64,
    day: i64,
}

impl Day {
    /// A day within the years that nanoseconds since 1970 can name.
    pub(super) fn new(year: i64, month: i64, day: i64) -> Option<Day> {
        let is_real = (1970..2262).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day);
        is_real.then_some(Day { year, month, day })
    }

    /// Days since 1970-01-01 (the method of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms").
    fn number(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is written of the date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Date {
    Full(Day),
    /// Month and day.
    Yearless(i64, i64),
    /// Nothing: a time of day.
    Missing,
    /// Digits that can be read in two ways; the first is the more usual.
    Either(Day, Day),
}

/// What a reading says of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Nanoseconds since 1970.
    Exact(i64),
    /// Date, nanoseconds of the day, and seconds ahead of UTC.
    Civil(Date, i64, i64),
}

impl When {
    /// Whether this may be taken for the line's time in column `word`: the further in, the more must be written.
    pub(super) fn is_sure(self, word: usize) -> bool {
        match self {
            When::Exact(_) => word <= 1,
            When::Civil(Date::Missing, ..) => word == 0,
            When::Civil(..) => true,
        }
    }

    /// The time meant, given one near it.
    pub(super) fn near(self, reference: Timestamp) -> Option<Timestamp> {
        let (date, nanos, offset) = match self {
            When::Exact(nanos) => return Some(Timestamp::from_nanos(nanos)),
            When::Civil(date, nanos, offset) => (date, nanos, offset),
        };
        let at = |day: i64| {
            let seconds = (day * DAY).checked_sub(offset)?;
            seconds.checked_mul(NANOS)?.checked_add(nanos).map(Timestamp::from_nanos)
        };
        let today = reference.as_secs().div_euclid(DAY);
        match date {
            Date::Full(day) => at(day.number()),
            Date::Missing => nearest((today - 1..=today + 1).filter_map(at), reference),
            Date::Yearless(month, day) => {
                let year = year_of(today);
                // February 29th is not in every year, and may have been missing for eight.
                let mut days = (year - 8..=year + 1).rev().filter_map(|year| Day::new(year, month, day));
                days.find_map(|day| {
                    at(day.number())
                        .filter(|time| time.as_secs() <= reference.as_secs().saturating_add(AHEAD))
                })
            }
            Date::Either(usual, other) => {
                let (usual, other) = (at(usual.number())?, at(other.number())?);
                let is_live = |time| distance(time, reference) <= LIVE;
                Some(if is_live(other) && !is_live(usual) { other } else { usual })
            }
        }
    }
}

/// The year a day is in.
fn year_of(day: i64) -> i64 {
    let guess = 1970 + day * 400 / 146_097;
    let starts = |year: i64| Day { year, month: 1, day: 1 }.number();
    (guess - 1..=guess + 1).rev().find(|year| starts(*year) <= day).unwrap_or(guess)
}

fn nearest(times: impl Iterator<Item = Timestamp>, reference: Timestamp) -> Option<Timestamp> {
    times.min_by_key(|time| distance(*time, reference))
}

/// Seconds between two times.
fn distance(one: Timestamp, other: Timestamp) -> i64 {
    one.as_secs().saturating_sub(other.as_secs()).saturating_abs()
}
