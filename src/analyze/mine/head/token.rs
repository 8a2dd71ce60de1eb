//! What a word at the head of a line may be: a column, a level, a name, or already the message.

use crate::wire::{level::Level, stamp};

/// Longest word that is still a column or a name.
const WORD_MAX: usize = 80;
/// Longest group in brackets.
const GROUP_MAX: usize = 200;

/// A word or bracketed group of the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a [u8],
    pub(super) end: usize,
    pub(super) kind: Kind,
    /// Whether more than one blank, or a tab, stands behind it: a column that is padded.
    pub(super) is_padded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A date or time, also in brackets and with what stands beside it there.
    Stamp,
    /// A level word as loggers write it.
    Level,
    /// A group in brackets: thread, process, request.
    Group,
    /// `-`, `|`, `:` and their like on their own.
    Separator,
    /// Digits only.
    Number,
    /// What columns hold: digits, dots, capitals; no address.
    Column,
    /// `program[12]:` or `file.go:12]`: ends a head wherever it stands.
    Tag,
    /// `name:`.
    Named,
    /// Ordinary text, or anything that starts a message.
    Text,
}

/// The token at `at`, which is no blank.
pub(super) fn at(text: &[u8], at: usize) -> Option<Token<'_>> {
    let first = *text.get(at)?;
    let found = match first {
        b'[' | b'(' | b'<' => bracketed(text, at, first),
        b'0'..=b'9' | b'@' | b'A'..=b'Z' => {
            stamp::end_at(text, at).map(|end| (behind(text, end), Kind::Stamp))
        }
        _ => None,
    };
    let (end, kind) = match found {
        Some(found) => found,
        None => {
            let rest = text.get(at..)?;
            let end = at + rest.iter().position(|byte| is_blank(*byte)).unwrap_or(rest.len());
            (end, word(text.get(at..end)?, text.get(end..end + 2).unwrap_or_default()))
        }
    };
    let gap = text.get(end..)?.iter().take_while(|byte| is_blank(**byte)).count();
    let is_padded = gap > 1 || text.get(end) == Some(&b'\t');
    Some(Token { text: text.get(at..end)?, end, kind, is_padded })
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Takes the comma or colon that some loggers write behind the time.
fn behind(text: &[u8], end: usize) -> usize {
    let is_mark = matches!(text.get(end), Some(b',' | b':' | b';'))
        && text.get(end + 1).is_none_or(|byte| is_blank(*byte));
    end + usize::from(is_mark)
}

/// A group with its brackets: a time, a level, or any other that is not part of the message.
fn bracketed(text: &[u8], at: usize, open: u8) -> Option<(usize, Kind)> {
    let end = closing(text, at, open)?;
    let content = text.get(at + 1..end - 1)?.trim_ascii();
    if stamp::end_at(text, at + 1).is_some_and(|stamp| stamp < end) {
        return Some((end, Kind::Stamp));
    }
    if is_level_name(content) || content.rsplit(|byte| *byte == b':').next().is_some_and(is_level_name) {
        return Some((end, Kind::Level));
    }
    let is_over = text.get(end).is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'[' | b'(' | b':' | b'<'));
    let is_text = content.starts_with(b"client ")
        || content.windows(2).any(|pair| matches!(pair, b": " | b", "))
        || content.iter().any(|byte| matches!(byte, b'"' | b'{'));
    Some((end, if is_over && !is_text && !content.is_empty() { Kind::Group } else { Kind::Text }))
}

/// Behind the bracket that closes the one at `at`.
fn closing(text: &[u8], at: usize, open: u8) -> Option<usize> {
    let close = match open {
        b'[' => b']',
        b'(' => b')',
        _ => b'>',
    };
    let mut depth = 0_usize;
    for (offset, byte) in text.get(at..text.len().min(at + GROUP_MAX))?.iter().enumerate() {
        if *byte == open {
            depth += 1;
        } else if *byte == close {
            depth -= 1;
            if depth == 0 {
                return Some(at + offset + 1);
            }
        }
    }
    None
}

/// Judges a word by its form; `after` are the two bytes behind it.
fn word(word: &[u8], after: &[u8]) -> Kind {
    if word.len() > WORD_MAX {
        return Kind::Text;
    }
    if word.iter().all(|byte| matches!(byte, b'-' | b'|' | b':' | b'*' | b'#' | b'>' | b'.')) {
        return if word.len() <= 3 { Kind::Separator } else { Kind::Text };
    }
    if is_level(word, after) {
        return Kind::Level;
    }
    if matches!(word, [b'A'..=b'Z', b',']) {
        return Kind::Column;
    }
    if word.iter().all(u8::is_ascii_digit) {
        return Kind::Number;
    }
    let is_sentence =
        |byte: &u8| matches!(byte, b'"' | b'\'' | b'=' | b'{' | b'}' | b',' | b';' | b'?' | b'!');
    if word.iter().any(is_sentence) {
        return Kind::Text;
    }
    if is_tag(word) {
        return Kind::Tag;
    }
    if let Some(name) = word.strip_suffix(b":") {
        return if is_name(name) { Kind::Named } else { Kind::Text };
    }
    if is_plain(word) || is_address(word) || word.ends_with(b".") || word.ends_with(b")") {
        return Kind::Text;
    }
    Kind::Column
}

