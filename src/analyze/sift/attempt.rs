//! Folding: the several lines one attempt writes count once.
//!
//! Each kind of line (pattern) occurs at most once per attempt. Lines of one process belong together for a while, lines
//! of different processes only when the same source wrote them within a moment (a login server and its helper).

use serde::{Deserialize, Serialize};

/// Open attempts remembered per source; parallel connections of one source are rarely more.
const MAX_OPEN: usize = 8;
/// Lines of one process belong to one attempt for so long: a login's grace time.
const SAME_PROCESS_SECS: i64 = 120;
/// Lines of different processes: within this.
const SAME_MOMENT_SECS: i64 = 2;

/// The attempts of one source that may still get lines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Attempts(Vec<Attempt>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempt {
    pid: Option<u32>,
    at: i64,
    /// The kinds of lines seen, one bit each.
    kinds: u128,
}

impl Attempts {
    /// Books a line; says whether it begins a new attempt.
    pub fn begins(&mut self, pid: Option<u32>, at: i64, kind: u16) -> bool {
        let bit = 1_u128 << (kind % 128);
        let near = |attempt: &Attempt, secs: i64| attempt.at.abs_diff(at) <= secs.unsigned_abs();
        let free = |attempt: &&mut Attempt| attempt.kinds & bit == 0;
        let own = self.0.iter_mut().rev().filter(|attempt| pid.is_some() && attempt.pid == pid);
        let mut own = own.filter(|attempt| near(attempt, SAME_PROCESS_SECS)).peekable();
        if own.peek().is_some() {
            if let Some(attempt) = own.next().filter(free) {
                attempt.join(at, bit);
                return false;
            }
        } else {
            drop(own);
            let mut other = self.0.iter_mut().rev().filter(|attempt| near(attempt, SAME_MOMENT_SECS));
            if let Some(attempt) = other.find(|attempt| attempt.kinds & bit == 0) {
                attempt.join(at, bit);
                return false;
            }
        }
        if self.0.len() >= MAX_OPEN {
            self.0.remove(0);
        }
        self.0.push(Attempt { pid, at, kinds: bit });
        true
    }
}

impl Attempt {
    fn join(&mut self, at: i64, bit: u128) {
        self.kinds |= bit;
        self.at = self.at.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[(Option<u32>, i64, u16)]) -> usize {
        let mut attempts = Attempts::default();
        lines.iter().filter(|(pid, at, kind)| attempts.begins(*pid, *at, *kind)).count()
    }

    #[test]
    fn the_lines_of_one_connection_are_one_attempt_per_password() {
        // Invalid user, PAM, Failed, PAM, Failed, closed: two passwords.
        let p = Some(7);
        assert_eq!(count(&[(p, 0, 0), (p, 0, 1), (p, 2, 2), (p, 4, 1), (p, 6, 2), (p, 7, 3)]), 2);
    }

    #[test]
    fn a_helper_process_joins_within_a_moment_only() {
        assert_eq!(count(&[(Some(7), 0, 0), (Some(8), 1, 1)]), 1);
        assert_eq!(count(&[(Some(7), 0, 0), (Some(8), 9, 1)]), 2);
        assert_eq!(count(&[(Some(7), 0, 0), (Some(8), 0, 0)]), 2);
    }
}
