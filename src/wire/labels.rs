//! Label sets as text: the Prometheus metric grammar of protobuf pushes, and the JSON object of JSON pushes.
//!
//! What comes out is what the sender wrote, decoded: unsorted, possibly with duplicates and empty values.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::model::LabelPairs;

/// Name and value pairs in the sender's order.
pub type Pairs = Vec<(String, String)>;

/// The labels of one stream as they came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LabelText {
    /// `{a="b", c="d"}`
    Text(Bytes),
    /// `{"a":"b","c":"d"}`
    Json(Bytes),
}

/// The text is no label set. Lines and columns count from one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse labels: {line}:{column}: parse error: {cause}")]
pub struct LabelError {
    line: usize,
    column: usize,
    cause: String,
}

impl LabelText {
    /// The text itself.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            LabelText::Text(text) | LabelText::Json(text) => text,
        }
    }

    /// Parses the labels.
    pub fn parse(&self) -> Result<Pairs, LabelError> {
        match self {
            LabelText::Text(text) => parse(text),
            LabelText::Json(object) => parse_object(object),
        }
    }
}

/// Parses the text form. Values whose quotes, backslashes and newlines were not escaped (Vector, winston-loki) are
/// understood where they can be read in one way only.
pub fn parse(text: &[u8]) -> Result<Pairs, LabelError> {
    let valid = std::str::from_utf8(text)
        .map_err(|error| Fault::new(error.valid_up_to(), "invalid UTF-8 rune").locate(text))?;
    let mut parser = Parser { text: valid, at: 0 };
    parser.label_set().or_else(|fault| unescaped(valid).ok_or_else(|| fault.locate(text)))
}

/// Parses the JSON form by way of the text form, so that both know the same names. Of equal keys the last one counts;
/// values that are no strings stand for their own JSON text.
fn parse_object(object: &[u8]) -> Result<Pairs, LabelError> {
    let not_json = |error: serde_json::Error| LabelError {
        line: error.line(),
        column: error.column(),
        cause: error.to_string(),
    };
    let raw: BTreeMap<String, &RawValue> = serde_json::from_slice(object).map_err(not_json)?;
    let mut pairs = Vec::with_capacity(raw.len());
    for (name, value) in raw {
        let value = match value.get() {
            text if text.starts_with('"') => serde_json::from_str(text).map_err(not_json)?,
            other => other.to_owned(),
        };
        pairs.push((name, value));
    }
    parse(LabelPairs(&pairs).to_string().as_bytes())
}

/// An error at a byte of the text.
struct Fault {
    at: usize,
    cause: String,
}

impl Fault {
    fn new(at: usize, cause: impl Into<String>) -> Self {
        Fault { at, cause: cause.into() }
    }

