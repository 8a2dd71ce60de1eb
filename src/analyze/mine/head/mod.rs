//! The head of an application's line: time, level, thread, process, logger, request. Templates are mined from what
//! stands behind it, because the same event is the same whoever reports it and in whichever thread.
//!
//! In: a message. Out: how many of its bytes are head. Heads are known by their structure, the same for all systems:
//! a time or a level, and columns around it. Without one of these nothing is taken off. Never the whole message.

mod token;

use self::token::{Kind, Token};

/// A head is looked for within so many bytes.
const HEAD_MAX: usize = 400;
/// Columns before the time.
const BEFORE: usize = 5;
/// Tokens between the time and the level.
const BETWEEN: usize = 8;
/// Tokens behind the level.
const BEHIND: usize = 8;

/// The length of the head of `message`; 0 if it has none.
pub(super) fn length(message: &str) -> usize {
    let bytes = message.as_bytes();
    let text = bytes.get(..HEAD_MAX).unwrap_or(bytes);
    let mut head = Head { text, ..Head::default() };
    let is_found = head.start() && head.is_anchored();
    let end = text.get(head.at..).and_then(|rest| rest.iter().position(|byte| !token::is_blank(*byte)));
    match end {
        Some(blanks) if is_found => head.at + blanks,
        _ => 0,
    }
}

#[derive(Default)]
struct Head<'a> {
    text: &'a [u8],
    /// Up to here it is head.
    at: usize,
    has_stamp: bool,
    has_level: bool,
    /// The level is a single letter: what follows is a tag.
    is_letter: bool,
    /// Groups, separators and names seen: what a sentence does not have.
    structure: usize,
    has_name: bool,
    /// More than one time, or columns before it: a format of columns.
    is_columnar: bool,
}

impl<'a> Head<'a> {
    /// A level alone may start a sentence.
    fn is_anchored(&self) -> bool {
        self.has_stamp || self.has_level && self.structure > 0
    }

