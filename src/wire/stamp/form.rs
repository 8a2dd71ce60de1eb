//! The forms in which times are written.

use super::{
    civil::{Date, Day, When},
    cursor::Cursor,
};

const NANOS: i64 = 1_000_000_000;

/// A time that was read, and where it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) when: When,
    pub(super) end: usize,
}

/// Reads a time that starts at the cursor; an opening bracket or quotation mark may stand before it.
pub(super) fn at(mut cursor: Cursor<'_>) -> Option<Reading> {
    let is_open = cursor.one_of(b"[(\"'").is_some();
    let mut reading = unbracketed(cursor)?;
    if is_open && matches!(cursor.moved_to(reading.end).peek(), Some(b']' | b')' | b'"' | b'\'')) {
        reading.end += 1;
    }
    Some(reading)
}

/// Like [`at`] without brackets, and also a date alone.
pub(super) fn date_or_time(cursor: Cursor<'_>) -> Option<Reading> {
    unbracketed(cursor).or_else(|| {
        let mut cursor = cursor;
        let day = year_first(&mut cursor)?;
        cursor.is_boundary().then_some(Reading { when: When::Civil(Date::Full(day), 0, 0), end: cursor.at })
    })
}

fn unbracketed(cursor: Cursor<'_>) -> Option<Reading> {
    match cursor.peek()? {
        b'0'..=b'9' => by_digits(cursor),
        b'@' => tai64n(cursor),
        b'I' | b'W' | b'E' | b'F' | b'C' if cursor.ahead(1).is_some_and(|b| b.is_ascii_digit()) => {
            klog(cursor)
        }
        b'A'..=b'Z' => weekday(cursor).or_else(|| month_first(cursor)),
        _ => None,
    }
}

/// The number of digits and the sign behind them tell the forms apart.
fn by_digits(cursor: Cursor<'_>) -> Option<Reading> {
    let length = cursor.digits();
    match (length, cursor.ahead(length)) {
        (4, Some(b'-' | b'/' | b'.')) => iso(cursor),
        (8, _) => basic(cursor),
        (6, Some(b' ')) => six_digits(cursor),
        (10 | 13 | 16 | 19, _) => epoch(cursor),
        (1 | 2, Some(b':')) => {
            let mut cursor = cursor;
            timed(Date::Missing, &mut cursor)
        }
        (1 | 2, Some(sign @ (b'/' | b'-' | b'.' | b' '))) => day_first(cursor, sign),
        _ => None,
    }
}

/// `2026-11-21T03:04:05.123+01:00` and its relatives.
fn iso(mut cursor: Cursor<'_>) -> Option<Reading> {
    let day = year_first(&mut cursor)?;
    if cursor.one_of(b"Tt_").is_none() && !(cursor.eat(b'-') || cursor.eat(b':')) {
        blanks_between(&mut cursor)?;
    }
    timed(Date::Full(day), &mut cursor)
}

/// `2026-11-21`, `2026/11/21`, `2026.11.21`.
fn year_first(cursor: &mut Cursor<'_>) -> Option<Day> {
    let year = cursor.number(4)?;
    let sign = cursor.one_of(b"-/.")?;
    let month = cursor.short()?;
    if !cursor.eat(sign) {
        return None;
    }
    Day::new(year, month, cursor.short()?)
}

/// `20261121-03:04:05:123`, `20261121T030405Z`, `20261121 03:04:05`.
fn basic(mut cursor: Cursor<'_>) -> Option<Reading> {
    let day = Day::new(cursor.number(4)?, cursor.number(2)?, cursor.number(2)?)?;
    cursor.one_of(b"T -_")?;
    timed(Date::Full(day), &mut cursor)
}

/// `081109 203518` and `081109  3:04:05`: year, month and day of two digits each.
fn six_digits(mut cursor: Cursor<'_>) -> Option<Reading> {
    let (year, month, day) = (cursor.number(2)?, cursor.number(2)?, cursor.number(2)?);
    let day = Day::new(century(year), month, day)?;
    blanks_between(&mut cursor)?;
    timed(Date::Full(day), &mut cursor)
}

