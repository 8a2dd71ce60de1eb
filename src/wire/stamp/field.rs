//! The time as a named field: JSON objects and logfmt lines.

use super::{
    cursor::Cursor,
    form::{self, Reading},
};

/// How much of a line is searched for a time field. Docker writes it behind the message.
const SEARCHED: usize = 64 << 10;
/// How much of a logfmt line is searched.
const LOGFMT_SEARCHED: usize = 512;

/// The value of the first time field of the object that opens at `start`.
pub(super) fn json(bytes: &[u8], start: usize) -> Option<(usize, Reading)> {
    let bytes = bytes.get(..start + SEARCHED).unwrap_or(bytes);
    let mut at = start + 1;
    let mut depth = 1_usize;
    let mut found = None;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let close = closing_quote(bytes, at)?;
                let mut value = Cursor::new(bytes, close + 1);
                value.blanks();
                let is_key = depth == 1 && value.eat(b':');
                if is_key && let Some(rank) = bytes.get(at + 1..close).and_then(rank) {
                    value.blanks();
                    found = better(found, rank, json_value(value));
                    if rank == 0 && found.is_some() {
                        break;
                    }
                }
                at = close;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found.map(|(_, at, reading)| (at, reading))
}

type Found = Option<(u8, usize, Reading)>;

fn better(found: Found, rank: u8, other: Option<(usize, Reading)>) -> Found {
    match (found, other) {
        (Some(found), Some((at, reading))) if rank < found.0 => Some((rank, at, reading)),
        (None, Some((at, reading))) => Some((rank, at, reading)),
        (found, _) => found,
    }
}

/// How surely a field of this name holds the line's time; 0 is best.
fn rank(name: &[u8]) -> Option<u8> {
    let name = name.strip_prefix(b"@").unwrap_or(name);
    let is = |names: &[&str]| names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name));
    if is(&["time", "timestamp", "ts", "__REALTIME_TIMESTAMP"]) {
        return Some(0);
    }
    if is(&["t", "datetime", "eventtime", "event_time", "asctime", "timemillis", "log_time", "time_local"]) {
        return Some(1);
    }
    is(&["date", "time_iso8601", "created", "created_at"]).then_some(2)
}

/// A quoted or bare time, or `{"$date": …}` around one.
fn json_value(mut cursor: Cursor<'_>) -> Option<(usize, Reading)> {
    const WRAPPED: &[u8] = b"{\"$date\":";
    if cursor.next(WRAPPED.len()) == Some(WRAPPED) {
        cursor.at += WRAPPED.len();
        cursor.blanks();
    }
    cursor.eat(b'"');
    Some((cursor.at, form::at(cursor)?))
}

fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut from = open + 1;
    loop {
        let found = from + memchr::memchr(b'"', bytes.get(from..)?)?;
        let escapes = bytes.get(open + 1..found)?.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(found);
        }
        from = found + 1;
    }
}

/// `time=`, `ts=` and their like, outside of quoted values.
pub(super) fn logfmt(bytes: &[u8], start: usize) -> Option<(usize, Reading)> {
    let bytes = bytes.get(..start + LOGFMT_SEARCHED).unwrap_or(bytes);
    let mut at = start;
    while let Some(sign) = memchr::memchr2(b'=', b'"', bytes.get(at..)?).map(|found| at + found) {
        if bytes.get(sign) == Some(&b'"') {
            at = closing_quote(bytes, sign)? + 1;
            continue;
        }
        let before = bytes.get(at..sign)?;
        let name = before.iter().rposition(|byte| matches!(byte, b' ' | b'\t')).map_or(0, |blank| blank + 1);
        if before.get(name..).and_then(rank).is_some() {
            let mut value = Cursor::new(bytes, sign + 1);
            value.eat(b'"');
            if let Some(reading) = form::at(value) {
                return Some((value.at, reading));
            }
        }
        at = sign + 1;
    }
    None
}