/// `INFO`, `INFO:`; in small letters only where padding or a colon shows that it is a column.
fn is_level(word: &[u8], after: &[u8]) -> bool {
    let name = word.strip_suffix(b":").unwrap_or(word);
    let is_shown = name.len() < word.len() || after == b"  " || after.first() == Some(&b'\t');
    is_level_name(name) && (is_shown || name.iter().all(u8::is_ascii_uppercase))
}

/// Whether `name` is a level in any case.
pub(super) fn is_level_name(name: &[u8]) -> bool {
    const MORE: [&[u8]; 4] = [b"failure", b"note", b"finer", b"config"];
    name.len() >= 3
        && name.iter().all(u8::is_ascii_alphabetic)
        && (Level::from_name(name).is_some() || MORE.iter().any(|more| more.eq_ignore_ascii_case(name)))
}

/// One letter for the level, as Android, klog and MongoDB write it.
pub(super) fn is_level_letter(word: &[u8]) -> bool {
    matches!(word, b"V" | b"D" | b"I" | b"W" | b"E" | b"F" | b"T")
}

/// `program[12]:`, `I/Tag( 12):` without its blank, `controller.go:12]`, `12#34:`.
fn is_tag(word: &[u8]) -> bool {
    if let Some(name) = word.strip_suffix(b"]:")
        && let Some(open) = name.iter().rposition(|byte| *byte == b'[')
    {
        let (program, pid) = (name.get(..open), name.get(open + 1..));
        return program.is_some_and(|program| !program.is_empty())
            && pid.is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit));
    }
    if let Some(place) = word.strip_suffix(b"]") {
        return is_code_line(place);
    }
    word.ends_with(b":")
        && word.contains(&b'#')
        && word.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'#' | b':'))
}

/// `main.go:12`, `server/main.go:12`, `Service.java:12`.
pub(super) fn is_code_line(word: &[u8]) -> bool {
    let Some(colon) = word.iter().rposition(|byte| *byte == b':') else { return false };
    let line = word.get(colon + 1..).unwrap_or_default();
    let file = word.get(..colon).unwrap_or_default();
    !line.is_empty()
        && line.iter().all(u8::is_ascii_digit)
        && file.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && file.iter().any(u8::is_ascii_lowercase)
        && file
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'_' | b'-' | b'$' | b':'))
}

/// The name of a logger, class, module or tag.
pub(super) fn is_name(word: &[u8]) -> bool {
    let is_part = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'.' | b'$' | b'_' | b'-' | b'/' | b'@' | b'#' | b':' | b'<' | b'>' | b'(' | b')')
    };
    word.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'/'))
        && word.iter().all(is_part)
        && !is_failure(word)
}

/// `IOException`, `java.lang.Error`: starts what is said, not who says it.
fn is_failure(word: &[u8]) -> bool {
    if word.rsplit(|byte| *byte == b'.').next().is_some_and(|end| end.len() < word.len() && end == b"ERROR") {
        return false; // a channel and its level: `app.ERROR`
    }
    [b"exception".as_slice(), b"error", b"failure", b"failed"].iter().any(|end| {
        let tail = word.len().checked_sub(end.len()).and_then(|from| word.get(from..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    })
}

/// A name no sentence starts with: dots, capitals within, digits or signs.
pub(super) fn is_technical(name: &[u8]) -> bool {
    let capitals = name.iter().skip(1).filter(|byte| byte.is_ascii_uppercase()).count();
    let has_sign = name.iter().any(|byte| matches!(byte, b'.' | b'$' | b'_' | b'/' | b'#' | b':'));
    has_sign || capitals > 0 && name.iter().any(u8::is_ascii_lowercase)
}

/// `a.b.c`: at least three parts, each starting with a letter.
pub(super) fn is_dotted(word: &[u8]) -> bool {
    let mut parts = 0;
    is_name(word)
        && word.split(|byte| *byte == b'.').all(|part| {
            parts += 1;
            part.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        })
        && parts >= 3
}

/// Whether there are letters only.
pub(super) fn is_letters(word: &[u8]) -> bool {
    word.iter().all(u8::is_ascii_alphabetic)
}

fn is_plain(word: &[u8]) -> bool {
    word.len() < 2
        || word.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80)
            && word.iter().any(|b| !b.is_ascii_uppercase())
}

/// An IPv4 address, also with port or mask, or a URL.
fn is_address(word: &[u8]) -> bool {
    let dots = word
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
        .filter(|b| **b == b'.')
        .count();
    dots >= 3 || word.windows(3).any(|sign| sign == b"://")
}
