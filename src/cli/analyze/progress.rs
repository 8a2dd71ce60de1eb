//! How far it is, on a terminal only: share, lines, rate and the time that is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::cli::output;

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(200);
/// Lines between looks at the clock.
const LINES_BETWEEN: u64 = 1_024;
/// Characters of the bar.
const WIDTH: usize = 20;

/// The progress of one run.
pub(in crate::cli) struct Progress {
    started: Instant,
    shown: Instant,
    lines: u64,
    /// Bytes of all sources, where all are known.
    total: Option<u64>,
    read: Arc<AtomicU64>,
}

impl Progress {
    /// Begins now.
    pub fn new(total: Option<u64>, read: Arc<AtomicU64>) -> Self {
        let now = Instant::now();
        Progress { started: now, shown: now, lines: 0, total, read }
    }

    /// Counts a line, and shows it when it is time to.
    pub fn line(&mut self) {
        self.lines += 1;
        if self.lines.is_multiple_of(LINES_BETWEEN) && self.shown.elapsed() >= EVERY {
            self.shown = Instant::now();
            let read = self.read.load(Ordering::Relaxed);
            output::progress(&text(self.lines, read, self.total, self.started.elapsed()));
        }
    }

    /// Removes the line from the terminal.
    pub fn done(&self) {
        output::progress("");
    }
}

fn text(lines: u64, read: u64, total: Option<u64>, elapsed: Duration) -> String {
    let secs = elapsed.as_secs_f64().max(0.001);
    let rate = format!("{} lines/s, {:.1} MB/s", grouped(lines as f64 / secs), read as f64 / secs / 1e6);
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{} lines, {rate}", grouped(lines as f64));
    };
    let share = (read as f64 / total as f64).min(1.0);
    let full = (share * WIDTH as f64) as usize;
    let bar: String = (0..WIDTH).map(|at| if at < full { '█' } else { '░' }).collect();
    let left = Duration::from_secs_f64((secs * (1.0 - share) / share.max(1e-6)).min(359_999.0));
    let (minutes, seconds) = (left.as_secs() / 60, left.as_secs() % 60);
    format!(
        "{bar} {:3.0} %  {} lines, {rate}, {minutes}:{seconds:02} left",
        share * 100.0,
        grouped(lines as f64)
    )
}

/// A number with its thousands set apart.
pub(in crate::cli) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_rate_and_time_left_follow_from_what_was_read() {
        let shown = text(1_200_000, 50_000_000, Some(200_000_000), Duration::from_secs(4));
        assert_eq!(
            shown,
            "█████░░░░░░░░░░░░░░░  25 %  1,200,000 lines, 300,000 lines/s, 12.5 MB/s, 0:12 left"
        );
        let unknown = text(10, 500, None, Duration::from_secs(1));
        assert_eq!(unknown, "10 lines, 10 lines/s, 0.0 MB/s");
    }
}
