//! Numbers with their units: `15ms`, `4GiB`, `80%`, `1m2.5s` become a number in a base unit, and read well again.

use super::codec::{Reader, Writer};

/// What a number counts; its base unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unit {
    /// No unit, or one that nobody knows here.
    #[default]
    Plain = 0,
    /// Milliseconds.
    Time = 1,
    /// Bytes.
    Bytes = 2,
    /// Percent.
    Percent = 3,
}

/// A number in its base unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantity {
    pub(super) value: f64,
    pub(super) unit: Unit,
}

/// Factors to milliseconds.
const TIMES: [(&[u8], f64); 20] = [
    (b"ns", 1e-6),
    (b"us", 1e-3),
    ("µs".as_bytes(), 1e-3),
    ("μs".as_bytes(), 1e-3),
    (b"usec", 1e-3),
    (b"ms", 1.0),
    (b"msec", 1.0),
    (b"msecs", 1.0),
    (b"s", 1e3),
    (b"sec", 1e3),
    (b"secs", 1e3),
    (b"m", 6e4),
    (b"min", 6e4),
    (b"mins", 6e4),
    (b"h", 3.6e6),
    (b"hr", 3.6e6),
    (b"hours", 3.6e6),
    (b"d", 8.64e7),
    (b"day", 8.64e7),
    (b"days", 8.64e7),
];

/// Reads a number with or without its unit behind it; times may have several parts (`1m2.5s`).
pub(super) fn parse(text: &str) -> Option<Quantity> {
    let mut rest = text.as_bytes();
    let is_negative = rest.first() == Some(&b'-');
    if is_negative || rest.first() == Some(&b'+') {
        rest = rest.get(1..)?;
    }
    let mut total: Option<Quantity> = None;
    while !rest.is_empty() {
        let next = number(&mut rest)?;
        let length = rest.iter().position(u8::is_ascii_digit).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(length)?;
        rest = behind;
        total = Some(match total {
            None => {
                let (unit, factor) = unit(word);
                Quantity { value: next * factor, unit }
            }
            // A further part: only times are written so.
            Some(Quantity { value, unit: Unit::Time }) => {
                Quantity { value: value + next * time(word)?.1, unit: Unit::Time }
            }
            Some(_) => return None,
        });
    }
    total.map(|found| if is_negative { Quantity { value: -found.value, ..found } } else { found })
}

/// The unit of a word that stands behind a number: `ms` in `41 ms`.
pub(super) fn unit_word(word: &str) -> Unit {
    unit(word.as_bytes()).0
}

/// Reads digits with at most one point; `None` for versions and for what is no number.
fn number(rest: &mut &[u8]) -> Option<f64> {
    let (mut whole, mut digits, mut scale, mut length) = (0u64, 0u32, None, 0);
    for byte in *rest {
        match byte {
            b'0'..=b'9' if digits < 18 => {
                whole = whole * 10 + u64::from(byte - b'0');
                digits += 1;
                scale = scale.map(|places: i32| places + 1);
            }
            b'.' if scale.is_none() && digits > 0 => scale = Some(0),
            b'0'..=b'9' | b'.' => return None,
            _ => break,
        }
        length += 1;
    }
    *rest = rest.get(length..)?;
    let value = whole as f64;
    (digits > 0).then(|| match scale {
        None | Some(0) => value,
        Some(places) => value / 10f64.powi(places),
    })
}

fn time(word: &[u8]) -> Option<(Unit, f64)> {
    TIMES.iter().find(|(name, _)| *name == word).map(|(_, factor)| (Unit::Time, *factor))
}