    fn locate(self, text: &[u8]) -> LabelError {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        LabelError { line, column: self.at - start.min(self.at) + 1, cause: self.cause }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    /// `[metric] { [pair {, pair} [,]] }`
    fn label_set(&mut self) -> Result<Pairs, Fault> {
        let mut pairs = Pairs::new();
        self.skip_blanks();
        let metric = self.take_while(is_metric_char);
        if metric.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Fault::new(0, format!("unexpected number {metric:?}")));
        }
        if !metric.is_empty() {
            pairs.push(("__name__".to_owned(), metric.to_owned()));
        }
        self.skip_blanks();
        if self.eat('{') {
            self.pairs(&mut pairs)?;
            self.skip_blanks();
        }
        match self.peek() {
            None => Ok(pairs),
            Some(other) => Err(Fault::new(self.at, format!("unexpected character: {other:?}"))),
        }
    }

    fn pairs(&mut self, pairs: &mut Pairs) -> Result<(), Fault> {
        loop {
            self.skip_blanks();
            if self.eat('}') {
                return Ok(());
            }
            pairs.push(self.pair()?);
            self.skip_blanks();
            if self.eat(',') {
                continue;
            }
            if self.eat('}') {
                return Ok(());
            }
            return Err(self.unexpected("\",\" or \"}\""));
        }
    }

    fn pair(&mut self) -> Result<(String, String), Fault> {
        let is_quoted = matches!(self.peek(), Some('"' | '\'' | '`'));
        let name = if is_quoted { self.string()? } else { self.name()?.to_owned() };
        self.skip_blanks();
        if is_quoted && matches!(self.peek(), Some(',' | '}')) {
            return Ok(("__name__".to_owned(), name));
        }
        if !self.eat('=') {
            return Err(self.unexpected("\"=\""));
        }
        if let Some(operator @ ('~' | '=')) = self.peek() {
            return Err(Fault::new(self.at, format!("unexpected operator \"={operator}\", expected \"=\"")));
        }
        self.skip_blanks();
        Ok((name, self.string()?))
    }

    fn name(&mut self) -> Result<&'a str, Fault> {
        match self.peek() {
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                Ok(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_'))
            }
            _ => Err(self.unexpected("identifier or \"}\"")),
        }
    }

    /// A string in double quotes, single quotes (both with Go's escapes) or backticks.
    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let Some(quote @ ('"' | '\'' | '`')) = self.peek() else {
            return Err(self.unexpected("string"));
        };
        self.bump();
        let mut value = Vec::new();
        loop {
            match self.bump() {
                None => return Err(Fault::new(start, "unterminated quoted string")),
                Some('\n') if quote != '`' => {
                    return Err(Fault::new(start, "unterminated quoted string"));
                }
                Some(end) if end == quote => break,
                Some('\\') if quote != '`' => self.escape(&mut value)?,
                Some(other) => value.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // `\xff` can spell bytes that are no text; labels are text.
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    fn escape(&mut self, value: &mut Vec<u8>) -> Result<(), Fault> {
        let at = self.at.saturating_sub(1);
        let bad = || Fault::new(at, "unknown escape sequence");
        let plain = match self.bump().ok_or_else(bad)? {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '\\' => b'\\',
            '\'' => b'\'',
            '"' => b'"',
            'x' => self.digits(2, 16).and_then(|code| u8::try_from(code).ok()).ok_or_else(bad)?,
            '0'..='7' => {
                self.at = self.at.saturating_sub(1);
                self.digits(3, 8).and_then(|code| u8::try_from(code).ok()).ok_or_else(bad)?
            }
            long @ ('u' | 'U') => {
                let digits = if long == 'u' { 4 } else { 8 };
                let rune = self.digits(digits, 16).and_then(char::from_u32).ok_or_else(bad)?;
                value.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(bad()),
        };
        value.push(plain);
        Ok(())
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let digits = self.text.get(self.at..self.at.checked_add(count)?)?;
        // `from_str_radix` would take a sign.
        let code =
            digits.chars().all(|c| c.is_digit(radix)).then(|| u32::from_str_radix(digits, radix).ok())?;
        self.at += count;
        code
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let cause = match self.peek() {
            None => "unexpected end of input inside braces".to_owned(),
            Some(c) if c.is_ascii_alphanumeric() || "_,{}\"'`".contains(c) => {
                format!("unexpected {:?} in label set, expected {expected}", c.to_string())
            }
            Some(c) => format!("unexpected character inside braces: {c:?}"),
        };
        Fault::new(self.at, cause)
    }

    /// Blanks, and comments to the end of the line.
    fn skip_blanks(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

fn is_metric_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Reads `{k="v", ...}` whose values were written without any escaping: a value ends at the first quote that is
/// followed by another pair or by the end. Gives up if a value itself contains what looks like a pair.
fn unescaped(text: &str) -> Option<Pairs> {
    let mut rest = text.trim().strip_prefix('{')?;
    let mut pairs = Pairs::new();
    loop {
        let (name, value) = rest.split_once("=\"")?;
        let name = name.trim();
        if !is_name(name) {
            return None;
        }
        let (end, next) = value.match_indices('"').find_map(|(end, _)| {
            let after = value.get(end + 1..)?;
            follows_value(after).map(|next| (end, next))
        })?;
        let value = value.get(..end)?;
        if contains_pair(value) {
            return None;
        }
        pairs.push((name.to_owned(), value.to_owned()));
        match next {
            Some(more) => rest = more,
            None => return Some(pairs),
        }
    }
}

/// What follows a value's closing quote: the next pair's text, or nothing at the end of the set.
fn follows_value(after: &str) -> Option<Option<&str>> {
    let after = after.trim_start();
    let more = after.strip_prefix(',').map(str::trim_start);
    if more.unwrap_or(after).trim_end() == "}" {
        return Some(None);
    }
    let more = more?;
    more.split_once("=\"").is_some_and(|(name, _)| is_name(name.trim_end())).then_some(Some(more))
}

fn contains_pair(value: &str) -> bool {
    value.match_indices("=\"").any(|(at, _)| {
        value
            .get(..at)
            .is_some_and(|before| before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(expected: &[(&str, &str)]) -> Pairs {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[track_caller]
    fn reads(text: &str, expected: &[(&str, &str)]) {
        assert_eq!(parse(text.as_bytes()), Ok(pairs(expected)), "{text}");
    }

    #[track_caller]
    fn refuses(text: &[u8], message: &str) {
        let error = parse(text).expect_err(&String::from_utf8_lossy(text));
        assert_eq!(error.to_string(), format!("couldn't parse labels: {message}"));
    }

    #[test]
    fn the_grammar_is_that_of_prometheus_metrics() {
        reads(r#"{a="b", c="d"}"#, &[("a", "b"), ("c", "d")]);
        reads("  { c = 'd' ,\n\ta=`b\\n`, } # comment", &[("c", "d"), ("a", "b\\n")]);
        reads("{}", &[]);
        reads("", &[]);
        reads(r#"{a="",a="b"}"#, &[("a", ""), ("a", "b")]);
        reads(r#"{"a.b"="c"}"#, &[("a.b", "c")]);
        reads(r#"metric{a="b"}"#, &[("__name__", "metric"), ("a", "b")]);
        reads("metric:rate", &[("__name__", "metric:rate")]);
        reads(
            r#"{by="1",on="2",sum="3",inf="4",nan="5",__foo__="6"}"#,
            &[("by", "1"), ("on", "2"), ("sum", "3"), ("inf", "4"), ("nan", "5"), ("__foo__", "6")],
        );
    }

    #[test]
    fn go_escapes_are_decoded() {
        reads(r#"{a="\n\"\\\x41\u00e9\U0001F600\101\t'"}"#, &[("a", "\n\"\\Aé😀A\t'")]);
        reads(r#"{a='\'"'}"#, &[("a", "'\"")]);
        reads("{a=\"x\0y\"}", &[("a", "x\0y")]);
    }

    #[test]
    fn what_is_no_label_set_is_refused_with_its_place() {
        refuses(br#"{foo.bar="x"}"#, "1:5: parse error: unexpected character inside braces: '.'");
        refuses(br#"{a="b"#, "1:4: parse error: unterminated quoted string");
        refuses(b"{a=\"\xff\"}", "1:5: parse error: invalid UTF-8 rune");
        refuses(b"{a=b}", "1:4: parse error: unexpected \"b\" in label set, expected string");
        refuses(br#"{a!="b"}"#, "1:3: parse error: unexpected character inside braces: '!'");
        refuses(br#"{a=~"b"}"#, "1:4: parse error: unexpected operator \"=~\", expected \"=\"");
        refuses(
            br#"{a="b" c="d"}"#,
            "1:8: parse error: unexpected \"c\" in label set, expected \",\" or \"}\"",
        );
        refuses(
            br#"{a="b",,c="d"}"#,
            "1:8: parse error: unexpected \",\" in label set, expected identifier or \"}\"",
        );
        refuses(br#"a="b""#, "1:2: parse error: unexpected character: '='");
        refuses(br#"{a="b""#, "1:7: parse error: unexpected end of input inside braces");
        refuses(br#"{a="b"} 1"#, "1:9: parse error: unexpected character: '1'");
        refuses(
            b"{\n1a=\"b\"}",
            "2:1: parse error: unexpected \"1\" in label set, expected identifier or \"}\"",
        );
    }

    #[test]
    fn values_nobody_escaped_are_read_when_there_is_one_reading() {
        reads(r#"{msg="he said "hi"",app="x"}"#, &[("msg", "he said \"hi\""), ("app", "x")]);
        reads(r#"{path="C:\dir", app="x"}"#, &[("path", "C:\\dir"), ("app", "x")]);
        reads("{a=\"two\nlines\"}", &[("a", "two\nlines")]);
        assert!(parse(br#"{a="b"x", c="d" e="f"}"#).is_err());
    }

    #[test]
    fn json_values_that_are_no_strings_stand_for_their_text() {
        let text = br#"{"n":5,"b":true,"z":null,"o":{"x": "y"},"s":"q\"\u00e9","s2":""}"#;
        let parsed = LabelText::Json(Bytes::from_static(text)).parse().unwrap();
        assert_eq!(
            parsed,
            pairs(&[
                ("b", "true"),
                ("n", "5"),
                ("o", r#"{"x": "y"}"#),
                ("s", "q\"é"),
                ("s2", ""),
                ("z", "null")
            ])
        );
    }

    #[test]
    fn json_names_must_be_label_names() {
        let bad = LabelText::Json(Bytes::from_static(br#"{"foo.bar":"x"}"#)).parse().unwrap_err();
        assert_eq!(
            bad.to_string(),
            "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '.'"
        );
        for name in ["a-b", "a:b", "1a", "é", "a b", ""] {
            let object = format!(r#"{{"{name}":"x"}}"#);
            assert!(LabelText::Json(object.into()).parse().is_err(), "{name}");
        }
    }
}
