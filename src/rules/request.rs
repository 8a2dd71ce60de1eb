//! Web requests out of access log lines: common and combined format (with or without virtual host), application servers'
//! short forms, haproxy, and the JSON of caddy, traefik and nginx.

use std::{borrow::Cow, net::IpAddr, sync::LazyLock};

use memchr::memmem::Finder;

/// Text decoded of one request at most; longer ones are cut (servers refuse them long before).
const MAX_DECODED: usize = 8 * 1024;

/// One request as an access log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Where the client is named.
    source: Source<'a>,
    /// `GET`, `POST`, …
    pub method: Cow<'a, str>,
    /// Path and query as logged.
    pub target: Cow<'a, str>,
    /// Status of the answer.
    pub status: u16,
    /// Referrer, or empty.
    pub referrer: Cow<'a, str>,
    /// User agent, or empty.
    pub agent: Cow<'a, str>,
}

/// Where a request's line names the client: looked for only when a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<'a> {
    /// The text before the request line.
    Before(&'a str),
    /// The whole JSON line.
    Json(&'a str),
}

impl<'a> Request<'a> {
    /// The client.
    pub fn ip(&self) -> Option<Cow<'a, str>> {
        const KEYS: [&str; 5] =
            ["\"remote_ip\":", "\"client_ip\":", "\"remote_addr\":", "\"ClientHost\":", "\"remote\":"];
        match self.source {
            Source::Before(text) => client(text).map(Cow::Borrowed),
            Source::Json(text) => first_text(text, &KEYS),
        }
    }

    /// The texts a pattern may look at, as logged.
    pub fn texts(&self) -> [&str; 3] {
        [&self.target, &self.referrer, &self.agent]
    }

    /// Whether decoding changes more than the case of a text.
    pub fn is_encoded(&self) -> bool {
        let has_plus = |text: &str| memchr::memchr(b'+', text.as_bytes()).is_some();
        let is_escaped = |text: &str| memchr::memchr2(b'%', b'\\', text.as_bytes()).is_some();
        self.texts().into_iter().any(is_escaped) || has_plus(&self.target) || has_plus(&self.referrer)
    }
}

/// The part of a request a pattern looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The path.
    Path,
    /// The query string.
    Query,
    /// The referrer.
    Referrer,
    /// The user agent.
    Agent,
}

/// The request's parts, decoded twice, lower-case, one after the other.
pub struct Decoded {
    text: String,
    ends: [usize; 4],
}

impl Decoded {
    /// Decodes the parts of a request.
    pub fn new(request: &Request<'_>) -> Self {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let mut text = String::with_capacity(path.len() + query.len() + request.agent.len() + 16);
        let mut ends = [0; 4];
        let parts = [(path, false), (query, true), (&*request.referrer, true), (&*request.agent, false)];
        for ((part, plus_is_blank), end) in parts.into_iter().zip(&mut ends) {
            push_decoded(&mut text, part, plus_is_blank);
            *end = text.len();
            // A separator no part can hold: control characters become blanks.
            text.push('\n');
        }
        Decoded { text, ends }
    }

    /// All parts, separated by line ends.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// One part.
    pub fn part(&self, part: Part) -> &str {
        let [path, query, referrer, agent] = self.ends;
        let range = match part {
            Part::Path => 0..path,
            Part::Query => path + 1..query,
            Part::Referrer => query + 1..referrer,
            Part::Agent => referrer + 1..agent,
        };
        self.text.get(range).unwrap_or_default()
    }
}

/// Reads the request of an access log line; `None` when the line is none.
pub fn parse(message: &str) -> Option<Request<'_>> {
    if message.starts_with('{') {
        return names_protocol(message).then(|| json(message)).flatten();
    }
    quoted(message)
}

fn names_protocol(message: &str) -> bool {
    static PROTOCOL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("HTTP/"));
    PROTOCOL.find(message.as_bytes()).is_some()
}

/// `… "METHOD target HTTP/x" status …`, or haproxy's, where the status comes before.
fn quoted(message: &str) -> Option<Request<'_>> {
    let (before, line, after) = request_line(message)?;
    if !names_protocol(message) {
        return None;
    }
    let (method, rest) = line.split_once(' ')?;
    let target = rest.rsplit_once(" HTTP/").map_or(rest, |(target, _)| target);
    let status = match leading_status(after) {
        Some(status) => status,
        None if after.trim().is_empty() => haproxy_status(before)?,
        None => return None,
    };
    let mut quotes = quoted_texts(after);
    let referrer = quotes.next().filter(|text| *text != "-").unwrap_or_default();
    let agent = quotes.next().unwrap_or_default();
    Some(Request {
        source: Source::Before(before),
        method: Cow::Borrowed(method),
        target: Cow::Borrowed(target),
        status,
        referrer: Cow::Borrowed(referrer),
        agent: Cow::Borrowed(agent),
    })
}

