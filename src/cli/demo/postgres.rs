//! PostgreSQL: checkpoints and slow statements, and how it came back after the kernel killed one of its processes.

use std::time::Duration;

use super::{
    day::{Day, Place, later},
    kernel::KILLED_PID,
    stamp,
};
use crate::model::Timestamp;

const LOG: Place =
    Place { host: "db-1", job: "postgres", filename: "/var/log/postgresql/postgresql-16-main.log" };
/// The server's first process.
const POSTMASTER: u64 = 912;

pub(super) fn write(day: &mut Day) {
    checkpoints(day);
    statements(day);
    recovery(day);
}

fn say(day: &mut Day, at: Timestamp, pid: u64, message: &str) {
    let text = format!("{} UTC [{pid}] {message}", stamp::millis(at));
    day.log(LOG, at, text);
}

fn checkpoints(day: &mut Day) {
    for at in day.every(Duration::from_secs(300)) {
        let buffers = day.rng.range(40, 2_400);
        say(day, at, 918, "LOG:  checkpoint starting: time");
        let seconds = buffers / 10;
        let done = format!(
            "LOG:  checkpoint complete: wrote {buffers} buffers ({}.{}%); 0 WAL file(s) added, 0 removed, 1 recycled; \
             write={seconds}.{:03} s, sync=0.004 s, total={seconds}.211 s",
            buffers / 164,
            buffers % 10,
            buffers % 1_000
        );
        say(day, later(at, seconds * 1_000), 918, &done);
    }
}

fn statements(day: &mut Day) {
    for at in day.moments(4_000) {
        let (pid, n) = (day.rng.range(20_000, 30_000), day.rng.range(1, 400));
        let message = match day.rng.range(0, 20) {
            0 => format!(
                "shop@shop LOG:  duration: {}.{n:03} ms  statement: SELECT * FROM product WHERE id = {n}",
                250 + n
            ),
            1 => "shop@shop ERROR:  duplicate key value violates unique constraint \"cart_item_pkey\""
                .to_owned(),
            2..=9 => "[unknown]@[unknown] LOG:  connection received: host=10.0.0.21 port=48812".to_owned(),
            _ => "shop@shop LOG:  connection authorized: user=shop database=shop application_name=shop-api"
                .to_owned(),
        };
        say(day, at, pid, &message);
    }
}

/// The same second as the kernel's report.
fn recovery(day: &mut Day) {
    let at = day.clock(13, 22);
    let killed = format!("LOG:  server process (PID {KILLED_PID}) was terminated by signal 9: Killed");
    say(day, later(at, 150), POSTMASTER, &killed);
    say(day, later(at, 160), POSTMASTER, "LOG:  terminating any other active server processes");
    say(day, later(at, 420), POSTMASTER, "LOG:  all server processes terminated; reinitializing");
    let improper = "LOG:  database system was not properly shut down; automatic recovery in progress";
    say(day, later(at, 600), 24_002, improper);
    say(day, later(at, 2_900), POSTMASTER, "LOG:  database system is ready to accept connections");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::day::written;

    #[test]
    fn the_database_tells_of_its_end_and_its_return() {
        let lines = written(Timestamp::from_secs(1_800_000_000), write);
        let count = |part: &str| lines.iter().filter(|line| line.text.contains(part)).count();
        assert_eq!(count("(PID 23817) was terminated by signal 9: Killed"), 1);
        assert_eq!(count("ready to accept connections"), 1);
        assert_eq!(lines.len(), 288 * 2 + 4_000 + 5);
    }
}
