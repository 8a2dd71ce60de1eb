//! What a byte is to the miner, and the kinds of values there are.
//!
//! A word's bytes are looked up once, in one table; the union of their classes answers most questions about the word.

/// A letter (or any byte outside ASCII).
pub(super) const ALPHA: u16 = 1;
/// A decimal digit.
pub(super) const DIGIT: u16 = 2;
/// Letter or digit.
pub(super) const ALNUM: u16 = ALPHA | DIGIT;
/// `.`
pub(super) const DOT: u16 = 4;
/// `/` or `\`
pub(super) const SLASH: u16 = 8;
/// `@`
pub(super) const AT: u16 = 16;
/// Other signs that may stand within a word.
pub(super) const SIGN: u16 = 32;
/// Anything that may stand within a word.
pub(super) const WORD: u16 = ALNUM | DOT | SLASH | AT | SIGN;
/// Blank or control byte.
pub(super) const SPACE: u16 = 64;
/// May stand between the parts of one value (`10.0.0.1:22`, `12:30:05,123`, `1, 2, 3`).
pub(super) const JOIN: u16 = 128;

/// A letter that is no hexadecimal digit.
pub(super) const BEYOND_HEX: u16 = 256;
/// Anything but capitals and `_`.
pub(super) const NOT_UPPER: u16 = 512;

static TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
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

const fn class_of(byte: u8) -> u16 {
    match byte {
        b' ' => SPACE | JOIN,
        0..=31 | 127 => SPACE,
        b'a'..=b'f' => ALPHA | NOT_UPPER,
        b'A'..=b'F' => ALPHA,
        b'g'..=b'z' | 128..=255 => ALPHA | BEYOND_HEX | NOT_UPPER,
        b'G'..=b'Z' => ALPHA | BEYOND_HEX,
        b'0'..=b'9' => DIGIT | NOT_UPPER,
        b'.' => DOT | JOIN | NOT_UPPER,
        b'/' => SLASH | JOIN | NOT_UPPER,
        b'\\' => SLASH | NOT_UPPER,
        b'@' => AT | JOIN | NOT_UPPER,
        b'_' => SIGN | JOIN,
        b'-' | b'+' | b'#' | b'&' => SIGN | JOIN | NOT_UPPER,
        b'$' | b'%' | b'*' | b'~' | b'!' | b'?' | b'^' | b'`' => SIGN | NOT_UPPER,
        b':' | b',' | b';' | b'|' => JOIN,
        _ => 0,
    }
}

/// The classes of a byte.
#[inline]
pub(super) fn of(byte: u8) -> u16 {
    #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
    TABLE[usize::from(byte)]
}

/// The union of the classes of some bytes.
pub(super) fn union(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |seen, byte| seen | of(*byte))
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
            Kind::Number => "<NUM>",
            Kind::Ip => "<IP>",
            Kind::Hex => "<HEX>",
            Kind::Uuid => "<UUID>",
            Kind::Path => "<PATH>",
            Kind::Time => "<TIME>",
            Kind::Date => "<DATE>",
            Kind::Url => "<URL>",
            Kind::Email => "<EMAIL>",
            Kind::Quantity => "<QTY>",
            Kind::Text | Kind::Id | Kind::Word | Kind::Any => "<*>",
            Kind::Empty => "",
        }
    }
}
