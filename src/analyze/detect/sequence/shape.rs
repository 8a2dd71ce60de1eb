//! The course of a session without its key and times: which templates, how often, in which order.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::{Templates, persist::list};
use crate::{
    analyze::detect::pack::{Packer, Unpacker},
    model::TemplateId,
};

/// Counts are exact up to here; above, an eighth more or less is the same.
const EXACT: u32 = 16;
/// The place before the first and after the last line.
pub(super) const EDGE: u8 = u8::MAX;

/// One template of a session: how often it came, and where it stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub template: TemplateId,
    /// Quantised.
    pub count: u32,
    /// Rank of its first line among the templates' first lines.
    pub first: u8,
    /// Rank of its last line among the templates' last lines.
    pub last: u8,
}

/// A template of a session as it was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub template: TemplateId,
    pub count: u32,
    pub first: u32,
    pub last: u32,
}

/// The course of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The kind of key.
    pub kind: u64,
    /// Sorted by template.
    pub parts: Box<[Part]>,
    /// Pairs of neighbours as places in `parts`, with the edges; sorted.
    pub moves: Box<[(u8, u8)]>,
}

impl Shape {
    /// `moves` and `end` are places in `stretches`. Equal templates (merged since) become one.
    pub fn new(kind: u64, stretches: &[Stretch], moves: &[(u8, u8)], end: u8) -> Self {
        let start =
            stretches.iter().enumerate().min_by_key(|(_, stretch)| stretch.first).map(|(at, _)| at as u8);
        let mut ids: Vec<TemplateId> = stretches.iter().map(|stretch| stretch.template).collect();
        ids.sort_unstable();
        ids.dedup();
        let place = |from: u8| -> Option<u8> {
            let stretch = stretches.get(usize::from(from))?;
            ids.binary_search(&stretch.template).ok().map(|at| at as u8)
        };
        let mut pairs: Vec<(u8, u8)> =
            moves.iter().filter_map(|(from, to)| Some((place(*from)?, place(*to)?))).collect();
        pairs.extend(start.and_then(place).map(|start| (EDGE, start)));
        pairs.extend(place(end).map(|end| (end, EDGE)));
        pairs.sort_unstable();
        pairs.dedup();
        let merged: Vec<Stretch> = ids.iter().filter_map(|id| merge(stretches, *id)).collect();
        let parts = merged.iter().map(|stretch| Part {
            template: stretch.template,
            count: quantised(stretch.count),
            first: merged.iter().filter(|other| other.first < stretch.first).count() as u8,
            last: merged.iter().filter(|other| other.last < stretch.last).count() as u8,
        });
        Shape { kind, parts: parts.collect(), moves: pairs.into() }
    }

    /// The same course under the ids templates have now.
    pub fn resolved(&self, templates: &dyn Templates) -> Option<Shape> {
        if self.parts.iter().all(|part| templates.resolve(part.template) == part.template) {
            return None;
        }
        let stretch = |part: &Part| Stretch {
            template: templates.resolve(part.template),
            count: part.count,
            first: u32::from(part.first),
            last: u32::from(part.last),
        };
        let is_inner = |(from, to): &&(u8, u8)| *from != EDGE && *to != EDGE;
        let moves: SmallVec<[(u8, u8); 32]> = self.moves.iter().filter(is_inner).copied().collect();
        let end = self.moves.iter().find(|(_, to)| *to == EDGE).map_or(EDGE, |(from, _)| *from);
        Some(Shape::new(self.kind, &self.parts.iter().map(stretch).collect::<Vec<_>>(), &moves, end))
    }

    pub fn part(&self, template: TemplateId) -> Option<&Part> {
        let at = self.parts.binary_search_by_key(&template, |part| part.template).ok()?;
        self.parts.get(at)
    }

    /// The template at a place of `moves`; `None` at an edge.
    pub fn template_at(&self, place: u8) -> Option<TemplateId> {
        self.parts.get(usize::from(place)).map(|part| part.template)
    }

    /// The template of the last line.
    pub fn end(&self) -> Option<TemplateId> {
        self.moves.iter().find(|(_, to)| *to == EDGE).and_then(|(from, _)| self.template_at(*from))
    }

