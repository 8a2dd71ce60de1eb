//! The memory of sessions as rows: one for the kinds of keys, one for each open session and each course learnt.
//!
//! `save` gives what changed since the last call. All rows together, given to `restore` in any order, make the same
//! state; a row of another layout or a damaged one is left out, and that part is learnt again.

use super::{
    Sessions,
    kind::{KeyKind, Standing},
    model::Learnt,
    session::{Session, Step},
    shape::Shape,
};
use crate::{
    analyze::detect::{
        Part,
        pack::{Packer, Unpacker},
    },
    model::{EvidenceLine, LineRef, TemplateId},
    store::memory::MemoryRow,
};

/// First byte of every row; another layout gets another number.
const LAYOUT: u8 = 1;
/// Entries a list may have in a row: more than any of them can hold.
const MAX_LIST: usize = 4_096;
/// The kinds of keys stand beside the open sessions, under a key that no session has.
const KINDS: u64 = 0;

impl Sessions {
    /// Adds the rows that changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        let mut row = Packer::new(LAYOUT);
        row.number(self.clock);
        row.number(self.abnormal);
        row.number(u64::from(self.is_learning));
        row.number(self.kinds.len() as u64);
        self.kinds.iter().for_each(|kind| pack_kind(&mut row, kind));
        let state = row.finish();
        if self.written_kinds != state {
            self.written_kinds.clone_from(&state);
            out.push(row_of(Part::Session, KINDS, Some(state)));
        }
        self.open.changes(&mut |key, session| {
            out.push(row_of(Part::Session, key, session.map(pack_session)));
        });
        let mut kinds: Vec<u64> = self.models.keys().copied().collect();
        kinds.sort_unstable();
        for kind in kinds {
            if let Some(model) = self.models.get_mut(&kind) {
                model.changes(&mut |key, learnt| {
                    out.push(row_of(Part::Sequence, key, learnt.map(pack_learnt)));
                });
            }
        }
    }

    /// Takes back a row.
    pub fn restore(&mut self, row: &MemoryRow) {
        let Some(state) = &row.state else { return };
        let taken = match (Part::from_number(row.part), row.key) {
            (Some(Part::Session), KINDS) => self.restore_kinds(state),
            (Some(Part::Session), key) => unpack_session(state).map(|session| self.open.insert(key, session)),
            (Some(Part::Sequence), key) => unpack_learnt(state).map(|learnt| {
                self.is_unsettled = true;
                self.models.entry(learnt.shape.kind).or_default().restore(key, learnt);
            }),
            _ => Some(()),
        };
        if taken.is_none() {
            tracing::warn!(
                part = row.part,
                key = row.key,
                "what is remembered of sessions cannot be read and is learnt again"
            );
        }
    }

    fn restore_kinds(&mut self, state: &[u8]) -> Option<()> {
        let mut row = Unpacker::new(LAYOUT, state)?;
        let (clock, abnormal) = (row.number()?, row.number()?);
        let is_learning = row.number()? != 0;
        let kinds = list(&mut row, MAX_LIST, unpack_kind)?;
        (self.clock, self.abnormal, self.is_learning, self.kinds) = (clock, abnormal, is_learning, kinds);
        state.clone_into(&mut self.written_kinds);
        Some(())
    }
}

fn row_of(part: Part, key: u64, state: Option<Vec<u8>>) -> MemoryRow {
    MemoryRow { part: part.number(), key, state }
}

/// Reads a list of at most `max` entries.
pub(super) fn list<'a, T>(
    row: &mut Unpacker<'a>,
    max: usize,
    entry: impl Fn(&mut Unpacker<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = usize::try_from(row.number()?).ok().filter(|count| *count <= max)?;
    (0..count).map(|_| entry(row)).collect()
}

fn pack_kind(row: &mut Packer, kind: &KeyKind) {
    row.number(kind.id);
    row.text(&kind.name);
    let standing = match kind.standing {
        Standing::Trial => 0,
        Standing::Accepted => 1,
        Standing::Rejected => 2,
    };
    for number in
        [standing, kind.lines, kind.opened, kind.ended, kind.with_course, kind.next_trial, kind.seen_at]
    {
        row.number(number);
    }
}

