//! Templates as rows and back: what a restart needs to go on as if nothing had happened.

use super::{
    scan::Role,
    skeleton::{Part, Piece, Skeleton},
    template::Template,
};
use crate::store::template::TemplateRow;

/// First byte of the state; another layout gets another number.
const LAYOUT: u8 = 1;

/// The row of a template.
pub(super) fn row(template: &Template, tenant: i64) -> TemplateRow {
    TemplateRow {
        id: template.id,
        tenant,
        text: template.text.clone(),
        sample: template.sample.clone(),
        count: template.count,
        first_seen: template.first_seen,
        last_seen: template.last_seen,
        state: encode(template),
    }
}

/// The template of a row; `None` if its state is of another layout or damaged: it is then mined anew.
pub(super) fn template(row: TemplateRow, seed: u64) -> Option<Template> {
    let (stamp, mut skeleton) = decode(&row.state)?;
    skeleton.rehash(seed);
    Some(Template {
        id: row.id,
        text: row.text,
        sample: row.sample,
        count: row.count,
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        has_wild: skeleton.has_wild(),
        skeleton,
        stamp,
        is_dirty: false,
    })
}

fn encode(template: &Template) -> Vec<u8> {
    let skeleton = &template.skeleton;
    let mut out = Vec::with_capacity(16 + skeleton.text.len() + skeleton.pieces.len() * 3);
    out.push(LAYOUT);
    put(&mut out, template.stamp);
    put(&mut out, skeleton.pieces.len() as u64);
    let mut at = 0;
    for piece in &skeleton.pieces {
        put(&mut out, u64::from(piece.start.saturating_sub(at)));
        put(&mut out, u64::from(piece.end.saturating_sub(piece.start)));
        out.push(part_code(piece.part));
        at = piece.end;
    }
    out.extend_from_slice(skeleton.text.as_bytes());
    out
}

fn decode(state: &[u8]) -> Option<(u64, Skeleton)> {
    let mut rest = state.strip_prefix(&[LAYOUT])?;
    let stamp = get(&mut rest)?;
    let count = usize::try_from(get(&mut rest)?).ok().filter(|count| *count <= 128)?;
    let mut pieces = Vec::with_capacity(count);
    let mut at = 0u32;
    for _ in 0..count {
        let start = at.checked_add(u32::try_from(get(&mut rest)?).ok()?)?;
        let end = start.checked_add(u32::try_from(get(&mut rest)?).ok()?)?;
        let (code, tail) = rest.split_first()?;
        rest = tail;
        pieces.push(Piece { start, end, part: part(*code)?, hash: 0 });
        at = end;
    }
    let text = String::from_utf8(rest.to_vec()).ok()?;
    let is_within = |piece: &Piece| text.get(piece.start as usize..piece.end as usize).is_some();
    pieces.iter().all(is_within).then_some((stamp, Skeleton { text, pieces, glue: 0 }))
}

fn part_code(part: Part) -> u8 {
    match part {
        Part::Wild => 0,
        Part::Word(Role::Plain) => 1,
        Part::Word(Role::Weak) => 2,
        Part::Word(Role::Fixed) => 3,
        Part::Word(Role::Slot) => 4,
        Part::Word(Role::Upper) => 5,
    }
}

fn part(code: u8) -> Option<Part> {
    Some(match code {
        0 => Part::Wild,
        1 => Part::Word(Role::Plain),
        2 => Part::Word(Role::Weak),
        3 => Part::Word(Role::Fixed),
        4 => Part::Word(Role::Slot),
        5 => Part::Word(Role::Upper),
        _ => return None,
    })
}

/// Appends a LEB128 number.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn get(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
