//! The parts of a group's memory, by the number under which they are stored.

/// What a memory row is about. The numbers are in databases: they are never changed and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Since when the group is learnt.
    Learning = 1,
    /// Rates of templates.
    Frequency = 2,
    /// Regular things that may fall silent.
    Silence = 3,
    /// How often new templates come.
    Novelty = 4,
    /// The scores whose drift is watched.
    Drift = 5,
    /// The usual distance between a line's time and its arrival.
    Skew = 6,
    /// Values at the variable positions of templates.
    Parameter = 7,
    /// Joint models of numeric positions.
    Trees = 8,
    /// Open sessions.
    Session = 9,
    /// What ended sessions looked like.
    Sequence = 10,
    /// Daily courses of rates, and what the rates count windows and hours by.
    Course = 20,
}

impl Part {
    const ALL: [Part; 11] = [
        Part::Learning,
        Part::Frequency,
        Part::Silence,
        Part::Novelty,
        Part::Drift,
        Part::Skew,
        Part::Parameter,
        Part::Trees,
        Part::Session,
        Part::Sequence,
        Part::Course,
    ];

    /// The number in the database.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The part of a number; `None` for one that a newer version wrote.
    pub fn from_number(number: u8) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_by_its_number_and_readers_know_that_of_learning() {
        for part in Part::ALL {
            assert_eq!(Part::from_number(part.number()), Some(part));
        }
        assert_eq!(Part::from_number(0), None);
        assert_eq!(Part::Learning.number(), crate::store::memory::LEARNING);
    }
}
