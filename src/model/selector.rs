//! Stream selectors: `{job="nginx", host=~"web-.*"}`.
//!
//! The grammar is LogQL's: `=` `!=` `=~` `!~`, values in double quotes with Go's escapes or in backticks, regular
//! expressions anchored at both ends. A label that is missing has the empty value. `{}` selects every stream.

use std::str::FromStr;

use regex::Regex;

use super::Labels;

/// A longer selector is not written by a person.
const MAX_LEN: usize = 4 * 1024;
/// Bytes a compiled expression may take; refuses `(a{1000}){1000}`.
const REGEX_BYTES: usize = 1024 * 1024;

/// Which streams.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

/// One condition on one label.
#[derive(Clone, Debug)]
struct Matcher {
    name: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Like(Regex),
    NotLike(Regex),
}

/// The text is not a selector.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectorError {
    /// Something else was needed at this place.
    #[error(
        "not a selector: expected {expected} at character {at}; write {{job=\"nginx\", host=~\"web-.*\"}}"
    )]
    Expected {
        /// What was needed.
        expected: &'static str,
        /// Where, counted from 1.
        at: usize,
    },
    /// A regular expression does not compile.
    #[error("not a regular expression for label '{name}': {cause}")]
    Regex {
        /// The label.
        name: String,
        /// Why, in one line.
        cause: String,
    },
    /// Too long.
    #[error("selector longer than {MAX_LEN} bytes")]
    TooLong,
}

impl Selector {
    /// Whether a stream with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = labels.get(&matcher.name).unwrap_or("");
            match &matcher.test {
                Test::Equal(wanted) => value == wanted,
                Test::NotEqual(unwanted) => value != unwanted,
                Test::Like(regex) => regex.is_match(value),
                Test::NotLike(regex) => !regex.is_match(value),
            }
        })
    }

    /// The name and value pairs, if every condition is an equality.
    pub fn equalities(&self) -> Option<Vec<(String, String)>> {
        let pair = |matcher: &Matcher| match &matcher.test {
            Test::Equal(value) => Some((matcher.name.clone(), value.clone())),
            _ => None,
        };
        self.matchers.iter().map(pair).collect()
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LEN {
            return Err(SelectorError::TooLong);
        }
        let mut rest = Cursor { text, rest: text };
        let mut matchers = Vec::new();
        rest.token("{", "'{'")?;
        if !rest.accept("}") {
            loop {
                matchers.push(rest.matcher()?);
                if rest.accept("}") {
                    break;
                }
                rest.token(",", "',' or '}'")?;
                // A comma before the closing brace is allowed, as in LogQL.
                if rest.accept("}") {
                    break;
                }
            }
        }
        rest.skip_space();
        if rest.rest.is_empty() { Ok(Selector { matchers }) } else { Err(rest.expected("the end")) }
    }
}

/// What is left of the text.
struct Cursor<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn matcher(&mut self) -> Result<Matcher, SelectorError> {
        let name = self.name()?.to_owned();
        let make: fn(&str, String) -> Result<Test, SelectorError> = if self.accept("=~") {
            |name, value| compile(name, &value).map(Test::Like)
        } else if self.accept("!~") {
            |name, value| compile(name, &value).map(Test::NotLike)
        } else if self.accept("!=") {
            |_, value| Ok(Test::NotEqual(value))
        } else if self.accept("=") {
            |_, value| Ok(Test::Equal(value))
        } else {
            return Err(self.expected("'=', '!=', '=~' or '!~'"));
        };
        let test = make(&name, self.value()?)?;
        Ok(Matcher { name, test })
    }

    fn name(&mut self) -> Result<&'a str, SelectorError> {
        self.skip_space();
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.expected("a label name"));
        }
        self.rest = rest;
        Ok(name)
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        self.skip_space();
        if let Some(raw) = self.rest.strip_prefix('`') {
            let (value, rest) = raw.split_once('`').ok_or_else(|| self.expected("a closing '`'"))?;
            self.rest = rest;
            return Ok(value.to_owned());
        }
        let inner = self.rest.strip_prefix('"').ok_or_else(|| self.expected("a quoted value"))?;
        let mut chars = inner.chars();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => {
                    value.push(unescape(&mut chars).ok_or_else(|| self.expected("a known escape"))?);
                }
                Some(c) => value.push(c),
                None => return Err(self.expected("a closing '\"'")),
            }
        }
        self.rest = chars.as_str();
        Ok(value)
    }

    fn token(&mut self, token: &str, expected: &'static str) -> Result<(), SelectorError> {
        if self.accept(token) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn accept(&mut self, token: &str) -> bool {
        self.skip_space();
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn expected(&self, expected: &'static str) -> SelectorError {
        let done = self.text.chars().count().saturating_sub(self.rest.chars().count());
        SelectorError::Expected { expected, at: done + 1 }
    }
}

/// Go's escapes of one character; `\x`, `\u` and `\U` take their fixed number of hex digits.
fn unescape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    match chars.next()? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        same @ ('"' | '\\') => Some(same),
        'x' => hex(chars, 2),
        'u' => hex(chars, 4),
        'U' => hex(chars, 8),
        _ => None,
    }
}

