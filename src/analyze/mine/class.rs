//! What a word is: ordinary text, a name that varies, or a value of a known kind. No regular expressions.

/// A letter (or any byte outside ASCII).
pub(super) const ALPHA: u8 = 1;
/// A decimal digit.
pub(super) const DIGIT: u8 = 2;
/// Letter or digit.
pub(super) const ALNUM: u8 = ALPHA | DIGIT;
/// `.`
pub(super) const DOT: u8 = 4;
/// `/` or `\`
pub(super) const SLASH: u8 = 8;
/// `@`
pub(super) const AT: u8 = 16;
/// Other signs that may stand within a word.
pub(super) const SIGN: u8 = 32;
/// Anything that may stand within a word.
pub(super) const WORD: u8 = ALNUM | DOT | SLASH | AT | SIGN;
/// Blank or control byte.
pub(super) const SPACE: u8 = 64;
/// May stand between the parts of one value (`10.0.0.1:22`, `12:30:05,123`, `1, 2, 3`).
pub(super) const JOIN: u8 = 128;

static TABLE: [u8; 256] = table();

const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "the loop stays below the table's length")]
        {
            table[byte] = class_of(byte as u8);
        }
        byte += 1;
    }
    table
}

const fn class_of(byte: u8) -> u8 {
    match byte {
        b' ' => SPACE | JOIN,
        0..=31 | 127 => SPACE,
        b'a'..=b'z' | b'A'..=b'Z' | 128..=255 => ALPHA,
        b'0'..=b'9' => DIGIT,
        b'.' => DOT | JOIN,
        b'/' => SLASH | JOIN,
        b'\\' => SLASH,
        b'@' => AT | JOIN,
        b'_' | b'-' | b'+' | b'#' | b'&' => SIGN | JOIN,
        b'$' | b'%' | b'*' | b'~' | b'!' | b'?' | b'^' | b'`' => SIGN,
        b':' | b',' | b';' | b'|' => JOIN,
        _ => 0,
    }
}

/// The classes of a byte.
pub(super) fn of(byte: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
    TABLE[usize::from(byte)]
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A number, also with sign, fraction or version dots.
    Number,
    /// An IPv4 or IPv6 address.
    Ip,
    /// Hexadecimal digits: pointers, hashes, MAC addresses.
    Hex,
    /// A UUID.
    Uuid,
    /// A file or URL path.
    Path,
    /// A time of day.
    Time,
    /// A date, month or weekday.
    Date,
    /// A URL with scheme.
    Url,
    /// A mail address.
    Email,
    /// A number with its unit: `15ms`, `4GiB`, `80%`.
    Quantity,
    /// Quoted text.
    Text,
    /// A mixture of letters and digits: host names, request ids.
    Id,
    /// The value of `key=` with nothing behind it.
    Empty,
    /// A word that turned out to vary.
    Word,
    /// Different kinds at the same place.
    Any,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Number,
        Kind::Ip,
        Kind::Hex,
        Kind::Uuid,
        Kind::Path,
        Kind::Time,
        Kind::Date,
        Kind::Url,
        Kind::Email,
        Kind::Quantity,
        Kind::Text,
        Kind::Id,
        Kind::Empty,
        Kind::Word,
        Kind::Any,
    ];

    /// A control byte for keys; see `scan::SLOT_MARK`.
    pub(super) fn code(self) -> u8 {
        self as u8 + 2
    }

    pub(super) fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code.checked_sub(2)?)).copied()
    }

    /// How it stands in a template's text.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Kind::Number => "<num>",
            Kind::Ip => "<ip>",
            Kind::Hex => "<hex>",
            Kind::Uuid => "<uuid>",
            Kind::Path => "<path>",
            Kind::Time => "<time>",
            Kind::Date => "<date>",
            Kind::Url => "<url>",
            Kind::Email => "<email>",
            Kind::Quantity => "<qty>",
            Kind::Text | Kind::Id | Kind::Word | Kind::Any => "<*>",
            Kind::Empty => "",
        }
    }
}

/// What a word turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    Weak,
    Upper,
    Fixed,
    Value(Kind),
    /// A constant beginning of the given length, then a value (`blk_123`).
    Prefixed(usize, Kind),
}

/// Words longer than this are values: nobody writes such words into a message.
const WORD_MAX: usize = 80;

/// Judges a word; `seen` is the union of its bytes' classes.
pub(super) fn classify(word: &[u8], seen: u8) -> Class {
    if seen & (DIGIT | DOT | SLASH | AT) == 0 && word.len() <= WORD_MAX {
        return plain(word);
    }
    if seen & SLASH != 0 {
        return with_slash(word, seen);
    }
    if seen & AT != 0 && seen & DOT != 0 && word.first() != Some(&b'@') {
        return Class::Value(Kind::Email);
    }
    if seen & DIGIT != 0 {
        return with_digit(word, seen);
    }
    if word.len() > WORD_MAX {
        return Class::Value(Kind::Id);
    }
    if word.contains(&b'.') { Class::Weak } else { plain(word) }
}

