//! Words that start like a number or are hexadecimal throughout: numbers, addresses, dates, ids.

use super::class::{self, AT, BEYOND_HEX, DIGIT, DOT, Kind, SIGN, SLASH, WORD};

/// The kind of a word that starts like a number, or is hexadecimal throughout; `seen` is the union of its classes.
pub(super) fn number_like(word: &[u8], seen: u16) -> Option<Kind> {
    if word.len() == 36 && is_uuid(word) {
        return Some(Kind::Uuid);
    }
    let (unsigned, seen_unsigned) = match word.first()? {
        b'0'..=b'9' => (word, seen),
        b'+' | b'-' | b'#' | b'v' => {
            let unsigned = without_sign(word);
            (unsigned, class::union(unsigned))
        }
        _ => return is_hex_word(word, seen).then_some(Kind::Hex),
    };
    if !unsigned.first().is_some_and(u8::is_ascii_digit) {
        return is_hex_word(word, seen).then_some(Kind::Hex);
    }
    if seen_unsigned & WORD == DIGIT {
        return Some(Kind::Number);
    }
    if let [b'0', b'x' | b'X', hex @ ..] = word
        && !hex.is_empty()
        && hex.iter().all(u8::is_ascii_hexdigit)
    {
        return Some(Kind::Hex);
    }
    if seen_unsigned & DOT != 0 && is_ipv4(unsigned) {
        return Some(Kind::Ip);
    }
    if seen_unsigned & (SIGN | SLASH) != 0 && is_date(unsigned) {
        return Some(Kind::Date);
    }
    with_unit(unsigned, seen_unsigned)
}

fn without_sign(word: &[u8]) -> &[u8] {
    let rest = word.strip_prefix(b"-").or(word.strip_prefix(b"+")).unwrap_or(word);
    rest.strip_prefix(b"#").or(rest.strip_prefix(b"v")).unwrap_or(rest)
}

/// The kind of a word that starts with a digit and is no address and no date.
fn with_unit(word: &[u8], seen: u16) -> Option<Kind> {
    let plain = word.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    match word.len() - plain {
        0 => Some(Kind::Number),
        1..=5 if word.get(plain..).is_some_and(is_unit) => Some(Kind::Quantity),
        _ if is_hex_word(word, seen) => Some(Kind::Hex),
        _ if word.contains(&b'/') => None,
        _ => Some(Kind::Id),
    }
}

fn is_unit(tail: &[u8]) -> bool {
    tail.iter().all(|b| b.is_ascii_alphabetic() || *b == b'%' || !b.is_ascii() || *b == b'/')
}

fn is_hex_word(word: &[u8], seen: u16) -> bool {
    word.len() >= 6 && seen & (BEYOND_HEX | DOT | SLASH | AT | SIGN) == 0 && seen & DIGIT != 0
}

fn is_uuid(word: &[u8]) -> bool {
    word.iter().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    })
}

fn is_ipv4(word: &[u8]) -> bool {
    let address = word.split(|b| *b == b'/').next().unwrap_or_default();
    let mut parts = 0;
    address.split(|b| *b == b'.').all(|part| {
        parts += 1;
        (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit)
    }) && parts == 4
}

/// `2026-11-21`, `2026/11/21`, `21/Nov/2026`, `2026-11-21T10:…` (up to the colon).
pub(super) fn is_date(word: &[u8]) -> bool {
    let sign = |i: usize| word.get(i).is_some_and(|b| matches!(b, b'-' | b'/'));
    let digits =
        |from: usize, to: usize| word.get(from..to).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    (sign(4) && sign(7) && digits(0, 4) && digits(5, 7) && digits(8, 10))
        || (sign(2) && sign(6) && digits(0, 2) && digits(7, 11))
}
