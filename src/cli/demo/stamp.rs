//! A time as each daemon writes it, in UTC.

use crate::model::Timestamp;

/// `Nov 21 03:12:09`, syslog.
pub(super) fn syslog(at: Timestamp) -> String {
    written(at, "%b %e %H:%M:%S")
}

/// `21/Nov/2026:03:12:09 +0000`, access logs.
pub(super) fn access(at: Timestamp) -> String {
    written(at, "%d/%b/%Y:%H:%M:%S +0000")
}

/// `2026/11/21 03:12:09`, nginx's error log.
pub(super) fn nginx(at: Timestamp) -> String {
    written(at, "%Y/%m/%d %H:%M:%S")
}

/// `2026-11-21 03:12:09.123`, applications and PostgreSQL.
pub(super) fn millis(at: Timestamp) -> String {
    written(at, "%Y-%m-%d %H:%M:%S.%3f")
}

/// `21 Nov 03:12`, for people.
pub(super) fn short(at: Timestamp) -> String {
    written(at, "%d %b %H:%M")
}

fn written(at: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())) {
        Ok(time) => time.strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_daemon_has_its_own_way() {
        let at: Timestamp = "2026-11-02T03:12:09.123456Z".parse().unwrap();
        assert_eq!(syslog(at), "Nov  2 03:12:09");
        assert_eq!(access(at), "02/Nov/2026:03:12:09 +0000");
        assert_eq!(nginx(at), "2026/11/02 03:12:09");
        assert_eq!(millis(at), "2026-11-02 03:12:09.123");
        assert_eq!(short(at), "02 Nov 03:12");
    }
}
