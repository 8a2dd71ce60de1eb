//! Secrets that are recognised by the name they follow: `password=…`, `"api_key": "…"`, `?token=…`.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{Hit, pattern::SECRET};

/// A name that announces a secret, with its separator. Words before and after the telling part belong to the name.
const NAME: &str = r#"(?ix)
    (?: ^ | [^\p{L}\p{N}] ) [\w.-]*?
    (?P<name>
        pass(?:word|wd|phrase|code)\w* | pwd | \bpass\b | _pass\b | \bpw\b | passwort | senha | contrase[nñ]a | mot_de_passe
      | secret\w* | token\w* | api[_.-]?key\w* | access[_.-]?key\w* | auth[_.-]?key | private[_.-]?key | license[_.-]?key
      | encryption[_.-]?key | signing[_.-]?key | account[_.-]?key | shared[_.-]?access[_.-]?signature
      | credential\w* | session[_.-]?(?:id|key|token)? | sess(?:id)? | \bsid\b | connect\.sid | phpsessid | jsessionid | asp\.net_sessionid
      | csrf\w* | xsrf\w* | \botp\b | \bpin\b | \bcvv\b | \bcvc\b | signature | \bsig\b | x-amz-(?:signature|credential|security-token)
      | \bnonce\b | (?:client|consumer|app)[_.-]?secret | bearer | \bauth\b | \bjwt\b | passkey | webhook[_.-]?url
      | 密码 | 口令 | 密钥
    )
    [\w.-]* \]? \\* ["']? \s* (?P<separator> => | := | = | : | ： ) [^\S\n]* "#;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static NAMES: LazyLock<Regex> = LazyLock::new(|| Regex::new(NAME).expect("valid pattern"));

/// Names after which a colon mostly ends a phrase of a program's name rather than announces a value.
const NEED_EQUALS: &[&str] = &["auth", "session", "sess", "bearer", "signature", "nonce"];

/// Finds values by their names.
pub fn find(text: &str) -> Vec<Hit> {
    NAMES.captures_iter(text).filter_map(|found| value_of(text, &found)).collect()
}

fn value_of(text: &str, found: &regex::Captures<'_>) -> Option<Hit> {
    let (whole, name, separator) = (found.get(0)?, found.name("name")?, found.name("separator")?);
    if is_mask(text, name.range()) {
        return None;
    }
    let quoted_name = text.get(name.end()..separator.start()).is_some_and(|gap| gap.contains(['"', '\'']));
    let name = name.as_str().to_lowercase();
    if separator.as_str() == ":" && !quoted_name && NEED_EQUALS.contains(&name.as_str()) {
        return None;
    }
    let range = value_range(text, whole.end());
    let value = text.get(range.clone())?;
    let counts_tokens = name.starts_with("tokens") && value.bytes().all(|byte| byte.is_ascii_digit());
    let already_masked = value.starts_with('[') && text.get(range.start..)?.starts_with(SECRET);
    (!value.is_empty() && !counts_tokens && !already_masked).then_some(Hit { range, mask: SECRET })
}

/// Whether a name is the word inside a mask rather than a key in brackets (`form[secret]=…`).
fn is_mask(text: &str, name: Range<usize>) -> bool {
    let before = text.get(..name.start).and_then(|head| head.strip_suffix('['));
    let closed = text.get(name.end..).is_some_and(|tail| tail.starts_with(']'));
    closed
        && before.is_some_and(|head| !head.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ']'))
}

/// Where the value that begins at `start` ends: at its closing quote, or at what separates it from the next pair.
fn value_range(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let opening = rest.trim_start_matches('\\');
    let escape = rest.len() - opening.len();
    match opening.chars().next() {
        Some(quote @ ('"' | '\'' | '`')) => {
            let from = escape + quote.len_utf8();
            let inner = rest.get(from..).unwrap_or_default();
            let len = quoted_len(inner, quote, escape);
            start + from..start + from + len
        }
        _ => start..start + bare_len(rest),
    }
}

/// Length up to the closing quote; a quote behind more backslashes than the opening one belongs to the value.
fn quoted_len(inner: &str, quote: char, escape: usize) -> usize {
    let mut backslashes = 0;
    for (at, c) in inner.char_indices() {
        match c {
            '\\' => backslashes += 1,
            c if c == quote && backslashes <= escape => return at - backslashes,
            '\n' => return at,
            _ => backslashes = 0,
        }
    }
    inner.len()
}

/// Length of an unquoted value: up to a blank, quote, `&`, or a comma, semicolon or bracket that ends the pair.
fn bare_len(rest: &str) -> usize {
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let ends = match c {
            '"' | '\'' | '&' | '<' => true,
            ',' | ';' | ')' | '}' | ']' => {
                next.is_none_or(|next| next.is_whitespace() || "\"'}])".contains(next))
                    || begins_pair(rest.get(at + c.len_utf8()..).unwrap_or_default())
            }
            c => c.is_whitespace(),
        };
        if ends {
            return at;
        }
    }
    rest.len()
}

/// Whether `name=` follows.
fn begins_pair(rest: &str) -> bool {
    let name = rest.find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)));
    name.is_some_and(|end| end > 0 && rest.get(end..).is_some_and(|tail| tail.starts_with(['=', ':'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = find(text).into_iter().map(|hit| text.get(hit.range).unwrap()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_end_where_the_pair_ends() {
        check("password=hunter2, user=bob", &["hunter2"]);
        check("{password=hun,ter2,user=bob}", &["hun,ter2"]);
        check("GET /x?api_key=abc123&page=2 HTTP/1.1", &["abc123"]);
        check(r#"{"db_password": "a \"b\" c", "x": 1}"#, &[r#"a \"b\" c"#]);
        check(r#"{\"token\":\"tok\\n1\",\"x\":1}"#, &[r"tok\\n1"]);
        check("given password: letmein", &["letmein"]);
        check("CLIENT_SECRET='se cret' next", &["se cret"]);
    }

    #[test]
    fn ordinary_phrases_are_left_alone() {
        check("Failed password for root from 203.0.113.5 port 22 ssh2", &[]);
        check("pam_unix(sshd:session): session opened for user root", &[]);
        check("dovecot: auth: Error: no reply", &[]);
        check("used tokens=969 bypass: on compass: north", &[]);
    }
}
