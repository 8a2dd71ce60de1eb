//! The operator's own text: `{title}` and the like are replaced, everything else stands as written. No logic.

/// A text with placeholders, all of them known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(&'static str),
}

/// A placeholder nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown placeholder {{{0}}}")]
pub struct UnknownPlaceholder(String);

impl Template {
    /// What may stand between braces.
    pub const PLACEHOLDERS: [&'static str; 17] = [
        "title",
        "headline",
        "summary",
        "recommendation",
        "severity",
        "category",
        "kind",
        "hosts",
        "users",
        "source_ips",
        "service",
        "count",
        "first_seen",
        "last_seen",
        "evidence",
        "link",
        "tenant",
    ];

    /// Reads a template. Braces around anything but lower-case letters and `_` are text, so that JSON can be written.
    pub fn parse(text: &str) -> Result<Self, UnknownPlaceholder> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            plain.push_str(before);
            match after.split_once('}').filter(|(name, _)| is_name(name)) {
                Some((name, tail)) => {
                    let known = Self::PLACEHOLDERS.into_iter().find(|known| *known == name);
                    let known = known.ok_or_else(|| UnknownPlaceholder(name.to_owned()))?;
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Value(known));
                    rest = tail;
                }
                None => {
                    plain.push('{');
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Template(pieces))
    }

    /// The text with each placeholder's value, written by `write` (which escapes it for where it stands).
    pub fn fill(&self, value: impl Fn(&str) -> String, write: impl Fn(&str, &mut String)) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(name) => write(&value(name), &mut out),
            }
        }
        out
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once_and_other_braces_stay() {
        let template = Template::parse(r#"{"text": "{title}", "n": {count}, "o": {}}"#).unwrap();
        let text = template.fill(|name| format!("<{name}> {{title}}"), |value, out| out.push_str(value));
        assert_eq!(text, r#"{"text": "<title> {title}", "n": <count> {title}, "o": {}}"#);
        assert_eq!(Template::parse("{titel}").unwrap_err().to_string(), "unknown placeholder {titel}");
        assert_eq!(Template::parse("open {").unwrap().fill(|_| String::new(), |_, _| {}), "open {");
    }
}