fn unit(word: &[u8]) -> (Unit, f64) {
    if let Some(time) = time(word) {
        return time;
    }
    let (Some(first), kilo) = (word.first(), 1024f64) else { return (Unit::Plain, 1.0) };
    let is_bytes = matches!(word.get(1..), Some(b"B" | b"iB" | b"" | b"i" | b"b"));
    let power = match first {
        b'%' => return (Unit::Percent, 1.0),
        b'B' if word.len() == 1 => return (Unit::Bytes, 1.0),
        b'b' if word == b"bytes" || word == b"byte" => return (Unit::Bytes, 1.0),
        b'K' | b'k' => 1,
        b'M' => 2,
        b'G' => 3,
        b'T' => 4,
        b'P' => 5,
        _ => return (Unit::Plain, 1.0),
    };
    if is_bytes { (Unit::Bytes, kilo.powi(power)) } else { (Unit::Plain, 1.0) }
}

impl Unit {
    /// Writes a number of this base unit the way people write it.
    pub(super) fn show(self, value: f64) -> String {
        let steps: &[(f64, &str)] = match self {
            Unit::Plain => &[(1.0, "")],
            Unit::Percent => &[(1.0, " %")],
            Unit::Time => &[
                (8.64e7, " d"),
                (3.6e6, " h"),
                (6e4, " min"),
                (1e3, " s"),
                (1.0, " ms"),
                (1e-3, " µs"),
                (1e-6, " ns"),
            ],
            Unit::Bytes => &[
                (1_099_511_627_776.0, " TiB"),
                (1_073_741_824.0, " GiB"),
                (1_048_576.0, " MiB"),
                (1024.0, " KiB"),
                (1.0, " B"),
            ],
        };
        let fallback = match self {
            Unit::Time => (1.0, " ms"),
            _ => (1.0, steps.last().map_or("", |(_, name)| *name)),
        };
        let found = steps.iter().find(|(size, _)| value.abs() >= *size).copied();
        let (size, name) = found.unwrap_or(fallback);
        format!("{}{name}", rounded(value / size))
    }

    pub(super) fn write(self, out: &mut Writer) {
        out.byte(self as u8);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Unit> {
        let code = from.byte()?;
        [Unit::Plain, Unit::Time, Unit::Bytes, Unit::Percent].into_iter().find(|unit| *unit as u8 == code)
    }
}

/// Two significant digits are enough to say what is normal.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1e-9 {
        return 0.0;
    }
    let places = value.abs().log10().floor() as i32 - 1;
    let scale = 10f64.powi(places.abs());
    if places >= 0 { (value / scale).round() * scale } else { (value * scale).round() / scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_one_base() {
        for (text, value, unit) in [
            ("15ms", 15.0, Unit::Time),
            ("9.8s", 9_800.0, Unit::Time),
            ("1m2.5s", 62_500.0, Unit::Time),
            ("1h0m3s", 3_603_000.0, Unit::Time),
            ("250µs", 0.25, Unit::Time),
            ("4GiB", 4_294_967_296.0, Unit::Bytes),
            ("512kB", 524_288.0, Unit::Bytes),
            ("7B", 7.0, Unit::Bytes),
            ("80%", 80.0, Unit::Percent),
            ("-3", -3.0, Unit::Plain),
            ("0.125", 0.125, Unit::Plain),
            ("30x", 30.0, Unit::Plain),
        ] {
            let found = parse(text).unwrap();
            assert!((found.value - value).abs() < 1e-6 && found.unit == unit, "{text}: {found:?}");
        }
    }

    #[test]
    fn versions_words_and_numbers_without_end_are_no_quantities() {
        for text in ["1.2.3", "", "-", "abc", "..", "12345678901234567890", "3x4", "v2", "5kB3s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn quantities_read_well() {
        for (unit, value, text) in [
            (Unit::Time, 9_800.0, "9.8 s"),
            (Unit::Time, 12.0, "12 ms"),
            (Unit::Time, 0.0, "0 ms"),
            (Unit::Bytes, 4_294_967_296.0, "4 GiB"),
            (Unit::Plain, 18_231.0, "18000"),
            (Unit::Plain, 0.0312, "0.031"),
            (Unit::Percent, 79.6, "80 %"),
        ] {
            assert_eq!(unit.show(value), text);
        }
    }
}
