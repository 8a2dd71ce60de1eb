//! A point in time as Loki counts it: nanoseconds since 1970, signed.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since the Unix epoch. Arithmetic saturates: log senders choose these numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The text is neither a nanosecond epoch nor RFC 3339.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a time: '{0}'; write RFC 3339 (2026-11-21T10:00:00Z) or nanoseconds since 1970")]
pub struct BadTime(String);

impl Timestamp {
    /// The earliest representable time.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest representable time.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Takes nanoseconds since 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Timestamp(nanos)
    }

    /// Takes whole seconds since 1970; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Timestamp(secs.saturating_mul(1_000_000_000))
    }

    /// Takes protobuf's seconds and nanos; saturates.
    pub const fn from_parts(secs: i64, nanos: i32) -> Self {
        Timestamp(secs.saturating_mul(1_000_000_000).saturating_add(nanos as i64))
    }

    /// Nanoseconds since 1970.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The time `by` later; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time `by` earlier; saturates.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with as many fraction digits as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = BadTime;

    /// Reads an integer as nanoseconds since 1970, anything else as RFC 3339.
    fn from_str(text: &str) -> Result<Self, BadTime> {
        if let Ok(nanos) = text.parse::<i64>() {
            return Ok(Timestamp(nanos));
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| BadTime(text.to_owned()))?;
        i64::try_from(time.as_nanosecond()).map(Timestamp).map_err(|_| BadTime(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_nanos_and_rfc3339_name_the_same_time() {
        let by_number: Timestamp = "1795225868847251727".parse().unwrap();
        assert_eq!(by_number.to_string().parse::<Timestamp>().unwrap(), by_number);
    }

    #[test]
    fn arithmetic_saturates_on_hostile_seconds() {
        assert_eq!(Timestamp::from_parts(i64::MAX, 5), Timestamp::MAX);
        assert_eq!(Timestamp::from_parts(i64::MIN, 0), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
    }
}