    fn token(&self, from: usize) -> Option<Token<'a>> {
        let blanks = self.text.get(from..)?.iter().take_while(|byte| token::is_blank(**byte)).count();
        token::at(self.text, from + blanks)
    }

    /// Finds the time or level that makes this a head, and goes on from there; says whether there is one.
    fn start(&mut self) -> bool {
        let mut at = 0;
        let mut is_numbered = false;
        for column in 0..=BEFORE {
            let Some(token) = self.token(at) else { return false };
            match token.kind {
                Kind::Stamp if column > 0 && is_access(token.text) => return false,
                Kind::Stamp => {
                    self.has_stamp = true;
                    self.is_columnar = column > 0;
                    self.at = token.end;
                    if self.text.get(token.end) == Some(&b'|') {
                        self.cells();
                    } else if !self.between() {
                        self.behind();
                    }
                    return true;
                }
                Kind::Level => {
                    self.has_level = true;
                    self.structure += usize::from(token.text.first() == Some(&b'['));
                    self.at = token.end;
                    self.behind();
                    return true;
                }
                _ if column == 0 && self.basic_config(&token) => return true,
                Kind::Group => self.structure += 1,
                Kind::Number => is_numbered |= column == 0,
                Kind::Column | Kind::Separator => {}
                // Columns of words end in a number that is a time; a sentence hardly does.
                Kind::Text if is_numbered && self.leads_to_epoch(token.end) => {}
                _ => return false,
            }
            at = token.end;
        }
        false
    }

    fn leads_to_epoch(&self, mut at: usize) -> bool {
        for _ in 0..BEFORE - 1 {
            let Some(token) = self.token(at) else { return false };
            if token.kind == Kind::Stamp {
                return token.text.len() == 10 && token.text.iter().all(u8::is_ascii_digit);
            }
            at = token.end;
        }
        false
    }

    /// Python's `LEVEL:logger:message`, whose message starts within the word.
    fn basic_config(&mut self, token: &Token<'_>) -> bool {
        let mut parts = token.text.splitn(3, |byte| *byte == b':');
        let (Some(level), Some(name), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let is_level = token::is_level_name(level) && level.iter().all(u8::is_ascii_uppercase);
        self.at = level.len() + name.len() + 2;
        self.has_level = is_level;
        self.structure += 1;
        is_level && token::is_name(name)
    }

    /// `time|cell|cell|message`.
    fn cells(&mut self) {
        const CELLS: usize = 4;
        self.at += 1;
        for _ in 0..CELLS {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let is_cell =
                |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$' | b'-' | b':' | b'@');
            let length = rest.iter().take_while(|byte| is_cell(byte)).count();
            if length == 0 || rest.get(length) != Some(&b'|') {
                return;
            }
            self.at += length + 1;
        }
    }

    /// Goes on to the level, further times, or the tag that ends the head; says whether the message starts there.
    fn between(&mut self) -> bool {
        let mut at = self.at;
        let (mut columns, mut words, mut numbers) = (0, 0, 0);
        for _ in 0..BETWEEN {
            let Some(token) = self.token(at) else { break };
            match token.kind {
                Kind::Stamp if token.text.contains(&b':') || token.text.len() >= 10 => {
                    self.at = token.end;
                    self.is_columnar = true;
                    (columns, words, numbers) = (0, 0, 0);
                }
                Kind::Level => {
                    self.has_level = true;
                    self.at = token.end;
                    return false;
                }
                Kind::Text if token::is_level_letter(token.text) && words == 0 && columns == numbers => {
                    self.has_level = true;
                    self.is_letter = true;
                    self.at = token.end;
                    return false;
                }
                Kind::Tag => {
                    self.at = token.end;
                    return !token.text.ends_with(b"]") || columns == numbers;
                }
                Kind::Named if columns > numbers && words == 0 => {
                    self.at = token.end;
                    return true;
                }
                Kind::Separator if columns > numbers && words == 0 => {
                    // Who speaks, and a dash; a level may still come.
                    self.at = token.end;
                    self.has_name = true;
                }
                Kind::Separator | Kind::Group => self.structure += 1,
                Kind::Stamp => {}
                Kind::Number => {
                    columns += 1;
                    numbers += 1;
                }
                // A word in capitals is a column among others, and else as good as any word.
                Kind::Column if self.is_columnar || columns > numbers || !token::is_letters(token.text) => {
                    columns += 1;
                }
                // One word may stand before the level, if it is set off.
                Kind::Column | Kind::Text if words == 0 && self.is_set_off(&token) => words += 1,
                Kind::Column | Kind::Text | Kind::Named => break,
            }
            at = token.end;
        }
        self.has_name
    }

    /// Takes what stands between the level (or the time) and the message.
    fn behind(&mut self) {
        let mut is_dashed = false;
        for _ in 0..BEHIND {
            let Some(token) = self.token(self.at) else { return };
            let is_over = match token.kind {
                Kind::Separator if token.text == b"." => return,
                Kind::Separator => {
                    let is_last = matches!(token.text, b"-" | b":" | b"*" | b"#" | b">");
                    is_dashed |= is_last;
                    self.has_name || self.structure > 0 && is_last
                }
                Kind::Stamp if !self.has_stamp => {
                    self.has_stamp = true;
                    false
                }
                Kind::Group => {
                    is_dashed = false;
                    self.text.get(token.end) == Some(&b':')
                }
                Kind::Tag => true,
                Kind::Number if self.is_column(token.end) => false,
                Kind::Named if !self.has_name && !is_dashed && self.is_speaker(&token) => true,
                Kind::Column | Kind::Text if !self.has_name && self.is_logger(&token, is_dashed) => {
                    self.has_name = true;
                    false
                }
                Kind::Column if token::is_code_line(token.text) => {
                    self.has_name = true;
                    false
                }
                _ => return,
            };
            self.structure += 1;
            self.at = token.end + usize::from(is_over && token.kind == Kind::Group);
            if is_over {
                return;
            }
        }
    }

    /// Whether a number before `at` is a column: more head follows.
    fn is_column(&self, at: usize) -> bool {
        let Some(next) = self.token(at) else { return false };
        match next.kind {
            Kind::Group | Kind::Separator | Kind::Tag => true,
            Kind::Column => token::is_code_line(next.text) || token::is_dotted(next.text),
            _ => false,
        }
    }

    /// Whether `name:` says who speaks rather than starting what is said.
    fn is_speaker(&self, token: &Token<'_>) -> bool {
        let name = token.text.strip_suffix(b":").unwrap_or(token.text);
        self.is_letter || token::is_technical(name)
    }

    /// Whether a word without a colon is the logger's name: by its form, or by what stands behind it.
    fn is_logger(&self, token: &Token<'_>, is_dashed: bool) -> bool {
        if !token::is_name(token.text) {
            return false;
        }
        if self.has_level && (token::is_dotted(token.text) || token::is_code_line(token.text)) {
            return true;
        }
        if token.is_padded && self.has_level && !is_dashed {
            return self.token(token.end).is_some_and(|next| next.text.first() != Some(&b'{'));
        }
        let is_firm = self.has_level && self.structure > 0 && !is_dashed;
        (is_firm || token::is_technical(token.text)) && self.is_before_separator(token)
    }

    /// Whether a word stands in a column of its own: padded, or with a separator behind it.
    fn is_set_off(&self, token: &Token<'_>) -> bool {
        token::is_name(token.text) && (token.is_padded || self.is_before_separator(token))
    }

    fn is_before_separator(&self, token: &Token<'_>) -> bool {
        let next = self.token(token.end);
        next.is_some_and(|next| {
            matches!((next.kind, next.text), (Kind::Separator, b"-" | b":" | b"--" | b"|"))
        })
    }
}

/// `[21/Nov/2026:03:04:05 +0000]`: access logs say who asked before it.
fn is_access(stamp: &[u8]) -> bool {
    stamp.get(3) == Some(&b'/') || stamp.get(2) == Some(&b'/') && stamp.first() == Some(&b'[')
}

#[cfg(test)]
mod tests;
