//! Knowledge notes: what the operator has written down for the model to read. Bounded when they are made.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Bytes of a title, at most.
pub const NOTE_TITLE_MAX: usize = 200;
/// Bytes of a note's text, at most: a runbook, not a manual.
pub const NOTE_BODY_MAX: usize = 64 * 1024;
/// A section is cut into pieces of about this many bytes, so that several fit one question.
const SECTION_MAX: usize = 1_200;
/// A heading begins a new section only after so many bytes: a text of headings alone makes few sections.
const SECTION_MIN: usize = 240;

/// Identity of a stored note; a number is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NoteId(pub i64);

/// A note as a finding names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRef {
    /// Identity.
    pub id: NoteId,
    /// Its title at that time.
    pub title: String,
}

/// A note as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Identity.
    pub id: NoteId,
    /// The file of the knowledge folder it comes from; none for a note of the API.
    pub file: Option<String>,
    /// What it is about, in one line.
    pub title: String,
    /// Its text, Markdown.
    pub body: String,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Why a note cannot be taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// Nothing to call it by.
    #[error("the title is empty")]
    NoTitle,
    /// The title is no title.
    #[error("the title is longer than {NOTE_TITLE_MAX} bytes")]
    LongTitle,
    /// Nothing in it.
    #[error("the text is empty")]
    NoBody,
    /// More than a question could ever hold.
    #[error("the text is longer than {NOTE_BODY_MAX} bytes")]
    LongBody,
}

/// A note's words, within the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteDraft {
    title: String,
    body: String,
}

/// A piece of a note under the heading it stands below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteSection {
    /// The nearest heading above; empty before the first.
    pub heading: String,
    /// The text, headings of small sections included.
    pub text: String,
}

impl NoteDraft {
    /// Checks title and text.
    pub fn new(title: &str, body: &str) -> Result<Self, BadNote> {
        let (title, body) = (title.trim(), body.trim());
        match () {
            () if title.is_empty() => Err(BadNote::NoTitle),
            () if title.len() > NOTE_TITLE_MAX => Err(BadNote::LongTitle),
            () if body.is_empty() => Err(BadNote::NoBody),
            () if body.len() > NOTE_BODY_MAX => Err(BadNote::LongBody),
            () => Ok(NoteDraft { title: title.to_owned(), body: body.to_owned() }),
        }
    }

    /// A Markdown file: its first heading is the title, else its name.
    pub fn of_markdown(name: &str, text: &str) -> Result<Self, BadNote> {
        let first = text.lines().find_map(heading).filter(|title| !title.is_empty());
        let title = first.unwrap_or_else(|| name.trim_end_matches(".md"));
        let end = title.floor_char_boundary(NOTE_TITLE_MAX);
        NoteDraft::new(title.get(..end).unwrap_or_default(), text)
    }

    /// What it is about.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its text.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The text in pieces, cut at headings, blank lines, line ends or, where there is nothing else, anywhere.
    pub fn sections(&self) -> Vec<NoteSection> {
        let mut cutter = Cutter::default();
        let mut is_code = false;
        for line in self.body.lines() {
            is_code ^= line.trim_start().starts_with("```");
            if let Some(heading) = heading(line).filter(|_| !is_code) {
                cutter.heading(heading, line);
            } else {
                cutter.line(line);
            }
        }
        cutter.end_section();
        cutter.sections
    }
}

/// The text of a heading line.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let depth = line.len() - text.len();
    ((1..=6).contains(&depth) && text.starts_with([' ', '\t'])).then(|| text.trim())
}

#[derive(Default)]
struct Cutter {
    sections: Vec<NoteSection>,
    open: NoteSection,
}

impl Cutter {
    fn heading(&mut self, heading: &str, line: &str) {
        if self.open.text.len() >= SECTION_MIN {
            self.end_section();
        }
        if self.open.text.is_empty() {
            heading.clone_into(&mut self.open.heading);
        } else {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let is_break = line.trim().is_empty() && self.open.text.len() >= SECTION_MAX / 2;
        if is_break || self.open.text.len() + line.len() >= SECTION_MAX {
            self.end_section();
        }
        let mut rest = line.trim_end();
        while rest.len() > SECTION_MAX {
            let (head, tail) =
                rest.split_at_checked(rest.floor_char_boundary(SECTION_MAX)).unwrap_or((rest, ""));
            self.open.text.push_str(head);
            self.end_section();
            rest = tail;
        }
        if !(rest.is_empty() && self.open.text.is_empty()) {
            self.open.text.push_str(rest);
            self.open.text.push('\n');
        }
    }

    /// Ends the section; the next one stands under the same heading until another comes.
    fn end_section(&mut self) {
        let heading = self.open.heading.clone();
        let section = std::mem::replace(&mut self.open, NoteSection { heading, text: String::new() });
        if !section.text.trim().is_empty() {
            let text = section.text.trim_end().to_owned();
            self.sections.push(NoteSection { text, ..section });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_empty_or_too_long_is_no_note() {
        let long = "x".repeat(NOTE_BODY_MAX + 1);
        for (title, body, expected) in [
            (" ", "text", BadNote::NoTitle),
            (long.as_str(), "text", BadNote::LongTitle),
            ("title", "\n", BadNote::NoBody),
            ("title", &long, BadNote::LongBody),
        ] {
            assert_eq!(NoteDraft::new(title, body), Err(expected));
        }
    }

    #[test]
    fn a_file_is_called_by_its_first_heading_or_its_name() {
        let of = |text| NoteDraft::of_markdown("mail-server.md", text).unwrap().title().to_owned();
        assert_eq!(of("\n## Mail, in and out\ntext"), "Mail, in and out");
        assert_eq!(of("#not a heading\ntext"), "mail-server");
    }

    #[test]
    fn sections_are_cut_at_headings_but_small_ones_stay_together() {
        let long = "word ".repeat(60);
        let body = format!("intro\n# A\nshort\n## B\n{long}\n# C\n```\n# no heading\n```\nend");
        let sections = NoteDraft::new("t", &body).unwrap().sections();
        let shown: Vec<_> = sections.iter().map(|s| (s.heading.as_str(), s.text.as_str())).collect();
        let first = format!("intro\n# A\nshort\n## B\n{}", long.trim_end());
        assert_eq!(shown, [("", first.as_str()), ("C", "```\n# no heading\n```\nend")]);
    }

    #[test]
    fn a_long_line_and_a_text_of_headings_make_bounded_sections() {
        let line = NoteDraft::new("t", &"é".repeat(2_000)).unwrap().sections();
        assert_eq!(line.iter().map(|s| s.text.len()).collect::<Vec<_>>(), [1_200, 1_200, 1_200, 400]);
        let headings = NoteDraft::new("t", &"# a\nb\n".repeat(10_000)).unwrap().sections();
        assert!(headings.len() <= NOTE_BODY_MAX / SECTION_MIN + 1, "{}", headings.len());
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_section_is_long(body in "([#a-z ]{0,80}\n){0,60}x") {
            let draft = NoteDraft::new("t", &body).unwrap();
            let sections = draft.sections();
            let all: String = sections.iter().map(|s| format!("{} {}\n", s.heading, s.text)).collect();
            for word in draft.body().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                // A heading that only another heading follows has no text to stand above.
                let is_heading = draft.body().lines().filter_map(heading).any(|h| h.contains(word));
                prop_assert!(is_heading || all.contains(word), "{word} of {body}");
            }
            prop_assert!(sections.iter().all(|s| s.text.len() <= SECTION_MAX + 1));
        }
    }
}
