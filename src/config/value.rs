//! Values as people write them: durations (`60s`, `7d`, `1h30m`), sizes (`64MiB`), secrets.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};

use crate::model::Timestamp;

/// A duration such as `500ms`, `60s`, `10m`, `1h30m`, `7d`; a bare `0` is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes such as `262144`, `64KiB`, `64MiB`, `1GiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// A point in time in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Timestamp);

/// Text that never shows in messages.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Duration {
        span.0
    }
}

impl From<Size> for u64 {
    fn from(size: Size) -> u64 {
        size.0
    }
}

impl From<Size> for usize {
    fn from(size: Size) -> usize {
        usize::try_from(size.0).unwrap_or(usize::MAX)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Span).ok_or_else(|| {
            D::Error::custom(format!(
                "not a duration: '{text}'; write a number with a unit: 500ms, 60s, 10m, 1h30m, 7d"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        size(&text).map(Size).ok_or_else(|| {
            D::Error::custom(format!(
                "not a size: '{text}'; write bytes or a number with a unit: 64KiB, 64MiB, 1GiB"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Moment).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Hidden)
    }
}

/// Splits leading digits off; `None` when there are none.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

fn span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    loop {
        let (count, tail) = number(rest)?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(end)?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(count.checked_mul(millis)?))?;
        if next.is_empty() {
            return Some(total);
        }
        rest = next;
    }
}

fn size(text: &str) -> Option<u64> {
    let (count, unit) = number(text.trim())?;
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        "TiB" | "Ti" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    count.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        assert_eq!(span("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(span("7d"), Some(Duration::from_secs(604_800)));
        assert_eq!(span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!((span("60"), span("x"), span("5 parsecs"), span("")), (None, None, None, None));
        assert_eq!((size("64MiB"), size("10MB"), size("7")), (Some(67_108_864), Some(10_000_000), Some(7)));
        assert_eq!((size("-1"), size("1XB"), size("99999999TiB")), (None, None, None));
    }
}
