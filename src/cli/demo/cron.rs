//! cron: the same few commands, all day.

use std::time::Duration;

use super::day::{Day, Place, later};

const SERVERS: [Place; 3] = [cron("web-1"), cron("db-1"), cron("backup-1")];

const fn cron(host: &'static str) -> Place {
    Place { host, job: "cron", filename: "/var/log/cron.log" }
}

pub(super) fn write(day: &mut Day) {
    for server in SERVERS {
        for at in day.every(Duration::from_secs(300)) {
            let tag = format!("CRON[{}]", day.rng.range(2_000, 60_000));
            let command = "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)";
            day.syslog(server, at, &tag, command);
        }
        for at in day.every(Duration::from_secs(3_600)) {
            let tag = format!("CRON[{}]", day.rng.range(2_000, 60_000));
            let opened = "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)";
            day.syslog(server, at, &tag, opened);
            day.syslog(
                server,
                later(at, 3),
                &tag,
                "(root) CMD (cd / && run-parts --report /etc/cron.hourly)",
            );
            let closed = "pam_unix(cron:session): session closed for user root";
            day.syslog(server, later(at, 300), &tag, closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::demo::day::written, model::Timestamp};

    #[test]
    fn every_five_minutes_and_every_hour_on_three_servers() {
        let lines = written(Timestamp::from_secs(1_800_000_000), write);
        assert_eq!(lines.len(), 3 * (288 + 24 * 3));
    }
}
