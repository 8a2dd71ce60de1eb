//! Words of trouble: how worrying the text of a template is.

/// Words that people write when something is badly wrong.
const GRAVE: [&str; 34] = [
    "backdoor",
    "breach",
    "bricked",
    "compromised",
    "core",
    "corrupt",
    "corrupted",
    "corruption",
    "crash",
    "crashed",
    "deadlock",
    "destroyed",
    "emergency",
    "exploit",
    "fatal",
    "hijack",
    "hijacked",
    "infected",
    "intrusion",
    "lockup",
    "malware",
    "mismatch",
    "oom",
    "oops",
    "panic",
    "panicked",
    "ransom",
    "rootkit",
    "segfault",
    "sigsegv",
    "stolen",
    "tampered",
    "unrecoverable",
    "virus",
];

/// Words that people write when something did not go as it should.
const TROUBLE: [&str; 66] = [
    "abort",
    "aborted",
    "alert",
    "attack",
    "attempt",
    "bad",
    "banned",
    "blocked",
    "broken",
    "cannot",
    "conflict",
    "critical",
    "damaged",
    "degraded",
    "denied",
    "died",
    "disabled",
    "disconnected",
    "dropped",
    "dump",
    "error",
    "errors",
    "exceeded",
    "exception",
    "exhausted",
    "expired",
    "fail",
    "failed",
    "fails",
    "failure",
    "forbidden",
    "full",
    "hung",
    "illegal",
    "inaccessible",
    "invalid",
    "killed",
    "lost",
    "malformed",
    "missing",
    "overflow",
    "quarantine",
    "refused",
    "rejected",
    "reset",
    "revoked",
    "shortage",
    "stalled",
    "stuck",
    "suspicious",
    "terminated",
    "throttled",
    "timeout",
    "traceback",
    "truncated",
    "unable",
    "unauthorized",
    "unavailable",
    "undefined",
    "unexpected",
    "unhandled",
    "unreachable",
    "unresponsive",
    "untrusted",
    "violation",
    "vulnerable",
];

const GRAVE_WEIGHT: f64 = 0.7;
const TROUBLE_WEIGHT: f64 = 0.45;
/// Longest word worth comparing.
const MAX_WORD: usize = 16;

/// The weight of the worst word of a text, in [0, 1].
pub fn weight(text: &str) -> f64 {
    let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() <= MAX_WORD);
    words.map(word_weight).fold(0.0, f64::max)
}

fn word_weight(word: &str) -> f64 {
    let mut lower = [0; MAX_WORD];
    let Some(lower) = lower.get_mut(..word.len()) else { return 0.0 };
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    let is_in = |list: &[&str]| list.binary_search_by(|known| known.as_bytes().cmp(lower)).is_ok();
    if is_in(&GRAVE) {
        GRAVE_WEIGHT
    } else if is_in(&TROUBLE) {
        TROUBLE_WEIGHT
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_word_counts_in_any_case() {
        let check = |text: &str, expected: f64| assert!((weight(text) - expected).abs() < 1e-9, "{text}");
        check("ledger of <*> is CORRUPT, cannot go on", 0.7);
        check("upstream Refused the request", 0.45);
        check("session opened for <*>", 0.0);
        check("refusedness", 0.0);
        check("", 0.0);
    }

    #[test]
    fn the_lists_are_sorted_for_looking_up() {
        assert!(GRAVE.is_sorted() && TROUBLE.is_sorted());
    }
}
