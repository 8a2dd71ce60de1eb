//! Writes HTML. Markup can only be a literal of this program; everything else is text and is escaped.

/// HTML in the making.
#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Appends markup. Only literals of the program fit: text from outside does not live for ever.
    pub fn markup(&mut self, literal: &'static str) -> &mut Self {
        self.0.push_str(literal);
        self
    }

    /// Appends text, escaped; safe between tags and inside double-quoted attributes.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Control characters and direction overrides make a line look like another one.
                '\n' | '\t' => self.0.push(c),
                c if c.is_control() || is_direction_mark(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Appends an element that holds only text.
    pub fn element(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Self {
        self.markup(open).text(text).markup(close)
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.0
    }
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let mut html = Html::default();
        html.element("<b title=\"", "\" onload='x' </b><script>&\u{202e}\u{1b}[1m", "\">");
        assert_eq!(
            html.finish(),
            "<b title=\"&quot; onload=&#39;x&#39; &lt;/b&gt;&lt;script&gt;&amp;\u{fffd}\u{fffd}[1m\">"
        );
    }
}