    /// Lines, as far as counts are exact.
    pub fn lines(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.count)).sum()
    }

    /// Names the shape: equal shapes, equal names.
    pub fn hash(&self) -> u64 {
        let mut row = Packer::default();
        self.pack(&mut row);
        xxh3_64(&row.finish())
    }

    /// Names the counts, whatever the order.
    pub fn vector(&self) -> u64 {
        let mut row = Packer::default();
        for part in &self.parts {
            row.number(part.template.0);
            row.number(u64::from(part.count));
        }
        xxh3_64(&row.finish())
    }

    /// Memory it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Shape>() + self.parts.len() * size_of::<Part>() + self.moves.len() * 2
    }

    pub fn pack(&self, row: &mut Packer) {
        row.number(self.kind);
        row.number(self.parts.len() as u64);
        for part in &self.parts {
            row.number(part.template.0);
            row.number(u64::from(part.count));
            row.number(u64::from(part.first));
            row.number(u64::from(part.last));
        }
        row.number(self.moves.len() as u64);
        for (from, to) in &self.moves {
            row.number(u64::from(*from));
            row.number(u64::from(*to));
        }
    }

    pub fn unpack(row: &mut Unpacker<'_>) -> Option<Shape> {
        let kind = row.number()?;
        let parts = list(row, 256, |row| {
            Some(Part {
                template: TemplateId(row.number()?),
                count: u32::try_from(row.number()?).ok()?,
                first: u8::try_from(row.number()?).ok()?,
                last: u8::try_from(row.number()?).ok()?,
            })
        })?;
        let moves = list(row, 1_024, |row| {
            Some((u8::try_from(row.number()?).ok()?, u8::try_from(row.number()?).ok()?))
        })?;
        Some(Shape { kind, parts: parts.into(), moves: moves.into() })
    }
}

fn merge(stretches: &[Stretch], id: TemplateId) -> Option<Stretch> {
    stretches.iter().filter(|stretch| stretch.template == id).copied().reduce(|a, b| Stretch {
        template: id,
        count: a.count.saturating_add(b.count),
        first: a.first.min(b.first),
        last: a.last.max(b.last),
    })
}

/// Large counts lose their last bits: three significant ones are kept.
fn quantised(count: u32) -> u32 {
    if count <= EXACT {
        return count;
    }
    let shift = u32::BITS - count.leading_zeros() - 4;
    count >> shift << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Merged;
    impl Templates for Merged {
        fn resolve(&self, id: TemplateId) -> TemplateId {
            TemplateId(id.0.min(8))
        }
        fn text(&self, _: TemplateId) -> Option<String> {
            None
        }
    }

    fn stretch(template: u64, count: u32, first: u32, last: u32) -> Stretch {
        Stretch { template: TemplateId(template), count, first, last }
    }

    #[test]
    fn a_course_is_ranked_and_has_edges() {
        // Lines: 9 5 9 5 5
        let shape = Shape::new(1, &[stretch(9, 2, 0, 3), stretch(5, 3, 1, 5)], &[(0, 1), (1, 0), (1, 1)], 1);
        let parts: Vec<_> = shape.parts.iter().map(|p| (p.template.0, p.count, p.first, p.last)).collect();
        assert_eq!(parts, [(5, 3, 1, 1), (9, 2, 0, 0)]);
        assert_eq!(shape.moves.as_ref(), [(0, 0), (0, 1), (0, EDGE), (1, 0), (EDGE, 1)]);
        assert_eq!((shape.end(), shape.lines()), (Some(TemplateId(5)), 5));
    }

    #[test]
    fn merged_templates_become_one_part() {
        let shape = Shape::new(1, &[stretch(8, 1, 0, 1), stretch(9, 2, 1, 3)], &[(0, 1), (1, 1)], 1);
        let resolved = shape.resolved(&Merged).unwrap();
        assert_eq!(resolved, Shape::new(1, &[stretch(8, 3, 0, 3)], &[(0, 0)], 0));
        assert_eq!(resolved.resolved(&Merged), None);
    }

    #[test]
    fn large_counts_differ_only_in_their_first_bits() {
        assert_eq!([16, 17, 19, 31, 32, 1_000].map(quantised), [16, 16, 18, 30, 32, 960]);
    }

    #[test]
    fn order_changes_the_shape_but_not_the_vector() {
        let one = Shape::new(1, &[stretch(1, 1, 0, 1), stretch(2, 1, 1, 2)], &[(0, 1)], 1);
        let other = Shape::new(1, &[stretch(2, 1, 0, 1), stretch(1, 1, 1, 2)], &[(0, 1)], 1);
        assert_eq!(one.vector(), other.vector());
        assert_ne!(one.hash(), other.hash());
    }
}
