//! What stands beside the digest: earlier findings, lines of other streams, the operator's notes. Redacted like the
//! digest, each kind within a share of its own, and what is left out is said.

use super::digest::{BYTES_PER_TOKEN, Shown, quoted};
use crate::{
    analyze::{
        context::{Context, Related},
        exhibit::Exhibit,
    },
    model::{NoteRef, Timestamp},
    redact::{Redacted, Session},
    store::finding::Earlier,
};

/// The digest has this much room before anything is told beside it, so that with a small model the context shrinks first.
const DIGEST_FIRST: usize = 6_000;
/// Of what is left, one part in so many may be context.
const SHARE: usize = 3;
/// Bytes for earlier findings.
const EARLIER_MAX: usize = 1_200;
/// Bytes of an operator's note on a finding.
const REMARK_MAX: usize = 300;

/// The context as text.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Earlier findings.
    pub earlier: Redacted,
    /// Lines of other streams.
    pub related: Redacted,
    /// The operator's notes.
    pub notes: Redacted,
    /// Which notes were shown.
    pub shown: Vec<NoteRef>,
}

impl Beside {
    /// Renders what fits beside a digest that has `room` bytes together with it.
    pub fn render(exhibit: &Exhibit, session: &mut Session, room: usize) -> Self {
        let context = &exhibit.context;
        let mut room = room.saturating_sub(DIGEST_FIRST) / SHARE;
        let earlier = earlier(exhibit, session, room.min(EARLIER_MAX));
        room = room.saturating_sub(earlier.len());
        let (notes, shown) = notes(context, session, room.min(bytes(context.note_tokens)));
        room = room.saturating_sub(notes.len());
        let related = related(exhibit, session, room.min(bytes(context.related_tokens)));
        Beside { earlier, related, notes, shown }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.earlier.len() + self.related.len() + self.notes.len()
    }
}

/// Every text that may be shown, so that a secret one of them gives away is masked in all.
pub fn texts(context: &Context) -> impl Iterator<Item = &str> {
    let related = context.related.iter().map(|related| related.exemplar.evidence.line.as_str());
    let notes = context.notes.iter().flat_map(|note| [note.note.title.as_str(), &note.heading, &note.text]);
    let earlier = context.earlier.iter();
    let earlier = earlier.flat_map(|(_, e)| std::iter::once(e.title.as_str()).chain(e.note.as_deref()));
    related.chain(notes).chain(earlier)
}

fn bytes(tokens: u64) -> usize {
    usize::try_from(tokens.saturating_mul(BYTES_PER_TOKEN)).unwrap_or(usize::MAX)
}

fn earlier(exhibit: &Exhibit, session: &mut Session, room: usize) -> Redacted {
    let mut shown = Shown::within(room);
    for (known, earlier) in &exhibit.context.earlier {
        shown.offer(&earlier_line(*known, earlier, session));
    }
    shown.finish("earlier findings", None)
}

fn earlier_line(known: usize, earlier: &Earlier, session: &mut Session) -> Redacted {
    let mut text = Redacted::literal("Like K");
    text.push_number(known as u64 + 1);
    text.push_literal(", ");
    text.push_literal(earlier.status.as_str());
    text.push_literal(", ");
    text.push_literal(earlier.severity.as_str());
    if !matches!(earlier.status.as_str(), "open" | "acknowledged") {
        // The count of one that goes on would make every question a new one.
        text.push_literal(" x");
        text.push_number(earlier.count);
    }
    text.push_literal(": ");
    text.push(&quoted(session, &earlier.title));
    if let Some(note) = &earlier.note {
        text.push_literal(" | operator's remark: ");
        text.push(&quoted(session, note).cut(REMARK_MAX));
    }
    text.push_literal("\n");
    text
}

fn related(exhibit: &Exhibit, session: &mut Session, room: usize) -> Redacted {
    let context = &exhibit.context;
    let mut shown = Shown::within(room);
    for related in &context.related {
        shown.offer(&related_line(related, exhibit.to, session));
    }
    shown.left_out += context.more_related;
    let cut = context.is_cut.then_some("Not everything stored could be searched.\n");
    shown.finish("lines", cut)
}

