//! The texts of refusals that may be repeated later: rates and the number of streams.

use std::fmt::{self, Write};

use crate::model::{Entry, Labels, TenantId, Timestamp};

/// Entries listed by time in the answer about one stream, as in Loki.
const MAX_LISTED: usize = 10;

/// The tenant sends too fast.
pub(super) fn tenant_rate(tenant: &TenantId, limit: u64, lines: usize, bytes: usize) -> String {
    format!(
        "ingestion rate limit exceeded for user {tenant} (limit: {limit} bytes/sec) while attempting to ingest \
         '{lines}' lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see if \
         the limit can be increased"
    )
}

/// The tenant has too many streams for this one.
pub(super) fn streams(tenant: &TenantId, labels: &Labels) -> String {
    format!(
        "maximum active stream limit exceeded when trying to create stream {labels}, reduce the number of active \
         streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit \
         can be increased, user: '{tenant}'"
    )
}

/// One stream is sent too fast.
pub(super) fn stream_rate(tenant: &TenantId, labels: &Labels, limit: u64, entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries.iter().take(MAX_LISTED) {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "entry with timestamp {} ignored, reason: 'Per stream rate limit exceeded (limit: {}/sec) while \
             attempting to ingest for stream '{labels}' totaling {}, consider splitting a stream via additional \
             labels or contact your Loki administrator to see if the limit can be increased',",
            GoTime(entry.timestamp),
            Size(limit),
            Size(entry.line.len() as u64)
        );
    }
    let total = entries.len();
    let _ = write!(text, "user '{tenant}', total ignored: {total} out of {total} for stream: {labels}");
    text
}

/// A time as Go prints it.
struct GoTime(Timestamp);

impl fmt::Display for GoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rfc3339 = self.0.to_string();
        write!(f, "{} +0000 UTC", rfc3339.trim_end_matches('Z').replace('T', " "))
    }
}

/// Bytes in the largest binary unit that divides them, called KB and MB as Loki does.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
        match units.iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_those_clients_know() {
        let tenant = TenantId::parse("t4").unwrap();
        let labels = Labels::from_pairs([("a", "s")]).unwrap();
        let line = vec![b'x'; 10_001].into();
        let entry = Entry { timestamp: Timestamp::from_nanos(1_500_000_000), line, metadata: Vec::new() };
        assert_eq!(
            stream_rate(&tenant, &labels, 20_480, &[entry]),
            "entry with timestamp 1970-01-01 00:00:01.5 +0000 UTC ignored, reason: 'Per stream rate limit exceeded \
             (limit: 20KB/sec) while attempting to ingest for stream '{a=\"s\"}' totaling 10001B, consider \
             splitting a stream via additional labels or contact your Loki administrator to see if the limit can \
             be increased',\nuser 't4', total ignored: 1 out of 1 for stream: {a=\"s\"}"
        );
        assert!(tenant_rate(&tenant, 104_857, 10, 100_000).starts_with(
            "ingestion rate limit exceeded for user t4 (limit: 104857 bytes/sec) while attempting to ingest '10' \
             lines totaling '100000' bytes, reduce log volume"
        ));
    }
}
