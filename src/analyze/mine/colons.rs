//! Values that hold colons, and the kind of quoted text.

use super::{
    class::{self, ALNUM, Kind, SPACE, WORD, of},
    judge::{Class, classify},
    number::is_date,
};

/// A value that holds colons.
pub(super) struct Composite {
    pub(super) kind: Kind,
    pub(super) end: usize,
}

/// Reads `12:30:05`, MAC and IPv6 addresses and URLs, whose first word is `text[start..end]`.
pub(super) fn with_colons(text: &[u8], start: usize, end: usize) -> Option<Composite> {
    let word = text.get(start..end)?;
    if text.get(end + 1..end + 3) == Some(b"//") {
        let is_scheme = word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        return is_scheme.then(|| Composite { kind: Kind::Url, end: url_end(text, end) });
    }
    if is_date(word) && word.contains(&b'T') {
        let rest = text.get(end..).unwrap_or_default();
        let length =
            rest.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b'Z'));
        return Some(Composite { kind: Kind::Time, end: end + length.count() });
    }
    if word.len() > 4 || !word.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let run = text.get(start..text.len().min(start + 64))?;
    let length = run.iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let run = run.get(..length)?;
    let run = run.strip_suffix(b".").unwrap_or(run);
    let run = if run.ends_with(b"::") { run } else { run.strip_suffix(b":").unwrap_or(run) };
    let after = text.get(start + run.len());
    let colons = run.iter().filter(|b| **b == b':').count();
    if colons < 2 || after.is_some_and(|b| of(*b) & ALNUM != 0) || !run.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let kind = match colons {
        2 if !run.starts_with(b":") && run.iter().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.')) => {
            Kind::Time
        }
        5 if run.len() == 17 => Kind::Hex,
        _ => Kind::Ip,
    };
    let end = start + run.len();
    Some(Composite { kind, end: if kind == Kind::Time { with_fraction(text, end) } else { end } })
}

/// The end of a time written with a decimal comma (`12:30:05,123`).
fn with_fraction(text: &[u8], end: usize) -> usize {
    let Some(rest) = text.get(end..).and_then(|rest| rest.strip_prefix(b",")) else { return end };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if (1..=9).contains(&digits) { end + 1 + digits } else { end }
}

/// The kind of the quoted text `text[start..end]`: that of its only word, or text.
pub(super) fn of_quoted(text: &[u8], start: usize, end: usize) -> Kind {
    let content = text.get(start..end).unwrap_or_default();
    let first = content.iter().take_while(|b| of(**b) & WORD != 0).count();
    if first == content.len() {
        let seen = class::union(content);
        return match classify(content, seen, seen) {
            Class::Value(kind) if seen & ALNUM != 0 => kind,
            _ => Kind::Text,
        };
    }
    match with_colons(text, start, start + first) {
        Some(composite) if content.get(first) == Some(&b':') && composite.end == end => composite.kind,
        _ => Kind::Text,
    }
}

/// Reads an IPv6 address that starts with colons (`::1`).
pub(super) fn leading_colons(text: &[u8], at: usize) -> Option<Composite> {
    let before = at.checked_sub(1).and_then(|i| text.get(i)).copied().unwrap_or(b' ');
    let is_start = text.get(at + 1) == Some(&b':') && text.get(at + 2).is_some_and(u8::is_ascii_hexdigit);
    (is_start && of(before) & WORD == 0).then(|| with_colons(text, at, at)).flatten()
}

fn url_end(text: &[u8], from: usize) -> usize {
    let is_end = |b: &u8| of(*b) & SPACE != 0 || matches!(b, b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b',');
    let length = text.get(from..).unwrap_or_default().iter().take_while(|b| !is_end(b)).count();
    from + length
}
