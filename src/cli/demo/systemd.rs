//! systemd and what it runs: timers, log rotation, and a backup that fills its disk.

use std::time::Duration;

use super::day::{Day, Place, later};

const BACKUP: Place = syslog("backup-1");
const SERVERS: [Place; 6] =
    [syslog("bastion-1"), syslog("web-1"), syslog("app-1"), syslog("app-2"), syslog("db-1"), BACKUP];
/// Writes that fail.
const FAILED_WRITES: u64 = 18;

const fn syslog(host: &'static str) -> Place {
    Place { host, job: "syslog", filename: "/var/log/syslog" }
}

pub(super) fn write(day: &mut Day) {
    timers(day);
    disk_full(day);
}

fn timers(day: &mut Day) {
    const UNITS: [(&str, &str); 5] = [
        ("sysstat-collect", "system activity accounting tool"),
        ("apt-daily", "Daily apt download activities"),
        ("logrotate", "Rotate log files"),
        ("fstrim", "Discard unused blocks on filesystems"),
        ("man-db", "Daily man-db regeneration"),
    ];
    for server in SERVERS {
        for at in day.every(Duration::from_secs(600)) {
            let (unit, what) = day.rng.pick(&UNITS);
            let took = day.rng.range(60, 4_000);
            day.syslog(server, at, "systemd[1]", &format!("Starting {unit}.service - {what}..."));
            let done = later(at, took);
            day.syslog(server, done, "systemd[1]", &format!("{unit}.service: Deactivated successfully."));
            day.syslog(server, later(done, 1), "systemd[1]", &format!("Finished {unit}.service - {what}."));
        }
    }
}

/// The nightly copy meets the end of the disk.
fn disk_full(day: &mut Day) {
    let start = day.clock(21, 40);
    for n in 0..FAILED_WRITES {
        let at = later(start, n * 4_000 + day.rng.range(0, 900));
        let id = day.rng.range(0x1000_0000, 0xffff_ffff);
        let message = format!("write /srv/backup/data/{:02x}/{id:08x}: no space left on device", id % 256);
        day.syslog(BACKUP, at, "restic[30411]", &message);
    }
    let journal = "Failed to write entry to /var/log/journal/system.journal: No space left on device";
    day.syslog(BACKUP, later(start, 41_000), "systemd-journald[311]", journal);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::demo::day::written, model::Timestamp};

    #[test]
    fn nineteen_writes_fail_on_the_full_disk() {
        let lines = written(Timestamp::from_secs(1_800_000_000), write);
        let full = |text: &str| text.to_lowercase().contains("no space left on device");
        assert_eq!(lines.iter().filter(|line| full(&line.text)).count(), 19);
        assert!(lines.iter().all(|line| !full(&line.text) || line.place.host == "backup-1"));
        assert_eq!(lines.len(), 6 * 144 * 3 + 19);
    }
}
