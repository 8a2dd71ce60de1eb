//! Label selectors as Loki writes them: `{job="ssh", env!~"dev|test"}`.

use regex::Regex;

use crate::model::Labels;

/// A conjunction of label matchers. The empty selector matches every stream.
#[derive(Debug, Default)]
pub struct Selector(Vec<Matcher>);

#[derive(Debug)]
struct Matcher {
    name: String,
    test: Test,
    wanted: bool,
}

#[derive(Debug)]
enum Test {
    Equals(String),
    Fits(Regex),
}

impl Selector {
    /// Reads a selector. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no selector");
        let mut rest =
            text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(bad)?.trim();
        let mut matchers = Vec::new();
        while !rest.is_empty() {
            let name_end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).ok_or_else(bad)?;
            let (name, after) =
                rest.split_at_checked(name_end).filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
            let (operator, after) = operator(after.trim_start()).ok_or_else(bad)?;
            let (value, after) = quoted(after.trim_start()).ok_or_else(bad)?;
            matchers.push(matcher(name, operator, value)?);
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if after.is_empty() => after,
                None => return Err(bad()),
            };
        }
        Ok(Selector(matchers))
    }

    /// Whether a stream is selected. A missing label counts as empty.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| {
            let value = labels.get(&matcher.name).unwrap_or_default();
            let fits = match &matcher.test {
                Test::Equals(wanted) => wanted == value,
                Test::Fits(regex) => regex.is_match(value),
            };
            fits == matcher.wanted
        })
    }
}

fn operator(text: &str) -> Option<(&str, &str)> {
    ["=~", "!~", "!=", "="].into_iter().find_map(|sign| text.strip_prefix(sign).map(|rest| (sign, rest)))
}

/// A value in double quotes (with `\"` and `\\`) or in backticks.
fn quoted(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('`') {
        return rest.split_once('`').map(|(value, rest)| (value.to_owned(), rest));
    }
    let mut value = String::new();
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return text.get(at + 2..).map(|rest| (value, rest)),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn matcher(name: &str, operator: &str, value: String) -> Result<Matcher, String> {
    let test = if operator.ends_with('~') {
        let anchored = format!("^(?:{value})$");
        Test::Fits(
            Regex::new(&anchored).map_err(|error| format!("the expression of '{name}' is wrong: {error}"))?,
        )
    } else {
        Test::Equals(value)
    };
    Ok(Matcher { name: name.to_owned(), test, wanted: !operator.starts_with('!') })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_operators_hold_and_expressions_are_anchored() {
        let labels = Labels::from_pairs([("job", "ssh"), ("env", "prod")]).unwrap();
        for (text, expected) in [
            ("{}", true),
            (r#"{job="ssh", env!="dev"}"#, true),
            (r#"{job=~"s.."}"#, true),
            (r#"{job=~"s"}"#, false),
            (r#"{env!~"dev|prod",}"#, false),
            (r#"{missing=""}"#, true),
            ("{job=`ssh`}", true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn bad_selectors_are_named() {
        for text in ["job=ssh", "{job}", "{job=ssh}", r#"{job="a" env="b"}"#, r#"{job=~"("}"#] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