fn unpack_kind(row: &mut Unpacker<'_>) -> Option<KeyKind> {
    let (id, name) = (row.number()?, row.text()?.to_owned());
    let standing = match row.number()? {
        0 => Standing::Trial,
        1 => Standing::Accepted,
        2 => Standing::Rejected,
        _ => return None,
    };
    Some(KeyKind {
        id,
        name,
        standing,
        lines: row.number()?,
        opened: row.number()?,
        ended: row.number()?,
        with_course: row.number()?,
        next_trial: row.number()?,
        seen_at: row.number()?,
    })
}

fn pack_session(session: &Session) -> Vec<u8> {
    let mut row = Packer::new(LAYOUT);
    row.number(session.kind);
    row.text(&session.key);
    row.number(session.lines.into());
    row.time(session.first);
    row.time(session.last);
    row.time(session.received);
    row.number(session.steps.len() as u64);
    for step in &session.steps {
        row.number(step.template.0);
        row.number(step.count.into());
        row.number(step.last.into());
    }
    row.number(session.moves.len() as u64);
    for (from, to) in &session.moves {
        row.number(u64::from(*from));
        row.number(u64::from(*to));
    }
    for number in [u64::from(session.current), session.stamp, session.begun_at, session.seen_at] {
        row.number(number);
    }
    row.number(session.quotes.len() as u64);
    session.quotes.iter().for_each(|quote| pack_quote(&mut row, quote));
    row.finish()
}

fn unpack_session(state: &[u8]) -> Option<Session> {
    let mut row = Unpacker::new(LAYOUT, state)?;
    let (kind, key, lines) = (row.number()?, row.text()?.to_owned(), small(&mut row)?);
    let mut session = Session::new(kind, key, row.time()?, 0);
    (session.lines, session.last, session.received) = (lines, row.time()?, row.time()?);
    let step = |row: &mut Unpacker<'_>| {
        Some(Step { template: TemplateId(row.number()?), count: small(row)?, last: small(row)? })
    };
    session.steps = list(&mut row, MAX_LIST, step)?.into();
    session.moves = list(&mut row, MAX_LIST, |row| Some((byte(row)?, byte(row)?)))?.into();
    session.current = byte(&mut row)?;
    (session.stamp, session.begun_at, session.seen_at) = (row.number()?, row.number()?, row.number()?);
    session.quotes = list(&mut row, MAX_LIST, unpack_quote)?;
    session.is_written = true;
    Some(session)
}

/// Lines have labels: JSON, as everywhere where they are stored, and their place beside it.
fn pack_quote(row: &mut Packer, quote: &EvidenceLine) {
    row.number(u64::from(quote.at.is_some()));
    if let Some(at) = quote.at {
        row.number(at.block);
        row.number(at.index.into());
    }
    row.text(&serde_json::to_string(quote).unwrap_or_default());
}

fn unpack_quote(row: &mut Unpacker<'_>) -> Option<EvidenceLine> {
    let at = match row.number()? {
        0 => None,
        _ => Some(LineRef { block: row.number()?, index: small(row)? }),
    };
    let quote: EvidenceLine = serde_json::from_str(row.text()?).ok()?;
    Some(EvidenceLine { at, ..quote })
}

fn pack_learnt(learnt: &Learnt) -> Vec<u8> {
    let mut row = Packer::new(LAYOUT);
    learnt.shape.pack(&mut row);
    for number in [learnt.weight, learnt.settled, learnt.stamp] {
        row.number(number);
    }
    row.finish()
}

fn unpack_learnt(state: &[u8]) -> Option<Learnt> {
    let mut row = Unpacker::new(LAYOUT, state)?;
    let shape = Shape::unpack(&mut row)?;
    let (weight, settled, stamp) = (row.number()?, row.number()?, row.number()?);
    Some(Learnt { shape, weight, settled, stamp, is_dirty: false, is_written: true })
}

fn small(row: &mut Unpacker<'_>) -> Option<u32> {
    u32::try_from(row.number()?).ok()
}

fn byte(row: &mut Unpacker<'_>) -> Option<u8> {
    u8::try_from(row.number()?).ok()
}
