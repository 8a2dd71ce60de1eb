//! When a server says to come back.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::HeaderMap;

use crate::model::Timestamp;

/// Longest wait believed: a server that says "next year" is not followed.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Reads `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date relative to `now`.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = text("retry-after-ms").and_then(positive).map(|ms| ms / 1_000.0);
    let seconds = || text("retry-after").and_then(positive);
    if let Some(wait) = millis.or_else(seconds) {
        return Some(Duration::try_from_secs_f64(wait).unwrap_or(LONGEST).min(LONGEST));
    }
    let at = DateTimeParser::new().parse_timestamp(text("retry-after")?).ok()?;
    Some(Timestamp::from_secs(at.as_second()).since(now).min(LONGEST))
}

fn positive(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &'static str, value: &'static str, expected: Option<Duration>) {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        assert_eq!(retry_after(&headers, Timestamp::from_secs(784_111_770)), expected, "{value}");
    }

    #[test]
    fn every_form_is_read() {
        check("retry-after", "7", Some(Duration::from_secs(7)));
        check("retry-after", "0.5", Some(Duration::from_millis(500)));
        check("retry-after-ms", "1500", Some(Duration::from_millis(1_500)));
        check("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::from_secs(7)));
        check("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", Some(Duration::ZERO));
    }

    #[test]
    fn nonsense_is_ignored_and_ages_are_capped() {
        check("retry-after", "soon", None);
        check("retry-after", "-5", None);
        check("retry-after", "NaN", None);
        check("retry-after", "1e300", Some(LONGEST));
    }
}
