//! What the surroundings of an ordinary word say: units behind numbers, and what is set to true or false.

/// Whether `word` is a unit of time or size: `5 ms` and `2 s` are one event.
pub(super) fn is_unit(word: &[u8]) -> bool {
    const UNITS: [&[u8]; 38] = [
        b"ns",
        b"us",
        b"ms",
        b"s",
        b"sec",
        b"secs",
        b"second",
        b"seconds",
        b"msec",
        b"msecs",
        b"millis",
        b"usec",
        b"min",
        b"mins",
        b"minute",
        b"minutes",
        b"h",
        b"hour",
        b"hours",
        b"day",
        b"days",
        b"millisecond",
        b"milliseconds",
        b"b",
        b"byte",
        b"bytes",
        b"kb",
        b"mb",
        b"gb",
        b"tb",
        b"kib",
        b"mib",
        b"gib",
        b"tib",
        b"kbytes",
        b"mbytes",
        b"gbytes",
        b"microseconds",
    ];
    word.len() <= 12 && UNITS.iter().any(|unit| unit.eq_ignore_ascii_case(word))
}

/// Whether `word` is one of the two truth values.
pub(super) fn is_boolean(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"true") || word.eq_ignore_ascii_case(b"false")
}

/// Whether what stands before a word at `start` sets it: `key=`, `key = `, `key: `.
pub(super) fn is_set(text: &[u8], start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default().trim_ascii_end();
    matches!(before.last(), Some(b'=' | b':'))
}

/// Whether a word is the value of a field in a list: `state=idle, `.
pub(super) fn is_listed(text: &[u8], start: usize, end: usize) -> bool {
    start.checked_sub(1).and_then(|i| text.get(i)) == Some(&b'=')
        && matches!(text.get(end), Some(b',' | b';' | b')' | b']' | b'}'))
}

/// The end of a quantity that starts with a comparison at `at`: `<1 sec`.
pub(super) fn compared(text: &[u8], at: usize) -> Option<usize> {
    let is_start = at.checked_sub(1).and_then(|i| text.get(i)).is_none_or(|byte| *byte == b' ');
    let rest = text.get(at + 1..).filter(|_| is_start)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let unit = rest.get(digits..).filter(|_| digits > 0)?;
    let blank = usize::from(unit.first() == Some(&b' '));
    let unit = unit.get(blank..)?;
    let length = unit.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    unit.get(..length).is_some_and(is_unit).then_some(at + 1 + digits + blank + length)
}