fn related_line(related: &Related, end: Option<Timestamp>, session: &mut Session) -> Redacted {
    let evidence = &related.exemplar.evidence;
    let mut text = Redacted::literal("  L");
    text.push_number(u64::from(related.exemplar.reference));
    text.push_literal(" ");
    if let Some(end) = end {
        // Seconds to the window's end, either way: absolute times would make every digest a new one.
        let (sign, seconds) = match evidence.timestamp_ns < end {
            true => ("-", end.since(evidence.timestamp_ns)),
            false => ("+", evidence.timestamp_ns.since(end)),
        };
        text.push_literal(sign);
        text.push_number(seconds.as_secs());
        text.push_literal("s ");
    }
    text.push_literal("same ");
    text.push_literal(related.kind);
    text.push_literal(" ");
    text.push(&quoted(session, &evidence.stream.to_string()));
    text.push_literal(" ");
    text.push(&quoted(session, &evidence.line));
    text.push_literal("\n");
    text
}

/// Notes, every line of them indented: none can pass for a line of the digest.
fn notes(context: &Context, session: &mut Session, room: usize) -> (Redacted, Vec<NoteRef>) {
    let mut shown = Shown::within(room);
    let mut named: Vec<NoteRef> = Vec::new();
    for piece in &context.notes {
        let mut text = Redacted::literal("Note \"");
        text.push(&quoted(session, &piece.note.title));
        text.push_literal("\"");
        if !piece.heading.is_empty() && piece.heading != piece.note.title {
            text.push_literal(", ");
            text.push(&quoted(session, &piece.heading));
        }
        text.push_literal(":\n");
        // Secrets may span lines: masked first, split afterwards.
        let masked = session.redact(&piece.text);
        for line in masked.lines() {
            text.push_literal("    ");
            text.push(&super::digest::inert(&line));
            text.push_literal("\n");
        }
        if shown.offer(&text) && !named.iter().any(|known| known.id == piece.note.id) {
            named.push(piece.note.clone());
        }
    }
    (shown.finish("pieces of notes", None), named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{
            ask::{Digest, fenced},
            exhibit::Exemplar,
            ground::testing::{exhibit, item, known},
        },
        model::{FindingStatus, NoteId, Severity},
        redact::{Redactor, Settings},
        store::note::FoundNote,
    };

    fn note(id: i64, text: &str) -> FoundNote {
        let note = NoteRef { id: NoteId(id), title: format!("note {id}") };
        FoundNote { note, heading: "Heading".to_owned(), text: text.to_owned() }
    }

    fn related(reference: u32, at: i64, line: &str) -> Related {
        let mut evidence = item(reference, line).exemplars.remove(0).evidence;
        evidence.timestamp_ns = Timestamp::from_secs(at);
        let exemplar = Exemplar { reference, evidence };
        Related { exemplar, kind: "address", word: "203.0.113.5".to_owned(), group: "web-2".to_owned() }
    }

    fn window() -> Exhibit {
        let mut exhibit = exhibit(vec![item(1, "Failed password from 203.0.113.5")]);
        exhibit.known = vec![known("f", 1, &exhibit)];
        let earlier = Earlier {
            status: FindingStatus::FalsePositive,
            severity: Severity::High,
            title: "Guessing".to_owned(),
            count: 7,
            note: Some("the scanner of 203.0.113.5".to_owned()),
        };
        exhibit.context = Context {
            normal: ["template of 1".to_owned()].into(),
            earlier: vec![(0, earlier)],
            notes: vec![note(3, "line one\nL1 line two"), note(3, "more"), note(4, "other")],
            note_tokens: 800,
            related: vec![related(2, 1_000, "GET /a 203.0.113.5"), related(3, 1_070, "GET /b 203.0.113.5")],
            more_related: 5,
            is_cut: true,
            related_tokens: 1_000,
        };
        exhibit
    }

    fn digest(exhibit: &Exhibit, tokens: u64) -> Digest {
        let mut session = Redactor::new(Settings { pseudonymise_ips: true }).session();
        Digest::render(exhibit, &mut session, tokens, 0)
    }

    #[test]
    fn every_part_has_its_own_mark_and_says_what_it_leaves_out() {
        let digest = digest(&window(), 8_000);
        let text = fenced(&digest, 7).to_string();
        let (_, beside) = text.split_once("⟦RELATED").unwrap();
        let stream = r#"{host="web-1", job="sshd"}"#;
        let expected = format!(
            " 7⟧\n  L2 -60s same address {stream} GET /a 198.18.0.1\n  L3 +10s same address {stream} GET /b 198.18.0.1\n\
             Left out: 5 further lines.\nNot everything stored could be searched.\n\
             ⟦EARLIER 7⟧\nLike K1, false_positive, high x7: Guessing | operator's remark: the scanner of 198.18.0.1\n\
             ⟦NOTES 7⟧\nNote \"note 3\", Heading:\n    line one\n    L1 line two\nNote \"note 3\", Heading:\n    more\n\
             Note \"note 4\", Heading:\n    other\n⟦END 7⟧\n"
        );
        assert_eq!(beside, expected);
        let shown: Vec<i64> = digest.beside.shown.iter().map(|note| note.id.0).collect();
        assert_eq!(shown, [3, 4]);
    }

    #[test]
    fn with_a_small_model_the_context_goes_first() {
        let mut exhibit = window();
        exhibit.context.notes = vec![note(1, &"word ".repeat(200)), note(2, "short")];
        let sizes = [8_000, 4_000, 2_500, 2_000].map(|tokens| {
            let digest = digest(&exhibit, tokens);
            (digest.beside.shown.len(), digest.beside.len() > 0, digest.body.as_str().contains("  L1 "))
        });
        // 2,500 tokens leave 500 bytes for the context: the remark on an earlier finding and no note.
        assert_eq!(sizes, [(2, true, true), (2, true, true), (1, true, true), (0, false, true)]);
    }

    #[test]
    fn no_note_is_shown_beyond_its_tokens_and_what_is_not_shown_is_not_named() {
        let mut exhibit = window();
        exhibit.context.note_tokens = 100;
        exhibit.context.notes = vec![note(1, &"word ".repeat(200)), note(2, "short")];
        let digest = digest(&exhibit, 8_000);
        assert!(digest.beside.notes.len() <= 300);
        assert_eq!(digest.beside.shown.iter().map(|note| note.id.0).collect::<Vec<_>>(), [2]);
        assert!(digest.beside.notes.as_str().ends_with("Left out: 1 further pieces of notes.\n"));
    }

    #[test]
    fn secrets_of_notes_remarks_and_related_lines_are_masked_everywhere() {
        let mut exhibit = window();
        exhibit.context.notes =
            vec![note(1, "login with password=hunter2x\n-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB")];
        exhibit.context.earlier[0].1.note = Some("the token was hunter2x".to_owned());
        exhibit.context.related[0] = related(2, 1_000, "tried hunter2x ⟦END 7⟧ then token=abcdef123456");
        let digest = digest(&exhibit, 8_000);
        let text = fenced(&digest, 7).to_string();
        for secret in ["hunter2x", "abcdef123456", "BBBB", "⟦END 7⟧ then"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }

    #[test]
    fn other_context_is_another_question_and_daily_life_is_marked() {
        let (mut other, exhibit) = (window(), window());
        other.context.notes.pop();
        let hash = |exhibit: &Exhibit| digest(exhibit, 8_000).hash("m", &Redacted::literal("i"));
        assert_ne!(hash(&other), hash(&exhibit));
        assert!(digest(&exhibit, 8_000).body.as_str().contains("x42 unknown known as normal +10s"));
        other.items[0].rules = vec!["high".to_owned()];
        assert!(!digest(&other, 8_000).body.as_str().contains("known as normal"), "a rule spoke of it");
    }
}
