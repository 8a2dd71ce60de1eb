//! The shape of a template's text as a test: which messages are of it.
//!
//! A normal is taught on the text a template has that day. The template may be widened or merged later; its text as
//! taught goes on to fit the same messages.

use regex::Regex;

/// A longer text is no template's.
const MAX_LEN: usize = 16 * 1024;
/// Bytes a compiled test may take.
const REGEX_BYTES: usize = 1 << 20;
/// Stands at the end of a text whose messages went on.
const CUT_MARK: &str = " …";

/// A template's text, compiled.
#[derive(Clone, Debug)]
pub struct Shape {
    text: String,
    test: Option<Regex>,
}

impl Shape {
    /// Compiles a text. One that cannot be compiled fits only messages whose template has that very text.
    pub fn new(text: &str) -> Self {
        Shape { text: text.to_owned(), test: compile(text) }
    }

    /// Whether a message is of this shape, or its template is this text.
    pub fn fits(&self, message: &str, template: Option<&str>) -> bool {
        template == Some(self.text.as_str())
            || self.test.as_ref().is_some_and(|test| test.is_match(&folded(message)))
    }
}

/// What may stand in the place of each placeholder.
const PLACEHOLDERS: [(&str, &str); 10] = [
    ("<ip>", r"[0-9A-Fa-f.:%\[\]]+"),
    ("<num>", r"[-+\w.,:/%]+"),
    ("<hex>", r"[-+\w.:]+"),
    ("<uuid>", r"[-\w]+"),
    ("<time>", r"[-+\w.,:]+"),
    ("<date>", r"[-+\w.,:/]+"),
    ("<qty>", r"[-+\w.,:/%°µ]+"),
    ("<path>", r"\S+"),
    ("<url>", r"\S+"),
    ("<email>", r"\S+"),
];
/// Any word; a quoted one may have blanks in it.
const WORD: &str = r#"(?:"[^"]*"|'[^']*'|\S*)"#;

fn compile(text: &str) -> Option<Regex> {
    if text.len() > MAX_LEN {
        return None;
    }
    let text = folded(text);
    let (mut rest, is_cut) = match text.strip_suffix(CUT_MARK) {
        Some(begin) => (begin, true),
        None => (text.as_str(), false),
    };
    let mut expression = String::from("^");
    while let Some(at) = rest.find('<') {
        let (literal, tail) = rest.split_at_checked(at)?;
        expression.push_str(&regex::escape(literal));
        let (class, len) = placeholder(literal, tail);
        expression.push_str(&class);
        rest = tail.get(len..)?;
    }
    expression.push_str(&regex::escape(rest));
    if !is_cut {
        expression.push('$');
    }
    regex::RegexBuilder::new(&expression).size_limit(REGEX_BYTES).build().ok()
}

/// The expression for what begins with `<`, and how long that is.
fn placeholder(before: &str, text: &str) -> (String, usize) {
    if text.starts_with("<*>") {
        let class = match before.chars().last() {
            Some('"') => r#"[^"]*"#,
            Some('\'') => "[^']*",
            _ => WORD,
        };
        return (class.to_owned(), "<*>".len());
    }
    let known = PLACEHOLDERS.iter().find(|(name, _)| text.starts_with(name));
    known.map_or((regex::escape("<"), 1), |(name, class)| ((*class).to_owned(), name.len()))
}

/// Runs of blanks and control characters as one blank, as templates have them.
fn folded(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for word in message.split(|c: char| c == ' ' || c.is_ascii_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(shape: &str, message: &str, expected: bool) {
        assert_eq!(Shape::new(shape).fits(message, None), expected, "{shape} on {message}");
    }

    #[test]
    fn placeholders_fit_values_and_words_fit_themselves() {
        check("backup took <qty> for <path>", "backup took  15.2s for /srv/data", true);
        check("backup took <qty> for <path>", "backup of root took 15s for /srv/data", false);
        check("backup took <qty> for <path>", "backup took 15s for /srv/data and failed", false);
        check(
            "Failed password for <*> from <ip> port <num>",
            "Failed password for bob from 192.0.2.1 port 22",
            true,
        );
        check("Failed password for <*> from <ip>", "Failed password for bob from nowhere", false);
        check(r#"said "<*>" (<num>)"#, r#"said "two words" (3)"#, true);
        check("a <b> c", "a <b> c", true);
        check("begins so …", "begins so and goes on", true);
        check("begins so", "begins so and goes on", false);
    }

    #[test]
    fn the_text_of_the_lines_template_is_enough() {
        assert!(Shape::new("x <*>").fits("quite different", Some("x <*>")));
        assert!(!Shape::new("x <*>").fits("quite different", Some("x <num>")));
    }

    proptest! {
        #[test]
        fn a_text_without_placeholders_fits_itself(text in "[ -;=-~]{0,60}") {
            prop_assert!(Shape::new(&text).fits(&text, None));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", message in "\\PC{0,80}") {
            Shape::new(&text).fits(&message, None);
        }
    }
}