fn century(year: i64) -> i64 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their number of digits.
pub(super) fn epoch(mut cursor: Cursor<'_>) -> Option<Reading> {
    let length = cursor.digits();
    let unit = match length {
        10 => NANOS,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return None,
    };
    // From 2001 to 2096: other numbers of this length are not times.
    if !matches!(cursor.peek(), Some(b'1'..=b'3')) {
        return None;
    }
    let mut nanos = cursor.number(length)?.checked_mul(unit)?;
    if matches!(cursor.peek(), Some(b'.' | b',')) && cursor.ahead(1).is_some_and(|b| b.is_ascii_digit()) {
        cursor.at += 1;
        nanos = nanos.checked_add(cursor.fraction()? / (NANOS / unit))?;
    }
    let is_end = cursor.is_boundary() && !matches!(cursor.peek(), Some(b'.' | b'-' | b'/'));
    is_end.then_some(Reading { when: When::Exact(nanos), end: cursor.at })
}

/// Dates that start with one or two digits: `21/Nov/2026`, `21 Nov 2026`, `11/21/2026`, `17/06/09`, `03-17`, `10.30`.
fn day_first(mut cursor: Cursor<'_>, sign: u8) -> Option<Reading> {
    let first = cursor.short()?;
    cursor.at += 1;
    let date = match month(&mut cursor) {
        Some(month) => named_month(&mut cursor, first, month)?,
        None if sign == b' ' => return None,
        None => {
            let second = cursor.short()?;
            if cursor.eat(sign) {
                three_numbers(&mut cursor, first, second, sign)?
            } else {
                two_numbers(first, second)?
            }
        }
    };
    if !cursor.eat(b':') {
        blanks_between(&mut cursor)?;
    }
    timed(date, &mut cursor)
}

/// The year behind `21/Nov`, with whatever sign stands between.
fn named_month(cursor: &mut Cursor<'_>, day: i64, month: i64) -> Option<Date> {
    let before = cursor.at;
    if cursor.one_of(b"/- ").is_some() {
        match cursor.digits() {
            4 => return Some(Date::Full(Day::new(cursor.number(4)?, month, day)?)),
            2 if cursor.ahead(2) != Some(b':') => {
                return Some(Date::Full(Day::new(century(cursor.number(2)?), month, day)?));
            }
            _ => cursor.at = before,
        }
    }
    two_numbers(month, day)
}

/// Three numbers, the first two read already: which is which depends on sign and size.
fn three_numbers(cursor: &mut Cursor<'_>, first: i64, second: i64, sign: u8) -> Option<Date> {
    let (usual, other) = match cursor.digits() {
        4 => {
            let year = cursor.number(4)?;
            let (month_first, day_first) = (Day::new(year, first, second), Day::new(year, second, first));
            if sign == b'/' { (month_first, day_first) } else { (day_first, month_first) }
        }
        2 => {
            let third = cursor.number(2)?;
            let year_first = Day::new(century(first), second, third);
            let month_first = Day::new(century(third), first, second);
            (year_first, month_first.or(Day::new(century(third), second, first)))
        }
        _ => return None,
    };
    match (usual, other) {
        (Some(usual), Some(other)) if usual != other => Some(Date::Either(usual, other)),
        (day, other) => day.or(other).map(Date::Full),
    }
}

/// Month and day; a leap year is assumed, the year is not known yet.
fn two_numbers(month: i64, day: i64) -> Option<Date> {
    Day::new(2000, month, day).map(|_| Date::Yearless(month, day))
}

/// `[21/Nov/2026:03:04:05 +0000]`, behind its bracket.
pub(super) fn common_log(cursor: Cursor<'_>) -> Option<Reading> {
    let length = cursor.digits();
    let is_named = cursor.ahead(length + 1).is_some_and(|byte| byte.is_ascii_uppercase());
    (cursor.ahead(length) == Some(b'/') && is_named).then(|| day_first(cursor, b'/')).flatten()
}

