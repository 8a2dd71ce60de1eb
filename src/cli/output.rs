//! The only writer to stdout and stderr. Log text is hostile: control characters never reach the terminal.

use std::io::{IsTerminal, Write};

use crate::model::Severity;

/// Writes results to stdout.
pub(super) fn say(text: &str) {
    // A reader that went away (`| head`) is no failure of ours.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Where results that are many are written; what is left is written when it is flushed.
pub(super) type Results = std::io::BufWriter<std::io::Stdout>;

/// Writes results to stdout, many at a time. Unlike with [`say`], it is told when the reader went away.
pub(super) fn results() -> Results {
    std::io::BufWriter::new(std::io::stdout())
}

/// Writes a problem to stderr.
pub(super) fn problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "sigyn: {text}");
}

/// Rewrites the progress line, on a terminal only.
pub(super) fn progress(text: &str) {
    let mut stderr = std::io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{text}\x1b[K");
        let _ = stderr.flush();
    }
}

/// Whether stdout shows colours.
pub(super) fn is_colourful() -> bool {
    std::io::stdout().is_terminal()
}

/// The text on one line, without control characters and direction marks: both could rewrite what is on the screen.
pub(super) fn tame(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => '⏎',
        '\t' => ' ',
        c if c.is_control() || is_direction_mark(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text, at most `width` characters; a cut is shown.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The severity's name, padded, in its colour.
pub(super) fn severity(severity: Severity, colourful: bool) -> String {
    let name = format!("{:8}", severity.as_str());
    let colour = match severity {
        Severity::Critical => "1;37;41",
        Severity::High => "1;31",
        Severity::Medium => "33",
        Severity::Low => "36",
        Severity::Info => "2",
    };
    if colourful { format!("\x1b[{colour}m{name}\x1b[0m") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_log_lines_never_reach_the_terminal() {
        assert_eq!(tame("a\x1b[2Jb\r\u{9b}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
        assert_eq!(tame("root\u{202e}toor\n\tend"), "root\u{fffd}toor⏎ end");
    }

    #[test]
    fn a_cut_counts_characters_and_shows() {
        assert_eq!((cut("äöü", 3), cut("äöüß", 3)), ("äöü".to_owned(), "äö…".to_owned()));
    }
}
