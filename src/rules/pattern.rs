//! The pattern language of rules: text as the daemon writes it, with `{field}` where a fact stands.
//!
//! `Failed {password|none} for {invalid user |}{user*} from {ip} port {port}`: `{name}` is a field, `{name*}` a field that
//! may hold anything (greedy, so the last possible end wins), `{addr}` an address or host name, `{*}` any text, `{a|b}`
//! one of several texts, `^` and `$` at the ends anchor. Blanks match any number of blanks. The longest literal text
//! becomes the keyword by which a line becomes a candidate; only candidates run the regular expression.

use super::{
    expression::Expression,
    field::{ADDRESS, Field, Fields},
};

/// Shortest text that may be a keyword; shorter ones would make nearly every line a candidate.
const MIN_KEYWORD: usize = 3;

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    keywords: Vec<String>,
    check: Check,
}

#[derive(Debug)]
enum Check {
    /// One of the keywords, in this case.
    Keyword,
    /// The expression must match as well.
    Expression(Expression),
}

/// A piece of a pattern.
enum Piece {
    Literal(String),
    Expression(String),
    OneOf(Vec<String>),
}

impl Pattern {
    /// Reads the pattern language. The error says what is wrong.
    pub fn parse(text: &str, ignore_case: bool) -> Result<Self, String> {
        let (text, at_start) = text.strip_prefix('^').map_or((text, false), |rest| (rest, true));
        let (text, at_end) = text.strip_suffix('$').map_or((text, false), |rest| (rest, true));
        let pieces = pieces(text)?;
        let keywords = keywords(&pieces)
            .ok_or_else(|| format!("pattern '{text}' has no text of at least {MIN_KEYWORD} characters"))?;
        let plain = matches!(pieces.as_slice(), [Piece::Literal(literal)] if keywords.contains(literal));
        if plain && !at_start && !at_end && !ignore_case {
            return Ok(Pattern { keywords, check: Check::Keyword });
        }
        let mut source = String::from(if ignore_case { "(?is)" } else { "(?s)" });
        source.push_str(if at_start { "^" } else { "" });
        for piece in &pieces {
            match piece {
                Piece::Literal(literal) => push_literal(&mut source, literal),
                Piece::Expression(expression) => push_once(&mut source, expression),
                Piece::OneOf(texts) => push_one_of(&mut source, texts),
            }
        }
        source.push_str(if at_end { "$" } else { "" });
        Ok(Pattern { keywords, check: Check::Expression(Expression::new(&source)) })
    }

    /// Takes keywords and an optional regular expression as they are.
    pub fn from_regex(
        keywords: Vec<String>,
        regex: Option<String>,
        ignore_case: bool,
    ) -> Result<Self, String> {
        if keywords.is_empty() || keywords.iter().any(|keyword| keyword.len() < MIN_KEYWORD) {
            return Err(format!("'text' needs at least one word, each of at least {MIN_KEYWORD} characters"));
        }
        let check = match regex {
            None if ignore_case => Check::Expression(Expression::new(&format!(
                "(?i){}",
                keywords.iter().map(|k| regex::escape(k)).collect::<Vec<_>>().join("|")
            ))),
            None => Check::Keyword,
            Some(regex) => {
                let flags = if ignore_case { "(?is)" } else { "(?s)" };
                Check::Expression(Expression::new(&format!("{flags}{regex}")))
            }
        };
        Ok(Pattern { keywords, check })
    }

    /// Compiles the expression now, so that a mistake in it is known.
    pub fn verify(&self) -> Result<(), String> {
        let Check::Expression(expression) = &self.check else { return Ok(()) };
        let regex = expression.verify()?;
        match regex.capture_names().flatten().find(|name| Field::parse(name).is_none()) {
            Some(name) => Err(format!("'{name}' is no field (fields: {})", Field::names())),
            None => Ok(()),
        }
    }

    /// The texts of which one must occur (in any case) for the pattern to have a chance.
    pub fn keywords(&self) -> &[String] {
        &self.keywords
    }

    /// The fields of the message if it matches.
    pub fn find(&self, message: &str) -> Option<Fields> {
        let mut fields = Fields::default();
        let Check::Expression(expression) = &self.check else {
            return self.keywords.iter().any(|keyword| message.contains(keyword)).then_some(fields);
        };
        let regex = expression.regex()?;
        let captures = regex.captures(message)?;
        for name in regex.capture_names().flatten() {
            if let (Some(field), Some(value)) = (Field::parse(name), captures.name(name)) {
                fields.add(field, value.as_str());
            }
        }
        Some(fields)
    }

