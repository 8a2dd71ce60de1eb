//! What people teach: what is normal, when work is being done, and whether a detector was right.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::{FindingId, Severity, Timestamp};

/// Lines that a person has declared normal: findings shown by nothing else are not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normal {
    /// Identity.
    pub id: String,
    /// The finding it was taught from.
    pub finding: FindingId,
    /// The streams it holds for.
    pub selector: String,
    /// Texts of templates; a finding is hidden when each of its lines is of one of them.
    pub patterns: BTreeSet<String>,
    /// Only findings from no other addresses than these; empty for any.
    pub source_ips: BTreeSet<String>,
    /// Only findings about no other accounts than these; empty for any.
    pub users: BTreeSet<String>,
    /// Nothing worse is hidden.
    pub severity: Severity,
    /// Why.
    pub note: Option<String>,
    /// When it was taught.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// Findings hidden so far.
    pub hidden: u64,
    /// When it last hid one.
    pub last_hidden_at: Option<Timestamp>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    const ALL: [Weekday; 7] =
        [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

    /// The day (UTC) whose number since 1970 this is. 1970 began on a Thursday.
    fn of_day(day: i64) -> Self {
        let place = usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0);
        Self::ALL.get(place).copied().unwrap_or(Weekday::Mon)
    }
}

/// A part of some days of every week, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weekly {
    /// The days it begins on.
    pub days: BTreeSet<Weekday>,
    /// Minutes after midnight at which it begins; written `HH:MM`.
    #[serde(rename = "at", with = "clock_time")]
    pub minute: u16,
    /// How many minutes it lasts, at most a day.
    pub minutes: u16,
}

/// Minutes of a day.
const DAY_MINUTES: i64 = 24 * 60;

impl Weekly {
    /// Whether the time lies in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        let minute = time.as_secs().div_euclid(60);
        let day = minute.div_euclid(DAY_MINUTES);
        // One that began yesterday may still last.
        [day - 1, day].into_iter().any(|day| {
            let begin = day * DAY_MINUTES + i64::from(self.minute);
            self.days.contains(&Weekday::of_day(day))
                && (begin..begin + i64::from(self.minutes)).contains(&minute)
        })
    }

    /// Whether its numbers make sense.
    pub fn is_sound(&self) -> bool {
        !self.days.is_empty()
            && i64::from(self.minute) < DAY_MINUTES
            && (1..=DAY_MINUTES).contains(&i64::from(self.minutes))
    }
}

/// A time during which work is done on some streams, so that unusual lines are expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Identity.
    pub id: String,
    /// The streams.
    pub selector: String,
    /// From this time on.
    pub from: Timestamp,
    /// Up to before this time.
    pub to: Timestamp,
    /// Within that only these hours of each week, if given.
    pub weekly: Option<Weekly>,
    /// Why.
    pub note: Option<String>,
    /// When it was entered.
    pub created_at: Timestamp,
}

impl Maintenance {
    /// Whether the time lies in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.from <= time && time < self.to && self.weekly.as_ref().is_none_or(|week| week.contains(time))
    }
}

mod clock_time {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(minute: &u16, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:02}:{:02}", minute / 60, minute % 60))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = || {
            let (hours, minutes) = text.split_once(':')?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        read().ok_or_else(|| D::Error::custom(format!("'{text}' is no time of day; write 02:00")))
    }
}

/// The longest maintenance window: a year, so that a forgotten one ends.
pub const MAINTENANCE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// What a person said of one detector's finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// Identity.
    pub id: String,
    /// The finding.
    pub finding: FindingId,
    /// The group (host) it was found in.
    pub group: String,
    /// The detector.
    pub detector: String,
    /// What the detector spoke of.
    pub subject: String,
    /// Whether it was a real one; a false positive otherwise.
    pub is_real: bool,
    /// When it was said.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weekly_window_lasts_over_midnight() {
        let weekly = Weekly { days: BTreeSet::from([Weekday::Sat]), minute: 23 * 60, minutes: 120 };
        let at = |text: &str| weekly.contains(text.parse().unwrap());
        // 2026-11-21 is a Saturday.
        assert!(at("2026-11-21T23:00:00Z") && at("2026-11-22T00:59:59Z"));
        assert!(!at("2026-11-21T22:59:59Z") && !at("2026-11-22T01:00:00Z") && !at("2026-11-20T23:30:00Z"));
        assert!(weekly.is_sound() && !Weekly { minute: 1440, ..weekly.clone() }.is_sound());
        assert!(!Weekly { minutes: 1441, ..weekly }.is_sound());
    }
}
