//! Whether a kind of key holds sessions together: its keys recur, under several templates, and each falls silent.
//!
//! A kind is on trial first: its sessions are followed, nothing is said of them. It is accepted once enough of its keys
//! had a course and an end, and rejected when its keys come once (numbers of things) or never end (names of things).

/// What is thought of a kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Trial,
    Accepted,
    Rejected,
}

/// One kind of key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeyKind {
    pub id: u64,
    pub name: String,
    pub standing: Standing,
    /// Lines that had such a key.
    pub lines: u64,
    /// Sessions opened.
    pub opened: u64,
    /// Sessions ended, and how many of them had a course.
    pub ended: u64,
    pub with_course: u64,
    /// The next trial is held when so many are opened.
    pub next_trial: u64,
    /// Number, among all lines with a key, of its last one.
    pub seen_at: u64,
}

/// What the open sessions of a kind look like at a trial.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Census {
    /// Sessions that have fallen silent.
    pub silent: u64,
    /// Silent ones that had a course.
    pub silent_with_course: u64,
    /// Those with a course that came within half of all lines of the kind.
    pub brief_with_course: u64,
    /// All.
    pub all: u64,
}

/// The first trial is held when so many sessions were opened.
const FIRST_TRIAL: u64 = 32;
/// Silent or ended sessions needed to accept.
const MIN_ENDED: u64 = 16;
/// The last trial: what has not convinced by now is rejected.
const LAST_TRIAL: u64 = 1 << 12;
/// A kind with so few keys after so many lines names things that last.
const FEW_KEYS: u64 = 8;
const MANY_LINES: u64 = 1 << 16;
/// A rejected kind gets another chance after so many lines: programs change.
const RETRY_LINES: u64 = 1 << 20;
/// What is enough when all has been read.
const MIN_AT_END: u64 = 5;

impl KeyKind {
    pub fn new(id: u64, name: String) -> Self {
        KeyKind {
            id,
            name,
            standing: Standing::Trial,
            lines: 0,
            opened: 0,
            ended: 0,
            with_course: 0,
            next_trial: FIRST_TRIAL,
            seen_at: 0,
        }
    }

    /// Counts a line that has such a key; says whether its session is to be followed.
    pub fn sight(&mut self) -> bool {
        self.lines += 1;
        match self.standing {
            Standing::Rejected if self.lines >= RETRY_LINES => {
                *self = KeyKind::new(self.id, std::mem::take(&mut self.name));
                true
            }
            Standing::Rejected => false,
            Standing::Trial | Standing::Accepted => true,
        }
    }

    /// Whether it is time for a trial.
    pub fn is_due(&self) -> bool {
        let has_few = self.lines.is_multiple_of(MANY_LINES) && self.opened < FEW_KEYS;
        self.standing == Standing::Trial && (self.opened >= self.next_trial || has_few)
    }

    /// Holds a trial.
    pub fn hold_trial(&mut self, open: Census) {
        let (ended, with_course) = (self.ended + open.silent, self.with_course + open.silent_with_course);
        let has_course = with_course * 2 >= ended;
        if ended >= MIN_ENDED && ended * 3 >= self.opened && has_course {
            self.standing = Standing::Accepted;
        } else if self.opened >= LAST_TRIAL
            || self.opened < FEW_KEYS
            || (ended * 3 >= self.opened && !has_course)
        {
            self.standing = Standing::Rejected;
            self.lines = 0;
        }
        self.next_trial = self.opened.saturating_mul(2).max(FIRST_TRIAL);
    }

    /// The trial at the end of all lines: silence is no longer asked for, only that keys did not last throughout.
    pub fn hold_last_trial(&mut self, open: Census) {
        if self.standing == Standing::Trial && self.opened >= MIN_AT_END {
            let with_course = self.with_course + open.brief_with_course;
            if with_course * 2 >= self.ended + open.all {
                self.standing = Standing::Accepted;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(opened: u64) -> KeyKind {
        KeyKind { opened, ..KeyKind::new(1, "id".to_owned()) }
    }

    #[test]
    fn keys_with_a_course_and_an_end_are_accepted() {
        let mut kind = kind(32);
        assert!(kind.is_due());
        kind.hold_trial(Census { silent: 16, silent_with_course: 12, ..Census::default() });
        assert_eq!(kind.standing, Standing::Accepted);
    }

    #[test]
    fn keys_that_come_once_are_rejected() {
        let mut kind = kind(32);
        kind.hold_trial(Census { silent: 30, silent_with_course: 2, ..Census::default() });
        assert_eq!(kind.standing, Standing::Rejected);
        assert!(!kind.sight());
    }

    #[test]
    fn keys_that_never_end_stay_on_trial_until_the_last_one() {
        let mut kind = kind(32);
        kind.hold_trial(Census { silent: 1, silent_with_course: 1, ..Census::default() });
        assert_eq!((kind.standing, kind.next_trial), (Standing::Trial, 64));
        kind.opened = LAST_TRIAL;
        kind.hold_trial(Census { silent: 40, silent_with_course: 40, ..Census::default() });
        assert_eq!(kind.standing, Standing::Rejected);
    }

    #[test]
    fn at_the_end_keys_that_lasted_throughout_do_not_count() {
        let mut brief = kind(6);
        brief.hold_last_trial(Census { all: 6, brief_with_course: 3, ..Census::default() });
        assert_eq!(brief.standing, Standing::Accepted);
        let mut lasting = kind(6);
        lasting.hold_last_trial(Census { all: 6, brief_with_course: 2, ..Census::default() });
        assert_eq!(lasting.standing, Standing::Trial);
    }

    #[test]
    fn a_rejected_kind_gets_another_chance() {
        let mut kind = kind(40);
        kind.standing = Standing::Rejected;
        kind.lines = RETRY_LINES - 1;
        assert!(kind.sight());
        assert_eq!((kind.standing, kind.opened), (Standing::Trial, 0));
    }
}