    /// Whether the message matches, where the fields do not matter.
    pub fn is_match(&self, message: &str) -> bool {
        match &self.check {
            Check::Keyword => self.keywords.iter().any(|keyword| message.contains(keyword)),
            Check::Expression(expression) => expression.is_match(message),
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        let (inside, after) =
            after.split_once('}').ok_or_else(|| format!("pattern '{text}' has an open '{{'"))?;
        pieces.push(braces(inside)?);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

fn braces(inside: &str) -> Result<Piece, String> {
    if inside == "*" {
        return Ok(Piece::Expression(".*?".to_owned()));
    }
    if inside == "addr" {
        return Ok(Piece::Expression(ADDRESS.to_owned()));
    }
    if inside.contains('|') {
        return Ok(Piece::OneOf(inside.split('|').map(str::to_owned).collect()));
    }
    let (name, is_open) = inside.strip_suffix('*').map_or((inside, false), |name| (name, true));
    let field = Field::parse(name)
        .ok_or_else(|| format!("'{{{inside}}}' is no field (fields: {}; or addr, *, a|b)", Field::names()))?;
    Ok(Piece::Expression(if is_open { format!("(?P<{name}>.{{0,200}})") } else { field.shape().to_owned() }))
}

/// The longest literal run, or every text of a choice where that is longer.
fn keywords(pieces: &[Piece]) -> Option<Vec<String>> {
    let runs = pieces.iter().filter_map(|piece| match piece {
        // A run of blanks matches any number of blanks, so no keyword reaches across one.
        Piece::Literal(literal) => {
            literal.split("  ").max_by_key(|run| run.len()).map(|run| vec![run.to_owned()])
        }
        Piece::OneOf(texts) => Some(texts.clone()),
        Piece::Expression(_) => None,
    });
    let shortest = |words: &Vec<String>| words.iter().map(String::len).min().unwrap_or(0);
    runs.max_by_key(shortest).filter(|words| shortest(words) >= MIN_KEYWORD)
}

/// Adds a field; only its first place in the pattern gives the value.
fn push_once(source: &mut String, expression: &str) {
    let name = expression.find("(?P<").and_then(|from| {
        let tail = expression.get(from..)?;
        tail.find('>').and_then(|end| tail.get(..=end))
    });
    match name.filter(|name| source.contains(*name)) {
        Some(name) => source.push_str(&expression.replace(name, "(?:")),
        None => source.push_str(expression),
    }
}

fn push_literal(source: &mut String, literal: &str) {
    let mut words = literal.split(' ').peekable();
    while let Some(word) = words.next() {
        source.push_str(&regex::escape(word));
        if words.peek().is_some() && !source.ends_with(" +") {
            source.push_str(" +");
        }
    }
}

fn push_one_of(source: &mut String, texts: &[String]) {
    source.push_str("(?:");
    for (at, text) in texts.iter().enumerate() {
        source.push_str(if at > 0 { "|" } else { "" });
        source.push_str(&regex::escape(text));
    }
    source.push(')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pattern: &str, message: &str) -> Vec<(String, String)> {
        let pattern = Pattern::parse(pattern, false).unwrap();
        pattern.verify().unwrap();
        let found = pattern.find(message).expect("a match");
        found.iter().map(|(field, value)| (field.as_str().to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn fields_choices_and_gaps_are_found() {
        assert_eq!(
            fields("denied {user|login} {user} {*} at {ip}", "denied login bob now twice at [2001:db8::7]"),
            [("user".to_owned(), "bob".to_owned()), ("ip".to_owned(), "2001:db8::7".to_owned())]
        );
    }

    #[test]
    fn an_open_field_takes_the_last_possible_end() {
        let found =
            fields("for {user*} from {ip} port {port}", "for x from 9.9.9.9 port 1 from 192.0.2.5 port 77");
        assert_eq!(found[0].1, "x from 9.9.9.9 port 1");
        assert_eq!(found[1].1, "192.0.2.5");
    }

    #[test]
    fn the_longest_text_is_the_keyword() {
        let pattern = Pattern::parse("a {ip} failed login for {x|yy}", false).unwrap();
        assert_eq!(pattern.keywords(), [" failed login for "]);
        let choice = Pattern::parse("{accepted|rejected} {ip}", false).unwrap();
        assert_eq!(choice.keywords(), ["accepted", "rejected"]);
    }

    #[test]
    fn mistakes_name_what_is_wrong() {
        assert!(
            Pattern::parse("x {nobody} y long text", false).unwrap_err().contains("'{nobody}' is no field")
        );
        assert!(Pattern::parse("{ip} a", false).unwrap_err().contains("no text of at least 3"));
        assert!(Pattern::parse("text {ip", false).unwrap_err().contains("open '{'"));
        let bad = Pattern::from_regex(vec!["abc".into()], Some("(?P<who>abc)".into()), false).unwrap();
        assert!(bad.verify().unwrap_err().contains("'who' is no field"));
    }
}