/// `I1121 03:04:05.123456`, also with a year of two or four digits.
fn klog(mut cursor: Cursor<'_>) -> Option<Reading> {
    cursor.at += 1;
    let date = match cursor.digits() {
        4 => two_numbers(cursor.number(2)?, cursor.number(2)?)?,
        6 => Date::Full(Day::new(century(cursor.number(2)?), cursor.number(2)?, cursor.number(2)?)?),
        8 => Date::Full(Day::new(cursor.number(4)?, cursor.number(2)?, cursor.number(2)?)?),
        _ => return None,
    };
    blanks_between(&mut cursor)?;
    timed(date, &mut cursor)
}

/// `Sat Nov 21 03:04:05 2026`, `Sat, 21 Nov 2026 03:04:05 GMT`.
fn weekday(mut cursor: Cursor<'_>) -> Option<Reading> {
    let names: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    let name = cursor.next(3)?;
    if !names.contains(&name) {
        return None;
    }
    cursor.at += 3;
    cursor.eat(b',');
    blanks_between(&mut cursor)?;
    if cursor.peek()?.is_ascii_digit() { day_first(cursor, b' ') } else { month_first(cursor) }
}

/// `Nov 21 03:04:05`, with the year before or behind the time, or without.
fn month_first(mut cursor: Cursor<'_>) -> Option<Reading> {
    let month = month(&mut cursor)?;
    blanks_between(&mut cursor)?;
    let day = cursor.short()?;
    cursor.eat(b',');
    blanks_between(&mut cursor)?;
    if cursor.digits() == 4 {
        let date = Date::Full(Day::new(cursor.number(4)?, month, day)?);
        blanks_between(&mut cursor)?;
        return timed(date, &mut cursor);
    }
    let reading = timed(two_numbers(month, day)?, &mut cursor)?;
    Some(with_year_behind(cursor, reading, month, day).unwrap_or(reading))
}

/// The year at the end of `Nov 21 03:04:05 2026`.
fn with_year_behind(mut cursor: Cursor<'_>, reading: Reading, month: i64, day: i64) -> Option<Reading> {
    let When::Civil(_, nanos, offset) = reading.when else { return None };
    if !cursor.eat(b' ') || cursor.digits() != 4 {
        return None;
    }
    let date = Date::Full(Day::new(cursor.number(4)?, month, day)?);
    cursor.is_boundary().then_some(Reading { when: When::Civil(date, nanos, offset), end: cursor.at })
}

