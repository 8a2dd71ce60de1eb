//! Hostile text made fit for a service: harmless, escaped, and no longer than the service takes.
//!
//! In: text of any length. Out: text within the limit, counted in the service's own unit, never cut inside a character
//! or an escape. Pure; never panics.

mod compose;
mod escape;

pub(super) use compose::{Lines, Role, Style, compose, joined};
pub(super) use escape::{NO_WRAP, angle, as_is, discord, html, mrkdwn, plain_style, telegram, wide_markdown};

/// Shows that something was cut off.
const ELLIPSIS: char = '…';

/// What a service counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 code units: an emoji counts two.
    Utf16,
    /// Unicode characters.
    Chars,
}

impl Unit {
    /// The length of a text.
    pub fn len(self, text: &str) -> usize {
        match self {
            Unit::Bytes => text.len(),
            Unit::Utf16 => text.encode_utf16().count(),
            Unit::Chars => text.chars().count(),
        }
    }

    fn of(self, char: char) -> usize {
        match self {
            Unit::Bytes => char.len_utf8(),
            Unit::Utf16 => char.len_utf16(),
            Unit::Chars => 1,
        }
    }
}

/// Escapes one character into the text.
pub(super) type Escape = fn(char, &mut String);

/// The escaped text in at most `max` units; a cut is shown by an ellipsis. Reads no further than needed.
pub(super) fn cut(text: &str, escape: Escape, unit: Unit, max: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    // Where the ellipsis still fits.
    let mut safe = 0;
    for char in text.chars() {
        let before = out.len();
        escape(char, &mut out);
        used += unit.len(out.get(before..).unwrap_or_default());
        if used > max {
            out.truncate(safe);
            if unit.of(ELLIPSIS) <= max {
                out.push(ELLIPSIS);
            }
            return out;
        }
        if used + unit.of(ELLIPSIS) <= max {
            safe = out.len();
        }
    }
    out
}

/// One line without anything that moves the cursor or turns the direction of reading: `line_end` stands for line ends.
pub(super) fn tame(text: &str, line_end: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.trim_end().chars() {
        match char {
            '\n' => out.push_str(line_end),
            '\r' => {}
            '\t' => out.push(' '),
            '\u{2028}' | '\u{2029}' | '\u{85}' => out.push_str(line_end),
            c if c.is_control() || turns_direction(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn turns_direction(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_limit_is_exact_at_its_edge() {
        assert_eq!(cut("abcde", as_is, Unit::Chars, 5), "abcde");
        assert_eq!(cut("abcdef", as_is, Unit::Chars, 5), "abcd…");
        // Three bytes each, and the ellipsis too.
        assert_eq!(cut("严重高", as_is, Unit::Bytes, 9), "严重高");
        assert_eq!(cut("严重高低", as_is, Unit::Bytes, 9), "严重…");
        assert_eq!(cut("严重高低", as_is, Unit::Bytes, 8), "严…");
        assert_eq!(cut("🔥🔥🔥", as_is, Unit::Utf16, 6), "🔥🔥🔥");
        assert_eq!(cut("🔥🔥🔥", as_is, Unit::Utf16, 5), "🔥🔥…");
        assert_eq!(cut("🔥🔥🔥", as_is, Unit::Utf16, 4), "🔥…");
        assert_eq!(
            (cut("ab", as_is, Unit::Bytes, 1), cut("ab", as_is, Unit::Chars, 0)),
            (String::new(), String::new())
        );
    }

    #[test]
    fn an_escape_is_whole_or_absent() {
        assert_eq!(cut("a<b", html, Unit::Chars, 6), "a&lt;b");
        assert_eq!(cut("a<b", html, Unit::Chars, 5), "a…");
        assert_eq!(cut("a<", html, Unit::Chars, 5), "a&lt;");
    }

    #[test]
    fn control_and_direction_characters_show_as_what_they_are() {
        assert_eq!(tame("a\x1b[2Jb\r\nc\td\u{202e}e\u{2028}f\n", " ⏎ "), "a\u{fffd}[2Jb ⏎ c d\u{fffd}e ⏎ f");
    }

    proptest! {
        #[test]
        fn no_text_exceeds_its_limit(text in ".{0,60}", max in 0usize..40) {
            for unit in [Unit::Bytes, Unit::Utf16, Unit::Chars] {
                for escape in [as_is as Escape, html, discord, wide_markdown, telegram, mrkdwn] {
                    let cut = cut(&text, escape, unit, max);
                    prop_assert!(unit.len(&cut) <= max, "{cut:?}");
                }
            }
        }
    }
}
