//! Where a line stands in the files of a run, as the name that the engine gives lines.

use crate::model::LineRef;

/// Lines under one block number. The engine refreshes what it quotes last once per block.
const PER_BLOCK: u64 = 4_096;
/// Bits of a block's number that count within a file: files of 4,000 million million lines.
const BLOCK_BITS: u32 = 40;

/// A line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's number in the run, from 0.
    pub file: u32,
    /// The line's number in the file, from 1.
    pub line: u64,
}

impl From<Place> for LineRef {
    fn from(place: Place) -> Self {
        let block = (place.line / PER_BLOCK) & ((1 << BLOCK_BITS) - 1);
        let index = u32::try_from(place.line % PER_BLOCK).unwrap_or_default();
        LineRef { block: (u64::from(place.file) << BLOCK_BITS) | block, index }
    }
}

impl From<LineRef> for Place {
    fn from(at: LineRef) -> Self {
        let file = u32::try_from(at.block >> BLOCK_BITS).unwrap_or(u32::MAX);
        let block = at.block & ((1 << BLOCK_BITS) - 1);
        Place { file, line: block * PER_BLOCK + u64::from(at.index) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_known_again_and_places_keep_their_order(
            file in 0_u32..1 << 24, line in 0_u64..1 << 50, step in 1_u64..1 << 20,
        ) {
            let (place, next) = (Place { file, line }, Place { file, line: line + step });
            prop_assert_eq!(Place::from(LineRef::from(place)), place);
            prop_assert!(LineRef::from(place) < LineRef::from(next));
        }
    }
}