/// The first quoted text that begins with a method, with what stands before and after it.
fn request_line(message: &str) -> Option<(&str, &str, &str)> {
    let bytes = message.as_bytes();
    for quote in memchr::memchr_iter(b'"', bytes) {
        let rest = message.get(quote + 1..)?;
        let method = rest.bytes().take(12).take_while(u8::is_ascii_uppercase).count();
        if method >= 3 && rest.as_bytes().get(method) == Some(&b' ') {
            let end = end_of_quoted(rest)?;
            return Some((message.get(..quote)?, rest.get(..end)?, rest.get(end + 1..)?));
        }
    }
    None
}

fn end_of_quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'"', bytes)
        .find(|quote| bytes.iter().take(*quote).rev().take_while(|byte| **byte == b'\\').count() % 2 == 0)
}

fn quoted_texts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once('"')?;
        let end = end_of_quoted(after)?;
        rest = after.get(end + 1..)?;
        after.get(..end)
    })
}

fn leading_status(after: &str) -> Option<u16> {
    let digits = after.strip_prefix(' ')?.split([' ', ',']).next()?;
    status(digits)
}

fn status(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|status| digits.len() == 3 && (100..600).contains(status))
}

/// haproxy writes timers (`0/0/1/2/3`), then the status.
fn haproxy_status(before: &str) -> Option<u16> {
    let mut words = before.split_ascii_whitespace();
    words.by_ref().find(|word| word.bytes().filter(|byte| *byte == b'/').count() >= 3)?;
    status(words.next()?)
}

/// The first address among the words before the request.
fn client(before: &str) -> Option<&str> {
    const WORDS: usize = 6;
    before.split_ascii_whitespace().take(WORDS).find_map(|word| {
        let word = word.trim_end_matches(',');
        let bare = word.trim_start_matches('[').trim_end_matches(']');
        let without_port = word.rsplit_once(':').map_or(word, |(host, _)| host.trim_matches(['[', ']']));
        [bare, without_port].into_iter().find(|text| text.parse::<IpAddr>().is_ok())
    })
}

fn json(message: &str) -> Option<Request<'_>> {
    let text = |keys: &[&str]| first_text(message, keys);
    let (method, target) = match text(&["\"request\":"]) {
        Some(line) => {
            let (method, rest) = line.split_once(' ')?;
            let target = rest.rsplit_once(" HTTP/").map_or(rest, |(target, _)| target);
            (Cow::Owned(method.to_owned()), Cow::Owned(target.to_owned()))
        }
        None => (
            text(&["\"method\":", "\"request_method\":", "\"RequestMethod\":"])?,
            text(&["\"uri\":", "\"request_uri\":", "\"RequestPath\":", "\"url\":", "\"path\":"])?,
        ),
    };
    let code = ["\"status\":", "\"DownstreamStatus\":", "\"statusCode\":", "\"status_code\":"];
    Some(Request {
        source: Source::Json(message),
        method,
        target,
        status: code.iter().find_map(|key| json_status(message, key))?,
        referrer: text(&["\"Referer\":", "\"http_referer\":", "\"request_Referer\":"]).unwrap_or_default(),
        agent: text(&[
            "\"User-Agent\":",
            "\"http_user_agent\":",
            "\"request_User-Agent\":",
            "\"user_agent\":",
        ])
        .unwrap_or_default(),
    })
}

fn first_text<'a>(message: &'a str, keys: &[&str]) -> Option<Cow<'a, str>> {
    keys.iter().find_map(|key| json_text(message, key))
}

/// The text behind a key, also as the only item of a list.
fn json_text<'a>(message: &'a str, key: &str) -> Option<Cow<'a, str>> {
    let (_, after) = message.split_once(key)?;
    let inner = after.trim_start_matches([' ', '[']).strip_prefix('"')?;
    let raw = inner.get(..end_of_quoted(inner)?)?;
    match raw.contains('\\') {
        false => Some(Cow::Borrowed(raw)),
        true => serde_json::from_str(&format!("\"{raw}\"")).ok().map(Cow::Owned),
    }
}

fn json_status(message: &str, key: &str) -> Option<u16> {
    let (_, after) = message.split_once(key)?;
    let after = after.trim_start_matches([' ', '"']);
    status(after.get(..3)?)
}

