//! The time at the head of a log line, in the formats programs write it.
//!
//! In: a line and a time near which it was written (its arrival, its file's last change). Out: the time the line
//! names, and where it stands. A date without a year is the last one that is at most a month ahead of the reference, a
//! time without a date the one nearest to it; a time without a zone is UTC. Never panics, never searches further than the head.

mod civil;
mod cursor;
mod field;
mod form;

use self::{cursor::Cursor, form::Reading};
use crate::model::Timestamp;

/// Words before the time that are looked at: columns such as a level, a file's name, a process.
const WORDS_BEFORE: usize = 5;
/// Where the time's head must begin at the latest, in bytes.
const HEAD_BYTES: usize = 256;

/// A time and where it stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time it names.
    pub time: Timestamp,
    /// Where it starts, in bytes.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

/// The time at the head of a line.
pub fn read(line: &str, reference: Timestamp) -> Option<Timestamp> {
    find(line, reference).map(|stamp| stamp.time)
}

/// The time at the head of a line, and where it stands.
pub fn find(line: &str, reference: Timestamp) -> Option<Stamp> {
    let bytes = line.as_bytes();
    let start = behind_priority(bytes);
    let (start, reading) = if bytes.get(start) == Some(&b'{') {
        field::json(bytes, start)?
    } else {
        columns(bytes, start).or_else(|| bracketed(bytes, start)).or_else(|| audit(bytes, start))?
    };
    Some(Stamp { time: reading.when.near(reference)?, start, end: reading.end })
}

/// Where the date or time that starts exactly at `at` ends; for those who take heads apart.
pub fn end_at(line: &[u8], at: usize) -> Option<usize> {
    form::date_or_time(Cursor::new(line, at)).map(|reading| reading.end)
}

/// Skips blanks, a byte order mark, `<PRI>` and the version that RFC 5424 writes behind it.
fn behind_priority(bytes: &[u8]) -> usize {
    let bom = if bytes.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    let mut cursor = Cursor::new(bytes, bom);
    cursor.blanks();
    let start = cursor.at;
    if cursor.eat(b'<') {
        let digits = cursor.digits();
        cursor.at += digits;
        if (1..=3).contains(&digits) && cursor.eat(b'>') {
            if cursor.peek() == Some(b'1') && cursor.ahead(1) == Some(b' ') {
                cursor.at += 2;
            }
            return cursor.at;
        }
    }
    start
}

/// Tries each of the first words, as long as those before look like columns and not like a sentence.
fn columns(bytes: &[u8], start: usize) -> Option<(usize, Reading)> {
    let mut at = start;
    for word in 0..WORDS_BEFORE {
        if let Some(reading) = form::at(Cursor::new(bytes, at))
            && reading.when.is_sure(word)
        {
            return Some((at, reading));
        }
        let text = word_at(bytes, at)?;
        if text.contains(&b'=') {
            return field::logfmt(bytes, at);
        }
        if !is_column(text) {
            return None;
        }
        let mut cursor = Cursor::new(bytes, at + text.len());
        cursor.blanks();
        at = cursor.at;
        if at - start > HEAD_BYTES {
            return None;
        }
    }
    None
}

fn word_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..bytes.len().min(at + HEAD_BYTES))?;
    let length = rest.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    rest.get(..length).filter(|word| !word.is_empty())
}

/// Whether a word may stand in a column before the time. Ordinary words may not: they start a sentence, and a time
/// within a sentence is not the line's own.
fn is_column(word: &[u8]) -> bool {
    let letters = word.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let is_upper = !word.iter().any(u8::is_ascii_lowercase);
    is_upper || letters < word.trim_ascii_end().len() && !ends_like_prose(word) || is_level(word)
}

fn ends_like_prose(word: &[u8]) -> bool {
    let plain = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    plain + 1 == word.len()
        && matches!(word.last(), Some(b':' | b',' | b'.' | b'!' | b';'))
        && !is_level(word)
}

fn is_level(word: &[u8]) -> bool {
    let name = word.strip_suffix(b":").unwrap_or(word);
    super::level::Level::from_name(name).is_some()
}

/// `[21/Nov/2026:03:04:05 +0000]`, wherever within the head it stands.
fn bracketed(bytes: &[u8], start: usize) -> Option<(usize, Reading)> {
    const TRIES: usize = 8;
    let head = bytes.get(start..bytes.len().min(start + HEAD_BYTES))?;
    memchr::memchr_iter(b'[', head).take(TRIES).find_map(|open| {
        let at = start + open + 1;
        let reading = form::common_log(Cursor::new(bytes, at))?;
        Some((at, reading))
    })
}

/// `audit(1795230245.123:456):` of the kernel's audit log.
fn audit(bytes: &[u8], start: usize) -> Option<(usize, Reading)> {
    const MARK: &[u8] = b"audit(";
    let head = bytes.get(start..bytes.len().min(start + HEAD_BYTES))?;
    let at = start + head.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    Some((at, form::epoch(Cursor::new(bytes, at))?))
}

#[cfg(test)]
mod tests;
