//! Makes a model's text harmless for every place it is shown: one line, no control or invisible characters, no markup.

use crate::redact::without_invisible;

/// Which text, and so how long it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Title,
    Explanation,
    Recommendation,
    RootCause,
    Name,
}

impl Text {
    /// Characters; alerts have room for about as many.
    const fn max_chars(self) -> usize {
        match self {
            Text::Title => 160,
            Text::Explanation => 2_000,
            Text::Recommendation => 1_500,
            Text::RootCause => 800,
            Text::Name => 128,
        }
    }
}

/// Cleans a text as a whole.
pub fn text(text: &str, kind: Text) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain: String = without_invisible(&spaced)
        .chars()
        .map(|c| match c {
            '<' => '‹',
            '>' => '›',
            '\u{2028}' | '\u{2029}' => ' ',
            c => c,
        })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let joined = words.join(" ");
    match joined.char_indices().nth(kind.max_chars()) {
        Some((end, _)) => format!("{}…", joined.get(..end).unwrap_or_default()),
        None => joined,
    }
}

/// Takes from links what makes them work: a proved link is still a stranger's.
pub fn inert(text: &str) -> String {
    text.replace("://", "[:]//").replace("www.", "www[.]").replace("](", "] (")
}

/// Cleans a text and keeps the sentences that are proved; says how many were removed.
pub fn sentences(text_of_model: &str, kind: Text, is_proved: &dyn Fn(&str) -> bool) -> (String, usize) {
    let plain = text(text_of_model, kind);
    let mut kept = String::new();
    let mut removed = 0;
    for sentence in split(&plain) {
        if is_proved(sentence) { kept.push_str(sentence) } else { removed += 1 }
    }
    (kept.trim().to_owned(), removed)
}

/// Sentences with what separates them: a full stop ends one only before a blank, so that addresses stay whole.
fn split(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let ends = (c == ' ' && matches!(before, '.' | '!' | '?' | ';'))
            || matches!(before, '。' | '！' | '？' | '；');
        if ends {
            sentences.extend(text.get(start..at));
            start = at;
        }
        before = c;
    }
    sentences.extend(text.get(start..).filter(|rest| !rest.trim().is_empty()));
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_or_page_would_act_on() {
        let hostile = "Bad\u{1b}[31m <img src=x>\u{202e}\nnext";
        assert_eq!(text(hostile, Text::Title), "Bad [31m ‹img src=x› next");
        assert_eq!(text(&"é".repeat(200), Text::Title).chars().count(), 161);
    }

    #[test]
    fn unproved_sentences_go_and_the_rest_stays() {
        let (kept, removed) =
            sentences("From 1.2.3.4 came much. It is evil! Look.", Text::Explanation, &|s| {
                !s.contains("evil")
            });
        assert_eq!((kept.as_str(), removed), ("From 1.2.3.4 came much. Look.", 1));
        assert_eq!(sentences("好。坏。", Text::Explanation, &|s| !s.contains('坏')), ("好。".to_owned(), 1));
    }
}
