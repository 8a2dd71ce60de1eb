//! Secrets that are recognised by their own form, wherever they stand.

use std::sync::LazyLock;

use regex::Regex;

use super::Hit;

/// The mask of a key, token or password.
pub const SECRET: &str = "[secret]";
/// The mask of an e-mail address.
pub const EMAIL: &str = "[email]";
/// The mask of a payment card number.
pub const CARD: &str = "[card]";
/// The mask of a private key.
pub const PRIVATE_KEY: &str = "[private-key]";
/// The mask of a password hash.
pub const PASSWORD_HASH: &str = "[hash]";
/// The mask of a cookie header's value.
pub const COOKIE: &str = "[cookie]";

/// No mask is longer than this.
pub const LONGEST_MASK: usize = 16;

/// Masks and patterns; the last capture group of a match (the whole match without groups) is what is masked.
const PATTERNS: &[(&str, &str)] = &[
    (
        PRIVATE_KEY,
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    (PRIVATE_KEY, r"(?i)AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    // The body of a key that arrived line by line.
    (PRIVATE_KEY, r"(?m)^\s*([A-Za-z0-9+/]{56,76}={0,2})\s*$"),
    (SECRET, r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*"),
    // Vendors whose keys begin with a name.
    (
        SECRET,
        r"\b(?:sk|pk|rk|gsk|xai|pplx|hf|r8|nvapi|sess|dop_v1|doo_v1|npm|glpat|gldt|glrt|ghp|gho|ghu|ghs|ghr|github_pat|shpat|shpss|shpca|whsec|lin_api|sbp|vercel|tfp|hvs|hvb|dapi|pypi|rubygems|tskey|sntrys|phc|phx|secret|ntn|figd|PMAK|SG|xox[abeprs]|xapp|EAA[A-Za-z]*|AC|key)[-_.][A-Za-z0-9_.-]{14,}",
    ),
    (SECRET, r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    (SECRET, r"\bAIza[A-Za-z0-9_-]{30,}"),
    (SECRET, r"\bya29\.[A-Za-z0-9_-]{16,}"),
    (SECRET, r"\b(?:dapi|SK|AC)[0-9a-f]{32}\b"),
    (SECRET, r"\b[0-9]{8,10}:A[A-Za-z0-9_-]{34}"),
    (SECRET, r"(?i)hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9_/-]+)"),
    (SECRET, r"(?i)discord(?:app)?\.com/api/webhooks/([A-Za-z0-9_/-]+)"),
    (SECRET, r"(?i)api\.telegram\.org/bot([A-Za-z0-9:_-]+)"),
    // Names and passwords in URLs; the password may hold anything but blanks and what ends the host.
    (SECRET, r#"(?i)[a-z][a-z0-9+.-]*://[^\s/?#:@"'<>]*:([^\s/?#"'<>]+)@"#),
    (SECRET, r#"(?i)[a-z][a-z0-9+.-]*://[^\s:@"'<>]*:([^\s"'<>]+)@[a-z0-9.-]+(?::\d+)?(?:/|\s|$)"#),
    (SECRET, r#"(?i)[a-z][a-z0-9+.-]*://([^\s/?#:@"'<>]{16,})@"#),
    // Header values.
    (COOKIE, r#"(?i)\b(?:set-)?cookies?\\?["']?\s*[:=]\s*\\?["']?([^"'\r\n\\]+)"#),
    (
        SECRET,
        r#"(?i)authorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:bearer|basic|digest|token|negotiate|ntlm|apikey|aws4-hmac-sha256)\s+)?([^"'\r\n\\]+)"#,
    ),
    (SECRET, r#"(?i)\b(?:bearer|basic)[ \t]+([A-Za-z0-9._~+/=-]*[0-9=][A-Za-z0-9._~+/=-]*)"#),
    (SECRET, r#"(?i)\b(?:bearer|basic)[ \t]+([A-Za-z0-9._~+/=-]{20,})"#),
    (
        SECRET,
        r"\b(?:[Bb]earer|[Bb]asic|BASIC|BEARER)[ \t]+([A-Za-z0-9._~+/=-]*[a-z][A-Z][A-Za-z0-9._~+/=-]*)",
    ),
    // Command lines.
    (
        SECRET,
        r#"(?i)(?:^|[\s"'])--?[a-z-]*(?:password|passwd|passphrase|secret|token|api-?key|auth-?key|credentials?)[ \t]+\\?["']?([^\s"'\\]+)"#,
    ),
    (SECRET, r"\bsshpass\s+-p\s*(\S+)"),
    (
        SECRET,
        r"\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump|mongo|mongosh|mongodump)\b[^\n|;]*?\s-p(\S+)",
    ),
    (SECRET, r#"(?i)(?:\s|^)(?:-u|--user|--proxy-user)[ =]?["']?[^\s:"']+:([^\s"']+)"#),
    (SECRET, r"(?i)\b(?:requirepass|masterauth)\s+(\S+)"),
    // SQL and sentences.
    (SECRET, r#"(?i)\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?["']([^"']*)"#),
    (
        SECRET,
        r#"(?i)\b(?:password|passwd|passphrase|pwd|secret|token|pin|otp)\s+(?:is\s+|was\s+|to\s+|of\s+)?\\?["'`]([^"'`\\]+)"#,
    ),
    (SECRET, r#"(?i)\b(?:password|passwd|passphrase|secret|token|api[ _-]?key)\s+(?:is|was)\s+(\S*\d\S*)"#),
    // Password hashes.
    (
        PASSWORD_HASH,
        r"\$(?:1|2[abxy]?|5|6|7|y|gy|argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]*|apr1|P|H|sha1)\$[./A-Za-z0-9$,=+-]{8,}",
    ),
    (PASSWORD_HASH, r"(?i)\{(?:s?sha(?:256|384|512)?|s?md5|crypt|blf-crypt|pbkdf2)\}[A-Za-z0-9+/=.$]{8,}"),
    (PASSWORD_HASH, r"SCRAM-SHA-(?:1|256)\$\S+"),
    (PASSWORD_HASH, r"\bmd5[0-9a-f]{32}\b"),
    (PASSWORD_HASH, r"\*[0-9A-F]{40}\b"),
];

/// E-mail addresses, by their domain's last label so that unit names (`getty@tty1.service`) can stay.
const EMAIL_PATTERN: &str = r"[\w.!#$%&'*+/?^`{|}~-]+@(?:[\w-]+\.)+(\p{L}[\p{L}0-9-]{1,23})";

/// Ends of systemd unit names, which look like the domain of an address.
const UNIT_ENDS: &[&str] = &[
    "service",
    "socket",
    "timer",
    "slice",
    "mount",
    "automount",
    "scope",
    "target",
    "device",
    "path",
    "swap",
    "log",
    "conf",
    "sock",
];

#[expect(clippy::expect_used, reason = "constant patterns, compiled by a test")]
static COMPILED: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    PATTERNS.iter().map(|(mask, pattern)| (*mask, Regex::new(pattern).expect("valid pattern"))).collect()
});

#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static EMAIL_REGEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(EMAIL_PATTERN).expect("valid pattern"));

#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static RANDOM_WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9+_=-]{32,}").expect("valid pattern"));

/// Finds secrets by their form.
pub fn find(text: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (mask, pattern) in COMPILED.iter() {
        hits.extend(pattern.captures_iter(text).filter_map(|found| {
            let whole = found.get(0)?;
            let part = found.iter().skip(1).flatten().last().unwrap_or(whole);
            Some(Hit { range: part.range(), mask })
        }));
    }
    hits.extend(EMAIL_REGEX.captures_iter(text).filter_map(|found| {
        let is_unit = found.get(1).is_some_and(|end| UNIT_ENDS.contains(&end.as_str()));
        found.get(0).filter(|_| !is_unit).map(|whole| Hit { range: whole.range(), mask: EMAIL })
    }));
    hits.extend(random_words(text));
    hits
}

/// Long words that look drawn at random and have no other meaning. Fingerprints of public keys stay.
fn random_words(text: &str) -> impl Iterator<Item = Hit> {
    RANDOM_WORD.find_iter(text).filter_map(move |word| {
        let named = text.get(..word.start()).is_some_and(|before| before.ends_with("SHA256:"));
        (!named && looks_random(word.as_str())).then(|| Hit { range: word.range(), mask: SECRET })
    })
}

/// Upper case, lower case and digits mixed, with at least 3.8 bits of entropy per character: a hexadecimal id has at
/// most 4 bits but one case, words of a language about 3.5.
fn looks_random(word: &str) -> bool {
    let mut counts = [0_u32; 256];
    for byte in word.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = word.len() as f64;
    let entropy: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum();
    let has = |test: fn(&u8) -> bool| word.bytes().any(|byte| test(&byte));
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit) && entropy >= 3.8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_masks_fit_their_bound() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
        assert!(COMPILED.iter().all(|(mask, _)| mask.len() < LONGEST_MASK));
    }

    #[test]
    fn random_words_are_told_from_names_and_ids() {
        assert!(looks_random("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"));
        assert!(!looks_random("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        assert!(!looks_random("SystemdUserSessionServiceConfiguration"));
    }
}