fn plain(word: &[u8]) -> Class {
    match word.len() {
        3 if is_calendar(word) => Class::Value(Kind::Date),
        2..=12 if is_fixed(word) => Class::Fixed,
        2.. if word.iter().all(|b| b.is_ascii_uppercase() || *b == b'_') => Class::Upper,
        _ => Class::Plain,
    }
}

/// `Mon`, `Jan` and their like; only the way dates are written.
fn is_calendar(word: &[u8]) -> bool {
    const NAMES: [&[u8]; 19] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
        b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun",
    ];
    word.first().is_some_and(u8::is_ascii_uppercase) && NAMES.contains(&word)
}

/// Words that tell two events apart however alike the rest is.
fn is_fixed(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 24] = [
        b"trace",
        b"debug",
        b"info",
        b"notice",
        b"warn",
        b"warning",
        b"error",
        b"fatal",
        b"critical",
        b"panic",
        b"failed",
        b"succeeded",
        b"accepted",
        b"rejected",
        b"denied",
        b"opened",
        b"closed",
        b"started",
        b"stopped",
        b"not",
        b"up",
        b"down",
        b"enabled",
        b"disabled",
    ];
    WORDS.iter().any(|fixed| fixed.eq_ignore_ascii_case(word))
}

fn with_slash(word: &[u8], seen: u8) -> Class {
    let slashes = word.iter().filter(|b| matches!(b, b'/' | b'\\')).count();
    if seen & DIGIT != 0
        && let Some(kind) = number_like(word)
    {
        return Class::Value(kind);
    }
    match word.first() {
        Some(b'/' | b'~') if word.len() > 1 => Class::Value(Kind::Path),
        _ if slashes > 1 || word.len() > WORD_MAX => Class::Value(Kind::Path),
        _ if seen & DIGIT != 0 => Class::Value(Kind::Id),
        _ => Class::Weak,
    }
}

fn with_digit(word: &[u8], seen: u8) -> Class {
    if let Some(kind) = number_like(word) {
        return Class::Value(kind);
    }
    if seen & DOT == 0
        && let Some(length) = prefix(word)
    {
        let rest = word.get(length..).unwrap_or_default();
        return Class::Prefixed(length, number_like(rest).unwrap_or(Kind::Id));
    }
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    let starts_alpha = word.first().is_some_and(u8::is_ascii_alphabetic);
    if starts_alpha && digits <= 2 && word.len() <= 24 && word.len() >= digits + 2 && seen & DOT == 0 {
        return Class::Weak;
    }
    Class::Value(Kind::Id)
}

/// The constant beginning of `blk_-12`, `req-3f…`, `worker-7`: letters up to the last `_` or `-` before a digit.
fn prefix(word: &[u8]) -> Option<usize> {
    let digit = word.iter().position(u8::is_ascii_digit)?;
    let mut length = 1 + word.get(..digit)?.iter().rposition(|b| matches!(b, b'_' | b'-' | b'#'))?;
    while length > 1 && matches!(word.get(length - 2), Some(b'_' | b'-')) {
        length -= 1;
    }
    let head = word.get(..length)?;
    let letters = head.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let signs = head.iter().filter(|b| matches!(b, b'_' | b'-' | b'#')).count();
    (letters >= 2 && letters + signs == length && head.first()?.is_ascii_alphabetic()).then_some(length)
}

/// The kind of a word that starts like a number, or is hexadecimal throughout.
fn number_like(word: &[u8]) -> Option<Kind> {
    if word.len() == 36 && is_uuid(word) {
        return Some(Kind::Uuid);
    }
    let body = word.strip_prefix(b"0x").or(word.strip_prefix(b"0X"));
    if body.is_some_and(|hex| !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit)) {
        return Some(Kind::Hex);
    }
    let unsigned = word.trim_ascii_start();
    let unsigned = unsigned.strip_prefix(b"-").or(unsigned.strip_prefix(b"+")).unwrap_or(unsigned);
    let unsigned = unsigned.strip_prefix(b"#").or(unsigned.strip_prefix(b"v")).unwrap_or(unsigned);
    let digits = unsigned.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return is_hex_word(word).then_some(Kind::Hex);
    }
    if unsigned.len() == digits {
        return Some(Kind::Number);
    }
    if is_ipv4(unsigned) {
        return Some(Kind::Ip);
    }
    if is_date(unsigned) {
        return Some(Kind::Date);
    }
    let plain = unsigned.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    match unsigned.len() - plain {
        0 => Some(Kind::Number),
        1..=5 if unsigned.get(plain..).is_some_and(is_unit) => Some(Kind::Quantity),
        _ if is_hex_word(unsigned) => Some(Kind::Hex),
        _ if unsigned.contains(&b'/') => None,
        _ => Some(Kind::Id),
    }
}

