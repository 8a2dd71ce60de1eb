//! What a text says once tricks of writing are undone, with the way back to the original bytes.

use std::ops::Range;

/// Rounds of decoding: `%2570` is a `p` too.
const ROUNDS: usize = 3;

/// A decoded text; every byte knows where in the original it came from.
pub struct View {
    text: String,
    /// For each byte of `text`, the range of the original that stands for it.
    from: Vec<Range<usize>>,
}

impl View {
    /// Decodes `%xx`, `\xXX`, `\uXXXX`, `&#NN;` of printable ASCII and full-width forms. `None` when there are none.
    pub fn decoded(original: &str) -> Option<Self> {
        let mut view = View::once(original)?;
        for _ in 1..ROUNDS {
            let Some(next) = View::once(&view.text) else { break };
            let from = next.from.into_iter().map(|range| view.origin(range)).collect();
            view = View { text: next.text, from };
        }
        Some(view)
    }

    /// The decoded text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The range of the original that a range of the decoded text stands for.
    pub fn origin(&self, range: Range<usize>) -> Range<usize> {
        let parts = self.from.get(range).unwrap_or_default();
        match (parts.first(), parts.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    fn once(original: &str) -> Option<Self> {
        let mut view = View { text: String::with_capacity(original.len()), from: Vec::new() };
        let mut changed = false;
        let mut at = 0;
        while let Some(rest) = original.get(at..)
            && let Some(next) = rest.chars().next()
        {
            let (char, len) = match decode(rest, next) {
                Some(found) => {
                    changed = true;
                    found
                }
                None => (next, next.len_utf8()),
            };
            view.text.push(char);
            view.from.extend(std::iter::repeat_n(at..at + len, char.len_utf8()));
            at += len;
        }
        changed.then_some(view)
    }
}

/// The printable ASCII character that the beginning of `rest` encodes, and how many bytes encode it.
fn decode(rest: &str, next: char) -> Option<(char, usize)> {
    let hex = |skip: usize, digits: usize| {
        let code = u32::from_str_radix(rest.get(skip..skip + digits)?, 16).ok()?;
        let char = char::from_u32(code).filter(char::is_ascii_graphic)?;
        Some((char, skip + digits))
    };
    match next {
        '%' => hex(1, 2),
        '\\' if rest.starts_with("\\x") => hex(2, 2),
        '\\' if rest.starts_with("\\u") => hex(2, 4),
        '&' if rest.starts_with("&#") => {
            let digits: String = rest.chars().skip(2).take_while(char::is_ascii_digit).take(3).collect();
            let char = char::from_u32(digits.parse().ok()?).filter(char::is_ascii_graphic)?;
            let len = 2 + digits.len();
            Some((char, if rest.get(len..len + 1) == Some(";") { len + 1 } else { len }))
        }
        // Full-width forms of the printable ASCII characters lie at a fixed distance.
        '\u{ff01}'..='\u{ff5e}' => Some((char::from_u32(u32::from(next) - 0xfee0)?, next.len_utf8())),
        _ => None,
    }
}

/// Removes characters that nobody sees: they only serve to split words that would be recognised.
pub fn without_invisible(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).collect()
}

/// Whether a character shows nothing: zero-width, direction marks, variation selectors, tags.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c.is_control() && !matches!(c, '\n' | '\t' | '\r' | '\u{1b}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lead_back_through_every_round() {
        let original = "a %2570wd=x";
        let view = View::decoded(original).unwrap();
        assert_eq!(view.text(), "a pwd=x");
        assert_eq!(original.get(view.origin(2..5)).unwrap(), "%2570wd");
    }

    #[test]
    fn spaces_stay_encoded_so_that_values_stay_whole() {
        assert_eq!(View::decoded("p%3Da%20b").unwrap().text(), "p=a%20b");
    }

    #[test]
    fn text_without_tricks_needs_no_view() {
        assert!(View::decoded("plain 100% of C:\\path").is_none());
    }
}
