//! Payment card numbers: 13 to 19 digits, perhaps in groups, with a right check digit.

use super::{Hit, pattern::CARD};

const SHORTEST: usize = 13;
const LONGEST: usize = 19;

/// Finds card numbers. Nanosecond times (19 digits beginning with 1) are not taken for one.
pub fn find(text: &str) -> Vec<Hit> {
    let digits = digits_in_groups(text);
    let mut hits = Vec::new();
    let mut at = 0;
    while let Some(rest) = digits.get(at..)
        && !rest.is_empty()
    {
        match card_at(rest) {
            Some(len) => {
                if let (Some(first), Some(last)) = (rest.first(), rest.get(len - 1)) {
                    hits.push(Hit { range: first.at..last.at + 1, mask: CARD });
                }
                at += len;
            }
            None => at += 1,
        }
    }
    hits
}

struct Digit {
    at: usize,
    value: u32,
    /// No digit stands directly before it.
    starts: bool,
    /// No digit stands directly after it.
    ends: bool,
    /// At most one space or dash lies between it and the digit before.
    joined: bool,
}

fn digits_in_groups(text: &str) -> Vec<Digit> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let mut digits: Vec<Digit> = Vec::new();
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        let joined = digits.last().is_some_and(|last| match at - last.at {
            1 => true,
            2 => matches!(bytes.get(at - 1), Some(b' ' | b'-')),
            _ => false,
        });
        digits.push(Digit {
            at,
            value: u32::from(byte - b'0'),
            starts: !is_digit(at.checked_sub(1)),
            ends: !is_digit(Some(at + 1)),
            joined,
        });
    }
    digits
}

/// How many digits from here on are a card number.
fn card_at(digits: &[Digit]) -> Option<usize> {
    digits.first().filter(|first| first.starts && (2..=6).contains(&first.value))?;
    let run = 1 + digits.iter().skip(1).take(LONGEST).take_while(|digit| digit.joined).count();
    (SHORTEST..=run.min(LONGEST)).rev().find(|len| {
        digits.get(..*len).is_some_and(|number| number.last().is_some_and(|last| last.ends) && luhn(number))
    })
}

fn luhn(number: &[Digit]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2 == 1, digit.value * 2) {
            (true, doubled) if doubled > 9 => doubled - 9,
            (true, doubled) => doubled,
            (false, _) => digit.value,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = find(text).into_iter().map(|hit| text.get(hit.range).unwrap()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn valid_numbers_are_found_in_any_grouping() {
        check("card 4111111111111111 declined", &["4111111111111111"]);
        check("card 4111 1111 1111 1111 22", &["4111 1111 1111 1111"]);
        check("a 3782-822463-10005.", &["3782-822463-10005"]);
    }

    #[test]
    fn other_long_numbers_stay() {
        check("4111111111111112", &[]);
        check("ts 1795225868847251727", &[]);
        check("id 99941111111111111111", &[]);
    }
}
