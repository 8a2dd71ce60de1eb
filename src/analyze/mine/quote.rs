//! Quoted text: where it ends, and whether it is a value or part of the sentence.

/// Quoted text longer than this is read as if the sign were no quotation mark.
const QUOTED_MAX: usize = 1024;

/// What a quoted text is to the line.
pub(super) enum Meaning {
    /// A value as a whole.
    Value,
    /// Part of the sentence: to be split into words.
    Text,
    /// A word that must stay as it is.
    Fixed,
    /// An HTTP request line; the length of its method.
    Request(usize),
}

/// The closing sign of the text that the `"` at `open` starts.
pub(super) fn double(text: &[u8], open: usize) -> Option<usize> {
    let rest = text.get(open + 1..text.len().min(open + 1 + QUOTED_MAX))?;
    let mut from = 0;
    loop {
        let found = from + memchr::memchr(b'"', rest.get(from..)?)?;
        let escapes = rest.get(..found)?.iter().rev().take_while(|b| **b == b'\\').count();
        if escapes % 2 == 0 {
            return Some(open + 1 + found);
        }
        from = found + 1;
    }
}

/// The closing sign of the text that the `'` at `open` starts; an apostrophe starts none.
pub(super) fn single(text: &[u8], open: usize) -> Option<usize> {
    let before = open.checked_sub(1).and_then(|i| text.get(i));
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'\'') {
        return None;
    }
    let rest = text.get(open + 1..text.len().min(open + 1 + QUOTED_MAX))?;
    let found = memchr::memchr(b'\'', rest)?;
    let after = rest.get(found + 1);
    (!after.is_some_and(u8::is_ascii_alphanumeric)).then_some(open + 1 + found)
}

/// Judges the quoted `content` that follows `key` (empty if none).
pub(super) fn meaning(key: &[u8], content: &[u8]) -> Meaning {
    if is_any(key, &[b"level", b"severity", b"lvl", b"loglevel", b"log.level", b"levelname"]) {
        return if content.is_empty() { Meaning::Value } else { Meaning::Fixed };
    }
    if is_any(key, &[b"msg", b"message", b"event", b"error", b"err", b"log", b"text", b"reason"]) {
        return Meaning::Text;
    }
    match content.iter().position(|b| *b == b' ') {
        Some(length) if content.get(..length).is_some_and(is_method) => Meaning::Request(length),
        _ => Meaning::Value,
    }
}

fn is_any(key: &[u8], names: &[&[u8]]) -> bool {
    !key.is_empty() && names.iter().any(|name| name.eq_ignore_ascii_case(key))
}

fn is_method(word: &[u8]) -> bool {
    matches!(
        word,
        b"GET" | b"POST" | b"PUT" | b"HEAD" | b"DELETE" | b"PATCH" | b"OPTIONS" | b"CONNECT" | b"TRACE"
    )
}
