//! What a variable position is called, guessed from the words before it, and what its numbers are.

use super::quantity::{self, Unit};
use crate::analyze::mine::Kind;

/// A name is cut to this many bytes.
const MAX_NAME: usize = 32;
/// How far before a value its name is looked for.
const MAX_BEFORE: usize = 64;

/// What the numbers at a position are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Quantities: durations, sizes, shares. Unusual when far above or below all known.
    Measure = 0,
    /// Plain numbers: unusual when far above all known.
    Count = 1,
    /// Names written as numbers: unusual when new.
    Code = 2,
    /// HTTP status codes: the same, and the class counts more than the code.
    Status = 3,
    /// Process ids, sequence numbers, ephemeral ports: never unusual.
    Serial = 4,
}

impl Nature {
    pub(super) fn of_code(code: u8) -> Option<Nature> {
        use Nature::{Code, Count, Measure, Serial, Status};
        [Measure, Count, Code, Status, Serial].into_iter().find(|nature| *nature as u8 == code)
    }
}

/// A position as its first value shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name, for people.
    pub(super) name: Box<str>,
    pub(super) nature: Nature,
    /// The unit that stands behind it as a word of its own.
    pub(super) unit: Unit,
}

/// Names the position of a value from the message around it.
pub(super) fn guess(message: &str, start: usize, end: usize, kind: Kind) -> Field {
    let text = message.get(start..end).unwrap_or("");
    let before =
        message.get(message.ceil_char_boundary(start.saturating_sub(MAX_BEFORE))..start).unwrap_or("");
    let after = message.get(end..).unwrap_or("");
    let unit = unit_behind(after);
    let word = last_word(before);
    let has_unit = unit != Unit::Plain || matches!(kind, Kind::Quantity) || text.contains('.');
    let nature = match kind {
        Kind::Number | Kind::Quantity | Kind::Id | Kind::Text => nature(before, word, text, has_unit),
        _ => Nature::Count,
    };
    let name = match kind {
        _ if nature == Nature::Status => "status",
        Kind::Ip if !is_name(word) => "address",
        Kind::Number | Kind::Quantity if !is_name(word) => match quantity::parse(text).map(|q| q.unit) {
            Some(Unit::Time) => "duration",
            Some(Unit::Bytes) => "size",
            _ if unit == Unit::Time => "duration",
            _ if unit == Unit::Bytes => "size",
            _ => word,
        },
        Kind::Path if before.ends_with('"') || word.is_empty() => "path",
        _ => word,
    };
    let name = if name.is_empty() { "value" } else { name };
    Field { name: name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(name).into(), nature, unit }
}

fn unit_behind(after: &str) -> Unit {
    let Some(rest) = after.strip_prefix(' ') else { return Unit::Plain };
    let end = rest.find(|c: char| !c.is_alphabetic() && c != '%').unwrap_or(rest.len().min(12));
    match rest.get(..end) {
        Some("seconds" | "second") => Unit::Time,
        Some("milliseconds" | "millis" | "microseconds") => Unit::Time,
        // One letter behind a number is as often an abbreviation of something else.
        Some(word) if word.len() > 1 || word == "s" || word == "%" => quantity::unit_word(word),
        _ => Unit::Plain,
    }
}

/// The last word of `before`, signs such as `="[` left aside.
fn last_word(before: &str) -> &str {
    let before = before.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '>');
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'))
        .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    before.get(start..).unwrap_or("").trim_matches(['.', '-'])
}

/// Whether a word can be the name of a field rather than a joint of the sentence.
fn is_name(word: &str) -> bool {
    !word.is_empty()
        && !is_any(
            word,
            &[
                "a", "after", "an", "and", "at", "by", "for", "from", "in", "into", "is", "of", "on", "than",
                "the", "to", "took", "was", "with",
            ],
        )
}

fn nature(before: &str, word: &str, text: &str, has_unit: bool) -> Nature {
    const SERIAL: [&str; 14] = [
        "id", "ids", "inode", "offset", "pid", "ppid", "seq", "sequence", "serial", "spt", "sport", "thread",
        "tid", "txid",
    ];
    const CODE: [&str; 24] = [
        "code", "cpu", "dport", "dpt", "egid", "errno", "error", "euid", "exit", "gid", "level", "priority",
        "proto", "rc", "ret", "schema", "sig", "signal", "uid", "auid", "ver", "version", "vlan", "result",
    ];
    let is_code = text.len() == 3 && matches!(text.as_bytes().first(), Some(b'1'..=b'5'));
    if is_code && (before.ends_with("\" ") || is_any(word, &["status", "status_code", "http_status"])) {
        return Nature::Status;
    }
    let last = word.rsplit(['_', '-', '.']).next().unwrap_or(word);
    // `sshd[123]`, `order #17`, `203.0.113.5:40022`.
    let is_bracketed = before.strip_suffix('[').is_some_and(|name| name.ends_with(char::is_alphanumeric));
    let is_port =
        before.strip_suffix(':').is_some_and(|name| name.ends_with(|c: char| c.is_ascii_digit() || c == ']'));
    if is_bracketed || is_port || before.ends_with('#') || is_any(last, &SERIAL) {
        return Nature::Serial;
    }
    if is_any(last, &["port", "ports"]) {
        return Nature::Code;
    }
    if has_unit {
        return Nature::Measure;
    }
    if last == "status" || is_any(last, &CODE) {
        return Nature::Code;
    }
    const MEASURE: [&str; 16] = [
        "bytes", "duration", "elapsed", "latency", "len", "length", "memory", "ms", "rss", "rt", "secs",
        "seconds", "size", "time", "took", "usec",
    ];
    if is_any(last, &MEASURE) { Nature::Measure } else { Nature::Count }
}

fn is_any(word: &str, names: &[&str]) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str, value: &str, kind: Kind) -> (String, Nature) {
        let start = message.find(value).unwrap();
        let field = guess(message, start, start + value.len(), kind);
        (field.name.into(), field.nature)
    }

    #[test]
    fn a_position_is_named_by_the_word_before_it() {
        for (message, value, kind, name, nature) in [
            ("login user=anna ok", "anna", Kind::Word, "user", Nature::Count),
            (r#"{"user": "anna"}"#, "anna", Kind::Text, "user", Nature::Count),
            ("Accepted from 203.0.113.5 port 4022", "203.0.113.5", Kind::Ip, "address", Nature::Count),
            ("Accepted from 203.0.113.5 port 4022", "4022", Kind::Number, "port", Nature::Code),
            ("sshd[811]: closed", "811", Kind::Number, "sshd", Nature::Serial),
            ("closed pid=811", "811", Kind::Number, "pid", Nature::Serial),
            ("client 10.0.0.1:40022 gone", "40022", Kind::Number, "10.0.0.1", Nature::Serial),
            (r#""GET / HTTP/1.1" 502 17"#, "502", Kind::Number, "status", Nature::Status),
            ("upstream status=204", "204", Kind::Number, "status", Nature::Status),
            ("request took 12ms", "12ms", Kind::Quantity, "duration", Nature::Measure),
            ("request took 12 ms", "12", Kind::Number, "duration", Nature::Measure),
            ("queue depth 12", "12", Kind::Number, "depth", Nature::Count),
            ("cache_size=12", "12", Kind::Number, "cache_size", Nature::Measure),
            ("exit code 12", "12", Kind::Number, "code", Nature::Code),
            ("12 things", "12", Kind::Number, "value", Nature::Count),
        ] {
            assert_eq!(of(message, value, kind), (name.to_owned(), nature), "{message}");
        }
    }
}
