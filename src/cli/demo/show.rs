//! Findings for people: a card when one appears, a word when it gets worse, a table at the end.

use std::collections::BTreeMap;

use super::stamp;
use crate::{
    cli::output,
    model::{Finding, FindingId, Severity},
};

/// Columns of a card.
const WIDTH: usize = 110;
/// Lines of evidence shown.
const MAX_EVIDENCE: usize = 3;

/// What has been shown so far.
pub(super) struct Shown {
    colourful: bool,
    severities: BTreeMap<FindingId, Severity>,
}

impl Shown {
    pub(super) fn new(colourful: bool) -> Self {
        Shown { colourful, severities: BTreeMap::new() }
    }

    /// What is new in the list (newest first, as the API gives it), oldest first.
    pub(super) fn news(&mut self, findings: &[Finding]) -> Vec<String> {
        findings.iter().rev().filter_map(|finding| self.one(finding)).collect()
    }

    fn one(&mut self, finding: &Finding) -> Option<String> {
        match self.severities.insert(finding.id.clone(), finding.severity) {
            None => Some(card(finding, self.colourful)),
            Some(before) if before < finding.severity => {
                let severity = output::severity(finding.severity, self.colourful);
                Some(format!("{severity} ▲ worse now: {}\n", output::tame(&finding.title)))
            }
            Some(_) => None,
        }
    }
}

/// Everything there is to know at first sight.
fn card(finding: &Finding, colourful: bool) -> String {
    let bold = |text: &str| if colourful { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let dim = |text: &str| if colourful { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() };
    let hosts = finding.hosts.iter().cloned().collect::<Vec<_>>().join(", ");
    let place = format!(
        "{}  {}  {}",
        stamp::short(finding.first_seen),
        output::tame(&hosts),
        finding.category.as_str().replace('_', " ")
    );
    let mut text = format!("{}  {}\n", output::severity(finding.severity, colourful), dim(&place));
    for line in wrap(&output::tame(&finding.title), WIDTH - 2) {
        text.push_str(&format!("  {}\n", bold(&line)));
    }
    paragraph(&mut text, "", &finding.summary);
    paragraph(&mut text, "What to do: ", &finding.recommendation);
    for line in telling(finding) {
        let line = output::tame(&line.replace('\t', "    "));
        text.push_str(&format!("    {}\n", dim(&format!("│ {}", output::cut(&line, WIDTH - 6)))));
    }
    text
}

/// The lines shown: the beginning of a trace, or how it began and how it ended.
fn telling(finding: &Finding) -> Vec<&str> {
    let mut lines = finding.evidence.iter().map(|line| line.line.as_str());
    let Some(first) = lines.next() else { return Vec::new() };
    if first.contains('\n') {
        return first.lines().take(MAX_EVIDENCE).collect();
    }
    let mut last: Vec<_> = lines.rev().take(MAX_EVIDENCE - 1).collect();
    last.push(first);
    last.reverse();
    last
}

fn paragraph(text: &mut String, label: &str, body: &str) {
    for line in wrap(&output::tame(&format!("{label}{body}")), WIDTH - 2) {
        text.push_str(&format!("  {line}\n"));
    }
}

/// Breaks a text between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// All findings, worst first, with their final counts.
pub(super) fn table(findings: &[Finding], colourful: bool) -> String {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.first_seen));
    let row = |finding: &&Finding| {
        let severity = output::severity(finding.severity, colourful);
        let title = output::cut(&output::tame(&finding.title), WIDTH - 28);
        format!("  {severity}  {}  {title}", stamp::short(finding.first_seen))
    };
    sorted.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// `1 critical, 4 high`.
pub(super) fn tally(findings: &[Finding]) -> String {
    let count = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let named = Severity::ALL.into_iter().rev().map(|severity| (severity, count(severity)));
    let words: Vec<_> =
        named.filter(|(_, n)| *n > 0).map(|(severity, n)| format!("{n} {}", severity.as_str())).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::EvidenceLine;

    fn finding(severity: &str, count: u64) -> Finding {
        let time = "2026-11-21T03:12:00Z";
        let labels = json!({"job": "auth"});
        serde_json::from_value(json!({
            "id": "1", "tenant": "fake", "title": "a\u{1b}b", "severity": severity, "category": "disk_full",
            "summary": "It happened.", "recommendation": "Mend it.", "root_cause": null,
            "evidence": [{"stream": labels, "timestamp_ns": "1", "line": "one\n\ttwo\nthree\nfour", "template": null}],
            "source_ips": [], "users": [], "affected_service": null, "hosts": ["h"], "count": count, "score": 1.0,
            "origin": [], "first_seen": time, "last_seen": time, "created_at": time, "updated_at": time,
            "status": "open", "note": null, "fingerprint": "f",
            "window": {"from": time, "to": time, "lines": 1, "suspicious": 1},
        }))
        .unwrap()
    }

    #[test]
    fn a_finding_is_shown_once_and_again_only_when_it_is_worse() {
        let mut shown = Shown::new(false);
        let expected = "medium    21 Nov 03:12  h  disk full\n  a\u{fffd}b\n  It happened.\n  What to do: Mend it.\n    \
                        │ one\n    │     two\n    │ three\n";
        assert_eq!(shown.news(&[finding("medium", 1)]), [expected]);
        assert_eq!(shown.news(&[finding("medium", 2)]), Vec::<String>::new());
        assert_eq!(shown.news(&[finding("high", 2)]), ["high     ▲ worse now: a\u{fffd}b\n"]);
        assert_eq!(shown.news(&[finding("low", 3)]), Vec::<String>::new());
    }

    #[test]
    fn the_first_line_and_the_last_two_stand_for_all() {
        let mut finding = finding("low", 5);
        let line = |text: &str| EvidenceLine { line: text.to_owned(), ..finding.evidence[0].clone() };
        finding.evidence = ["a", "b", "c", "d"].map(line).to_vec();
        assert_eq!(telling(&finding), ["a", "c", "d"]);
    }

    #[test]
    fn long_texts_break_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("enormous", 3), ["enormous"]);
    }

    #[test]
    fn the_tally_begins_with_the_worst() {
        assert_eq!(tally(&[finding("low", 1), finding("critical", 1)]), "1 critical, 1 low");
        assert_eq!(tally(&[]), "none");
    }
}