fn is_unit(tail: &[u8]) -> bool {
    tail.iter().all(|b| b.is_ascii_alphabetic() || *b == b'%' || !b.is_ascii() || *b == b'/')
}

fn is_hex_word(word: &[u8]) -> bool {
    word.len() >= 6 && word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_digit)
}

fn is_uuid(word: &[u8]) -> bool {
    word.iter().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    })
}

fn is_ipv4(word: &[u8]) -> bool {
    let address = word.split(|b| *b == b'/').next().unwrap_or_default();
    let mut parts = 0;
    address.split(|b| *b == b'.').all(|part| {
        parts += 1;
        (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit)
    }) && parts == 4
}

/// `2026-11-21`, `2026/11/21`, `21/Nov/2026`, `2026-11-21T10:…` (up to the colon).
fn is_date(word: &[u8]) -> bool {
    let sign = |i: usize| word.get(i).is_some_and(|b| matches!(b, b'-' | b'/'));
    let digits =
        |from: usize, to: usize| word.get(from..to).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    (digits(0, 4) && sign(4) && digits(5, 7) && sign(7) && digits(8, 10))
        || (digits(0, 2) && sign(2) && sign(6) && digits(7, 11))
}

/// A value that holds colons.
pub(super) struct Composite {
    pub(super) kind: Kind,
    pub(super) end: usize,
}

/// Reads `12:30:05`, MAC and IPv6 addresses and URLs, whose first word is `text[start..end]`.
pub(super) fn with_colons(text: &[u8], start: usize, end: usize) -> Option<Composite> {
    let word = text.get(start..end)?;
    if text.get(end + 1..end + 3) == Some(b"//") {
        let is_scheme = word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        return is_scheme.then(|| Composite { kind: Kind::Url, end: url_end(text, end) });
    }
    if is_date(word) && word.contains(&b'T') {
        let rest = text.get(end..).unwrap_or_default();
        let length =
            rest.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b'Z'));
        return Some(Composite { kind: Kind::Time, end: end + length.count() });
    }
    if word.len() > 4 || !word.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let run = text.get(start..text.len().min(start + 64))?;
    let length = run.iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let run = run.get(..length)?;
    let run = run.strip_suffix(b".").unwrap_or(run);
    let run = if run.ends_with(b"::") { run } else { run.strip_suffix(b":").unwrap_or(run) };
    let after = text.get(start + run.len());
    let colons = run.iter().filter(|b| **b == b':').count();
    if colons < 2 || after.is_some_and(|b| of(*b) & ALNUM != 0) || !run.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let kind = match colons {
        2 if !run.starts_with(b":") && run.iter().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.')) => {
            Kind::Time
        }
        5 if run.len() == 17 => Kind::Hex,
        _ => Kind::Ip,
    };
    let end = start + run.len();
    Some(Composite { kind, end: if kind == Kind::Time { with_fraction(text, end) } else { end } })
}

/// The end of a time written with a decimal comma (`12:30:05,123`).
fn with_fraction(text: &[u8], end: usize) -> usize {
    let Some(rest) = text.get(end..).and_then(|rest| rest.strip_prefix(b",")) else { return end };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if (1..=9).contains(&digits) { end + 1 + digits } else { end }
}

/// The kind of the quoted text `text[start..end]`: that of its only word, or text.
pub(super) fn of_quoted(text: &[u8], start: usize, end: usize) -> Kind {
    let content = text.get(start..end).unwrap_or_default();
    let first = content.iter().take_while(|b| of(**b) & WORD != 0).count();
    if first == content.len() {
        let seen = content.iter().fold(0, |seen, b| seen | of(*b));
        return match classify(content, seen) {
            Class::Value(kind) if seen & ALNUM != 0 => kind,
            _ => Kind::Text,
        };
    }
    match with_colons(text, start, start + first) {
        Some(composite) if content.get(first) == Some(&b':') && composite.end == end => composite.kind,
        _ => Kind::Text,
    }
}

/// Reads an IPv6 address that starts with colons (`::1`).
pub(super) fn leading_colons(text: &[u8], at: usize) -> Option<Composite> {
    let before = at.checked_sub(1).and_then(|i| text.get(i)).copied().unwrap_or(b' ');
    let is_start = text.get(at + 1) == Some(&b':') && text.get(at + 2).is_some_and(u8::is_ascii_hexdigit);
    (is_start && of(before) & WORD == 0).then(|| with_colons(text, at, at)).flatten()
}

fn url_end(text: &[u8], from: usize) -> usize {
    let is_end = |b: &u8| of(*b) & SPACE != 0 || matches!(b, b'"' | b'\'' | b'<' | b'>' | b')' | b']' | b',');
    let length = text.get(from..).unwrap_or_default().iter().take_while(|b| !is_end(b)).count();
    from + length
}