/// Decodes `%xx` (twice) and `\xNN`, lowers the case, turns control characters into blanks.
fn push_decoded(out: &mut String, part: &str, plus_is_blank: bool) {
    let part = part.get(..part.floor_char_boundary(MAX_DECODED)).unwrap_or_default();
    let blank = |byte: u8| if byte < 0x20 || (plus_is_blank && byte == b'+') { b' ' } else { byte };
    if !part.bytes().any(|byte| byte == b'%' || byte == b'\\') {
        out.extend(part.chars().map(|c| {
            u8::try_from(c)
                .ok()
                .filter(u8::is_ascii)
                .map_or(c, |byte| char::from(blank(byte).to_ascii_lowercase()))
        }));
        return;
    }
    // `+` is a blank only as typed: an encoded `%2b` is a plus.
    let typed: Vec<u8> = part.bytes().map(blank).collect();
    let mut bytes = unescape(&unescape(&typed));
    for byte in &mut bytes {
        *byte = if *byte < 0x20 { b' ' } else { byte.to_ascii_lowercase() };
    }
    out.push_str(&String::from_utf8_lossy(&bytes));
}

fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let (value, after) = match rest {
            [b'%', high, low, after @ ..] | [b'\\', b'x', high, low, after @ ..] => {
                match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => (high << 4 | low, after),
                    _ => (*first, tail),
                }
            }
            _ => (*first, tail),
        };
        out.push(value);
        rest = after;
    }
    out
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, ip: &str, (method, target): (&str, &str), status: u16, agent: &str) {
        let request = parse(line).expect("a request");
        assert_eq!(request.ip().as_deref(), Some(ip));
        assert_eq!((&*request.method, &*request.target, request.status), (method, target, status));
        assert_eq!(&*request.agent, agent);
    }

    #[test]
    fn every_known_format_is_read() {
        let time = "[21/Nov/2026:10:00:00 +0000]";
        check(
            &format!(r#"192.0.2.7 - - {time} "GET /a?b=1 HTTP/1.1" 404 12 "-" "curl/8""#),
            "192.0.2.7",
            ("GET", "/a?b=1"),
            404,
            "curl/8",
        );
        check(
            &format!(r#"shop:443 2001:db8::1 - bob {time} "POST / HTTP/2.0" 200 1"#),
            "2001:db8::1",
            ("POST", "/"),
            200,
            "",
        );
        check(
            r#"INFO:     198.51.100.2:5000 - "GET /x HTTP/1.1" 500 Internal"#,
            "198.51.100.2",
            ("GET", "/x"),
            500,
            "",
        );
        check(
            r#"192.0.2.7:4001 [21/Nov/2026:10:00:00.1] web app/s1 0/0/1/2/3 503 217 - - SC-- 1/1/0/0/0 0/0 "GET /y HTTP/1.1""#,
            "192.0.2.7",
            ("GET", "/y"),
            503,
            "",
        );
        check(
            r#"{"request":{"remote_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","uri":"/z","headers":{"User-Agent":["a b"]}},"status":200}"#,
            "192.0.2.7",
            ("GET", "/z"),
            200,
            "a b",
        );
        check(
            r#"{"remote_addr":"192.0.2.7","request":"GET /q HTTP/1.1","status":"301","http_user_agent":"x"}"#,
            "192.0.2.7",
            ("GET", "/q"),
            301,
            "x",
        );
    }

    #[test]
    fn an_error_log_that_quotes_a_request_is_no_access_log() {
        let line = r#"upstream timed out, client: 192.0.2.7, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1/""#;
        assert_eq!(parse(line), None);
        assert_eq!(parse("HTTP/1.1 is spoken here"), None);
    }

    #[test]
    fn parts_are_decoded_twice_and_kept_apart() {
        let line = r#"192.0.2.7 - - [x] "GET /a%252e%252E/?q=1+UNION%20select%0d\x22 HTTP/1.1" 200 1 "http://r/%3Cb" "UA+x""#;
        let decoded = Decoded::new(&parse(line).unwrap());
        assert_eq!(decoded.part(Part::Path), "/a../");
        assert_eq!(decoded.part(Part::Query), "q=1 union select \"");
        assert_eq!(decoded.part(Part::Referrer), "http://r/<b");
        assert_eq!(decoded.part(Part::Agent), "ua+x");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_not_but_never_panics(text in "[ -~é]{0,60}", code in 0_u16..1000) {
            let _ = parse(&text);
            if let Some(request) = parse(&format!("1.2.3.4 \"GET {text} HTTP/1.1\" {code}")) {
                let _ = Decoded::new(&request).part(Part::Agent);
            }
        }
    }
}