fn hex(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let code = (0..digits)
        .try_fold(0_u32, |code, _| code.checked_mul(16)?.checked_add(chars.next()?.to_digit(16)?))?;
    char::from_u32(code)
}

fn compile(name: &str, pattern: &str) -> Result<Regex, SelectorError> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_BYTES).build().map_err(|error| {
        let text = error.to_string();
        let cause = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        SelectorError::Regex { name: name.to_owned(), cause }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
        assert_eq!(
            selector.parse::<Selector>().unwrap().matches(&labels),
            expected,
            "{selector} on {labels}"
        );
    }

    #[test]
    fn the_four_operators_decide_over_present_and_missing_labels() {
        let web = [("job", "nginx"), ("host", "web-1")];
        check("{}", &web, true);
        check(r#"{job="nginx"}"#, &web, true);
        check(r#"{ job = "nginx" , host=~"web-.*", }"#, &web, true);
        check(r#"{host=~"web"}"#, &web, false);
        check(r#"{host!~"db-.*"}"#, &web, true);
        check(r#"{job!="nginx"}"#, &web, false);
        check(r#"{env=""}"#, &web, true);
        check(r#"{env!=""}"#, &web, false);
        check(r#"{env=~".+"}"#, &web, false);
    }

    #[test]
    fn values_are_quoted_as_in_go() {
        check(r#"{a="x\"\\\n\x41\u00e9"}"#, &[("a", "x\"\\\nA\u{e9}")], true);
        check(r"{a=`\d+`}", &[("a", r"\d+")], true);
        check(r"{a=~`\d+`}", &[("a", "42")], true);
    }

    #[track_caller]
    fn refused(selector: &str, expected: &str) {
        let text = selector.parse::<Selector>().unwrap_err().to_string();
        assert!(text.contains(expected), "{selector}: {text}");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        refused("job=1", "expected '{' at character 1");
        refused("{job}", "expected '=', '!=', '=~' or '!~' at character 5");
        refused("{job=nginx}", "expected a quoted value at character 6");
        refused(r#"{job="a"} |= "x""#, "expected the end at character 11");
        refused(r#"{job="a" x="b"}"#, "expected ',' or '}' at character 10");
        refused(r#"{job="a"#, "expected a closing '\"'");
        refused(r#"{1a="b"}"#, "expected a label name");
        refused(r#"{a=~"("}"#, "not a regular expression for label 'a'");
        refused(r#"{a=~"(x{1000}){1000}"}"#, "not a regular expression for label 'a'");
        refused(&format!("{{a=\"{}\"}}", "x".repeat(5000)), "longer than");
    }

    #[test]
    fn only_equalities_become_pairs() {
        let pairs = r#"{a="1",b="2"}"#.parse::<Selector>().unwrap().equalities();
        assert_eq!(pairs, Some(vec![("a".into(), "1".into()), ("b".into(), "2".into())]));
        assert_eq!(r#"{a="1",b!="2"}"#.parse::<Selector>().unwrap().equalities(), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in r#"\{?[a-z0-9=!~"`\\{}, .*é(]{0,40}"#) {
            let _ = text.parse::<Selector>();
        }

        #[test]
        fn every_label_set_is_selected_by_its_own_text(value in "\\PC{1,20}") {
            let labels = Labels::from_pairs([("a", value.as_str())]).unwrap();
            prop_assert!(labels.to_string().parse::<Selector>().unwrap().matches(&labels));
        }
    }
}
