//! One open session: what came under one key so far. Bounded whatever comes.

use smallvec::SmallVec;

use super::{
    Templates,
    shape::{Shape, Stretch},
};
use crate::model::{EvidenceLine, TemplateId, Timestamp};

/// Templates told apart in one session; later ones are not looked at, the session is what it is by then.
pub(super) const MAX_STEPS: usize = 48;
/// Pairs of neighbours remembered.
pub(super) const MAX_MOVES: usize = 128;

/// One template of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub template: TemplateId,
    pub count: u32,
    /// The number of its last line within the session.
    pub last: u32,
}

/// What came under one key. Steps stand in the order of their first lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    pub kind: u64,
    pub key: String,
    pub lines: u32,
    pub first: Timestamp,
    pub last: Timestamp,
    pub steps: SmallVec<[Step; 8]>,
    /// Pairs of neighbours, as places in `steps`; sorted.
    pub moves: SmallVec<[(u8, u8); 16]>,
    /// The step of the last line.
    pub current: u8,
    pub quotes: Vec<EvidenceLine>,
    /// Number, among all lines of all sessions, of its last line.
    pub stamp: u64,
    /// Number, among the lines of its kind, of its first and last line.
    pub begun_at: u64,
    pub seen_at: u64,
    /// When its last line was received.
    pub received: Timestamp,
    /// Whether it changed since it was written, and whether it was ever written.
    pub is_dirty: bool,
    pub is_written: bool,
}

/// What is left of a session besides its course.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    pub kind: u64,
    pub key: String,
    pub lines: u32,
    pub first: Timestamp,
    pub last: Timestamp,
    pub quotes: Vec<EvidenceLine>,
    pub stamp: u64,
}

/// Silent for so many lines of its kind at least, before it counts as ended in a trial.
const SILENCE: u64 = 16;

impl Session {
    pub fn new(kind: u64, key: String, at: Timestamp, kind_lines: u64) -> Self {
        Session {
            kind,
            key,
            lines: 0,
            first: at,
            last: at,
            steps: SmallVec::new(),
            moves: SmallVec::new(),
            current: 0,
            quotes: Vec::new(),
            stamp: 0,
            begun_at: kind_lines,
            seen_at: kind_lines,
            received: at,
            is_dirty: false,
            is_written: false,
        }
    }

    /// Takes a line; says whether its template is new to the session.
    pub fn take(&mut self, template: TemplateId, at: Timestamp) -> bool {
        self.lines = self.lines.saturating_add(1);
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
        let place = self.steps.iter().position(|step| step.template == template);
        let place = match place {
            Some(place) => place,
            None if self.steps.len() < MAX_STEPS => {
                self.steps.push(Step { template, count: 0, last: 0 });
                self.steps.len() - 1
            }
            None => return false,
        };
        let mut is_first = false;
        if let Some(step) = self.steps.get_mut(place) {
            is_first = step.count == 0;
            step.count = step.count.saturating_add(1);
            step.last = self.lines;
        }
        self.step_to(place as u8);
        is_first
    }

    fn step_to(&mut self, place: u8) {
        if self.lines > 1 {
            let step = (self.current, place);
            if let Err(at) = self.moves.binary_search(&step)
                && self.moves.len() < MAX_MOVES
            {
                self.moves.insert(at, step);
            }
        }
        self.current = place;
    }

    /// Whether it has a course: lines of different templates.
    pub fn has_course(&self) -> bool {
        self.steps.len() >= 2
    }

    /// Whether it has been silent for longer than it was active, counted in lines of its kind.
    pub fn is_silent(&self, kind_lines: u64) -> bool {
        let active = self.seen_at.saturating_sub(self.begun_at);
        kind_lines.saturating_sub(self.seen_at) >= active.saturating_mul(2) + SILENCE
    }

    /// Memory it takes.
    pub fn bytes(&self) -> usize {
        let quotes: usize = self.quotes.iter().map(|quote| quote.line.len() + 120).sum();
        let spilled = usize::from(self.steps.spilled()) * self.steps.capacity() * size_of::<Step>()
            + usize::from(self.moves.spilled()) * self.moves.capacity() * 2;
        size_of::<Session>() + self.key.len() + spilled + quotes
    }

    /// Lets go of what its course was made of.
    pub fn into_ended(self) -> Ended {
        let Session { kind, key, lines, first, last, quotes, stamp, .. } = self;
        Ended { kind, key, lines, first, last, quotes, stamp }
    }

    /// Its course, under the ids its templates have now.
    pub fn shape(&self, templates: &dyn Templates) -> Shape {
        let stretch = |(place, step): (usize, &Step)| Stretch {
            template: templates.resolve(step.template),
            count: step.count,
            first: place as u32,
            last: step.last,
        };
        let stretches: SmallVec<[Stretch; 16]> = self.steps.iter().enumerate().map(stretch).collect();
        Shape::new(self.kind, &stretches, &self.moves, self.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(templates: &[u64]) -> Session {
        let mut session = Session::new(1, "k".to_owned(), Timestamp::from_secs(9), 0);
        for (n, template) in templates.iter().enumerate() {
            session.take(TemplateId(*template), Timestamp::from_secs(10 + n as i64));
        }
        session
    }

    #[test]
    fn steps_moves_and_times_are_those_of_the_lines() {
        let session = session(&[7, 8, 8, 7]);
        let steps: Vec<_> = session.steps.iter().map(|s| (s.template.0, s.count, s.last)).collect();
        assert_eq!(steps, [(7, 2, 4), (8, 2, 3)]);
        assert_eq!(session.moves.as_slice(), [(0, 1), (1, 0), (1, 1)]);
        assert_eq!((session.lines, session.current), (4, 0));
        assert_eq!((session.first.as_secs(), session.last.as_secs()), (9, 13));
    }

    #[test]
    fn a_session_of_ever_new_templates_stays_small() {
        let templates: Vec<u64> = (0..10_000).collect();
        let session = session(&templates);
        assert_eq!((session.steps.len(), session.lines), (MAX_STEPS, 10_000));
        assert!(session.moves.len() <= MAX_MOVES && session.bytes() < 2_500, "{}", session.bytes());
    }

    #[test]
    fn silence_is_measured_against_activity() {
        let mut session = session(&[1, 2]);
        (session.begun_at, session.seen_at) = (100, 150);
        assert!(!session.is_silent(265));
        assert!(session.is_silent(266));
    }
}
