//! What a word is: ordinary text, a name that varies, or a value of a known kind. No regular expressions.

use super::{
    class::{self, AT, DIGIT, DOT, Kind, NOT_UPPER, SIGN, SLASH, WORD},
    number::number_like,
};

/// What a word turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    Weak,
    Upper,
    Fixed,
    Value(Kind),
    /// A constant beginning of the given length, then a value (`blk_123`).
    Prefixed(usize, Kind),
}

/// Words longer than this are values: nobody writes such words into a message.
const WORD_MAX: usize = 80;

/// Judges a word. `seen` is the union of its bytes' classes, `seen_behind` also has those of the full stops and
/// other marks that were taken off its end.
pub(super) fn classify(word: &[u8], seen: u16, seen_behind: u16) -> Class {
    if seen & WORD == DIGIT {
        return Class::Value(Kind::Number);
    }
    if seen_behind & (DIGIT | DOT | SLASH | AT) == 0 && word.len() <= WORD_MAX {
        return plain(word, seen);
    }
    if seen & SLASH != 0 {
        return with_slash(word, seen);
    }
    if seen & AT != 0 && seen_behind & DOT != 0 && word.first() != Some(&b'@') {
        return Class::Value(Kind::Email);
    }
    if seen & DIGIT != 0 {
        return with_digit(word, seen, seen_behind);
    }
    if word.len() > WORD_MAX {
        return Class::Value(Kind::Id);
    }
    if seen & DOT != 0 { Class::Weak } else { plain(word, seen) }
}

fn plain(word: &[u8], seen: u16) -> Class {
    match word.len() {
        3 if is_calendar(word) => Class::Value(Kind::Date),
        2..=12 if is_fixed(word) => Class::Fixed,
        2.. if seen & NOT_UPPER == 0 => Class::Upper,
        _ => Class::Plain,
    }
}

/// `Mon`, `Jan` and their like; only the way dates are written.
fn is_calendar(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_uppercase)
        && matches!(
            word,
            b"Jan"
                | b"Feb"
                | b"Mar"
                | b"Apr"
                | b"May"
                | b"Jun"
                | b"Jul"
                | b"Aug"
                | b"Sep"
                | b"Oct"
                | b"Nov"
                | b"Dec"
                | b"Mon"
                | b"Tue"
                | b"Wed"
                | b"Thu"
                | b"Fri"
                | b"Sat"
                | b"Sun"
        )
}

/// Words that tell two events apart however alike the rest is.
fn is_fixed(word: &[u8]) -> bool {
    let words: &[&[u8]] = match (word.len(), word.first().map_or(0, u8::to_ascii_lowercase)) {
        (2, b'u') => &[b"up"],
        (3, b'n') => &[b"not"],
        (4, b'd') => &[b"down"],
        (4, b'i') => &[b"info"],
        (4, b'w') => &[b"warn"],
        (5, b'd') => &[b"debug"],
        (5, b'e') => &[b"error"],
        (5, b'f') => &[b"fatal"],
        (5, b'p') => &[b"panic"],
        (5, b't') => &[b"trace"],
        (6, b'c') => &[b"closed"],
        (6, b'd') => &[b"denied"],
        (6, b'f') => &[b"failed"],
        (6, b'n') => &[b"notice"],
        (6, b'o') => &[b"opened"],
        (7, b'e') => &[b"enabled"],
        (7, b's') => &[b"started", b"stopped"],
        (7, b'w') => &[b"warning"],
        (8, b'a') => &[b"accepted"],
        (8, b'c') => &[b"critical"],
        (8, b'd') => &[b"disabled"],
        (8, b'r') => &[b"rejected"],
        (9, b's') => &[b"succeeded"],
        _ => return false,
    };
    words.iter().any(|fixed| fixed.eq_ignore_ascii_case(word))
}

fn with_slash(word: &[u8], seen: u16) -> Class {
    if seen & DIGIT != 0
        && let Some(kind) = number_like(word, seen)
    {
        return Class::Value(kind);
    }
    match word.first() {
        Some(b'/' | b'~') if word.len() > 1 => Class::Value(Kind::Path),
        _ if word.len() > WORD_MAX || slashes(word) > 1 => Class::Value(Kind::Path),
        _ if seen & DIGIT != 0 => Class::Value(Kind::Id),
        _ => Class::Weak,
    }
}

fn slashes(word: &[u8]) -> usize {
    word.iter().filter(|byte| class::of(**byte) & SLASH != 0).count()
}

fn with_digit(word: &[u8], seen: u16, seen_behind: u16) -> Class {
    if let Some(kind) = number_like(word, seen) {
        return Class::Value(kind);
    }
    if seen_behind & DOT == 0
        && seen & SIGN != 0
        && let Some(length) = prefix(word)
    {
        let rest = word.get(length..).unwrap_or_default();
        return Class::Prefixed(length, number_like(rest, class::union(rest)).unwrap_or(Kind::Id));
    }
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    let starts_alpha = word.first().is_some_and(u8::is_ascii_alphabetic);
    if starts_alpha && digits <= 2 && word.len() <= 24 && word.len() >= digits + 2 && seen_behind & DOT == 0 {
        return Class::Weak;
    }
    Class::Value(Kind::Id)
}

/// The constant beginning of `blk_-12`, `req-3f…`, `worker-7`: letters up to the last `_` or `-` before a digit.
fn prefix(word: &[u8]) -> Option<usize> {
    let digit = word.iter().position(u8::is_ascii_digit)?;
    let mut length = 1 + word.get(..digit)?.iter().rposition(|b| matches!(b, b'_' | b'-' | b'#'))?;
    while length > 1 && matches!(word.get(length - 2), Some(b'_' | b'-')) {
        length -= 1;
    }
    let head = word.get(..length)?;
    let letters = head.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let signs = head.iter().filter(|b| matches!(b, b'_' | b'-' | b'#')).count();
    (letters >= 2 && letters + signs == length && head.first()?.is_ascii_alphabetic()).then_some(length)
}
