//! One day of log lines of a handful of servers, as their daemons would write them.
//!
//! In: the time the day ends. Out: every line with its place and time, oldest first. The same end gives the same day.

use std::time::Duration;

use super::{cron, docker, kernel, nginx, postgres, rng::Rng, sshd, stamp, systemd};
use crate::model::Timestamp;

/// Length of the day.
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Where the numbers of the day begin.
const SEED: u64 = 0x5167_796e;

/// The file a line is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) host: &'static str,
    pub(super) job: &'static str,
    pub(super) filename: &'static str,
}

/// One line of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) place: Place,
    pub(super) text: String,
}

/// The day as it is being written by one daemon.
pub(super) struct Day {
    pub(super) rng: Rng,
    start: Timestamp,
    lines: Vec<Line>,
}

/// Every daemon of the day.
const DAEMONS: [fn(&mut Day); 7] =
    [sshd::write, nginx::write, kernel::write, systemd::write, postgres::write, docker::write, cron::write];

/// The whole day up to `end`, oldest first.
pub(super) fn lines(end: Timestamp) -> Vec<Line> {
    let mut all: Vec<Line> = DAEMONS.iter().flat_map(|write| written(end, *write)).collect();
    all.sort_by_key(|line| line.at);
    all
}

/// What one daemon writes on the day up to `end`. Daemons do not disturb each other's numbers.
pub(super) fn written(end: Timestamp, write: fn(&mut Day)) -> Vec<Line> {
    let mut day = Day { rng: Rng::new(SEED), start: end.minus(DAY), lines: Vec::new() };
    write(&mut day);
    day.lines.retain(|line| line.at <= end);
    day.lines
}

impl Day {
    /// So many hours and minutes into the day.
    pub(super) fn clock(&self, hours: u64, minutes: u64) -> Timestamp {
        self.start.plus(Duration::from_secs(hours * 3_600 + minutes * 60))
    }

    /// `count` moments of the day: busy in its second half, quieter in its first, as a site's visitors are.
    pub(super) fn moments(&mut self, count: usize) -> Vec<Timestamp> {
        let millis = u64::try_from(DAY.as_millis()).unwrap_or(u64::MAX);
        let mut moments: Vec<_> = (0..count)
            .map(|_| {
                let (one, two) = (self.rng.range(0, millis), self.rng.range(0, millis));
                // Half of the visitors come at any time, the others rather later than sooner.
                let at = if self.rng.percent(50) { one } else { one.max(two) };
                self.start.plus(Duration::from_millis(at))
            })
            .collect();
        moments.sort();
        moments
    }

    /// Moments at a steady pace, each a little off.
    pub(super) fn every(&mut self, pace: Duration) -> Vec<Timestamp> {
        let rounds = DAY.as_secs() / pace.as_secs().max(1);
        (0..rounds)
            .map(|round| {
                let jitter = Duration::from_millis(self.rng.range(0, 900));
                self.start.plus(Duration::from_secs(round * pace.as_secs())).plus(jitter)
            })
            .collect()
    }

    /// Writes a line as it is.
    pub(super) fn log(&mut self, place: Place, at: Timestamp, text: String) {
        self.lines.push(Line { at, place, text });
    }

    /// Writes a message behind a syslog header; `tag` is the program, with its process id where it has one.
    pub(super) fn syslog(&mut self, place: Place, at: Timestamp, tag: &str, message: &str) {
        let text = format!("{} {} {tag}: {message}", stamp::syslog(at), place.host);
        self.log(place, at, text);
    }

    /// An address somewhere on the internet (from the ranges kept for documentation).
    pub(super) fn visitor(&mut self) -> String {
        let net =
            self.rng.pick(&["192.0.2", "198.51.100", "203.0.113", "198.18.7", "198.19.44", "198.18.120"]);
        format!("{net}.{}", self.rng.range(100, 250))
    }
}

/// `at` plus milliseconds.
pub(super) fn later(at: Timestamp, millis: u64) -> Timestamp {
    at.plus(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::wire::envelope;

    fn end() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_day_is_large_ordered_and_the_same_every_time() {
        let day = lines(end());
        assert!(day.len() > 30_000, "{}", day.len());
        assert!(day.is_sorted_by_key(|line| line.at));
        assert!(day.iter().all(|line| line.at >= end().minus(DAY) && line.at <= end()));
        let hosts: BTreeSet<_> = day.iter().map(|line| line.place.host).collect();
        assert!(hosts.len() >= 4, "{hosts:?}");
        assert_eq!(day, lines(end()));
    }

    #[test]
    fn syslog_and_docker_lines_open_as_such() {
        for line in lines(end()) {
            let opened = envelope::open(line.text.as_bytes());
            match line.place.job {
                "auth" | "syslog" | "cron" | "kernel" => {
                    assert!(opened.program.is_some(), "{}", line.text);
                    assert_eq!(opened.host.as_deref(), Some(line.place.host), "{}", line.text);
                }
                "docker" => assert!(!opened.message.starts_with("{\"log\""), "{}", line.text),
                _ => assert!(!line.text.contains('\n'), "{}", line.text),
            }
        }
    }
}