fn month(cursor: &mut Cursor<'_>) -> Option<i64> {
    let number = match cursor.next(3)? {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    cursor.at += 3;
    Some(number)
}

/// One blank or a few, or a comma and a blank.
fn blanks_between(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.eat(b',');
    (1..=3).contains(&cursor.blanks()).then_some(())
}

/// Reads the time of day and the zone behind a date.
fn timed(date: Date, cursor: &mut Cursor<'_>) -> Option<Reading> {
    let nanos = clock(cursor)?;
    let nanos = half_of_day(cursor, nanos)?;
    let offset = zone(cursor).unwrap_or(0);
    Some(Reading { when: When::Civil(date, nanos, offset), end: cursor.at })
}

/// `03:04:05`, `3:04:05.123456`, `03:04:05,123`, `03.04.05.123456`, `030405`; nanoseconds of the day.
fn clock(cursor: &mut Cursor<'_>) -> Option<i64> {
    let is_compact = cursor.digits() == 6;
    let hour = if is_compact { cursor.number(2)? } else { cursor.short()? };
    let sign = if is_compact { None } else { Some(cursor.one_of(b":.")?) };
    let minute = cursor.number(2)?;
    if sign.is_some_and(|sign| !cursor.eat(sign)) {
        return None;
    }
    let second = cursor.number(2)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let is_fraction = match cursor.peek() {
        Some(b'.' | b',') => cursor.ahead(1).is_some_and(|byte| byte.is_ascii_digit()),
        Some(b':') => cursor.moved_to(cursor.at + 1).digits() == 3,
        _ => false,
    };
    let mut nanos = ((hour * 60 + minute) * 60 + second) * NANOS;
    if is_fraction {
        cursor.at += 1;
        nanos += cursor.fraction()?;
    }
    let is_over =
        cursor.is_boundary() || matches!(cursor.peek(), Some(b'Z' | b'z' | b'A' | b'P' | b'a' | b'p'));
    is_over.then_some(nanos)
}

/// Applies ` AM` or ` PM`.
fn half_of_day(cursor: &mut Cursor<'_>, nanos: i64) -> Option<i64> {
    const HALF: i64 = 12 * 3600 * NANOS;
    let mut ahead = *cursor;
    ahead.eat(b' ');
    let is_afternoon = match ahead.next(2) {
        Some(b"AM" | b"am") => false,
        Some(b"PM" | b"pm") => true,
        _ => return Some(nanos),
    };
    ahead.at += 2;
    if !ahead.is_boundary() {
        return Some(nanos);
    }
    *cursor = ahead;
    if nanos >= HALF + HALF / 12 {
        return None;
    }
    Some(nanos % HALF + if is_afternoon { HALF } else { 0 })
}

/// Seconds ahead of UTC: `Z`, `+01:00`, `+0100`, `+01`, ` UTC`, ` CET`; takes nothing when there is none.
fn zone(cursor: &mut Cursor<'_>) -> Option<i64> {
    let mut ahead = *cursor;
    if ahead.one_of(b"Zz").is_some() {
        return ahead.is_boundary().then(|| {
            *cursor = ahead;
            0
        });
    }
    let is_apart = ahead.eat(b' ');
    let offset = match ahead.one_of(b"+-") {
        Some(sign) => numeric_zone(&mut ahead, is_apart)? * if sign == b'-' { -1 } else { 1 },
        None => named_zone(&mut ahead)?,
    };
    ahead.is_boundary().then(|| {
        *cursor = ahead;
        offset
    })
}

fn numeric_zone(cursor: &mut Cursor<'_>, is_apart: bool) -> Option<i64> {
    let (hours, minutes) = match (cursor.digits(), cursor.ahead(2)) {
        (4, _) => (cursor.number(2)?, cursor.number(2)?),
        (2, Some(b':')) => {
            let hours = cursor.number(2)?;
            cursor.at += 1;
            (hours, cursor.number(2)?)
        }
        // Behind a blank this is as likely the next column.
        (2, _) if !is_apart => (cursor.number(2)?, 0),
        _ => return None,
    };
    (hours <= 15 && minutes < 60).then_some(hours * 3600 + minutes * 60)
}

/// The zones that are named the same everywhere, in hours.
fn named_zone(cursor: &mut Cursor<'_>) -> Option<i64> {
    let rest = cursor.next(4).or_else(|| cursor.next(3))?;
    let length = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let hours = match rest.get(..length)? {
        b"UTC" | b"GMT" | b"WET" => 0,
        b"CET" | b"BST" | b"WEST" => 1,
        b"CEST" | b"EET" => 2,
        b"EEST" | b"MSK" => 3,
        b"JST" => 9,
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => return None,
    };
    cursor.at += length;
    Some(hours * 3600)
}

/// `@4000000050c1f2b30a1b2c3d`, as multilog writes it: 2^62 and ten seconds ahead of 1970.
fn tai64n(mut cursor: Cursor<'_>) -> Option<Reading> {
    const ORIGIN: u64 = (1 << 62) + 10;
    cursor.at += 1;
    let digits = std::str::from_utf8(cursor.next(24)?).ok()?;
    let (seconds, nanos) = digits.split_at_checked(16)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let seconds = i64::try_from(u64::from_str_radix(seconds, 16).ok()?.checked_sub(ORIGIN)?).ok()?;
    let nanos = i64::from_str_radix(nanos, 16).ok().filter(|nanos| *nanos < NANOS)?;
    let when = When::Exact(seconds.checked_mul(NANOS)?.checked_add(nanos)?);
    Some(Reading { when, end: cursor.at + 24 })
}
