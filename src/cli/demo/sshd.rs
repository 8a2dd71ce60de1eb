//! sshd and sudo: people at work, the internet's background noise, and one guessed password.

use super::day::{Day, Place, later};
use crate::model::Timestamp;

const BASTION: Place = auth("bastion-1");
const SERVERS: [Place; 6] =
    [BASTION, auth("web-1"), auth("app-1"), auth("app-2"), auth("db-1"), auth("backup-1")];
/// Who guesses the password.
pub(super) const ATTACKER: &str = "203.0.113.77";
/// Wrong passwords before the right one.
const TRIES: u64 = 140;

const fn auth(host: &'static str) -> Place {
    Place { host, job: "auth", filename: "/var/log/auth.log" }
}

pub(super) fn write(day: &mut Day) {
    people(day);
    noise(day);
    backups(day);
    guessed_password(day);
}

/// Administrators log in with their keys, do something as root and leave.
fn people(day: &mut Day) {
    for server in SERVERS {
        for at in day.moments(18) {
            let user = day.rng.pick(&["ann", "bob", "carol"]);
            let (pid, port) = (day.rng.range(2_000, 60_000), day.rng.range(32_768, 60_999));
            let ip = format!("10.8.0.{}", day.rng.range(2, 9));
            let tag = format!("sshd[{pid}]");
            let key = "ED25519 SHA256:rCkN3e0vYp5o1bTq9sG7hU2xJw4LdFzKmA8iQyVtBnM";
            day.syslog(
                server,
                at,
                &tag,
                &format!("Accepted publickey for {user} from {ip} port {port} ssh2: {key}"),
            );
            let opened =
                format!("pam_unix(sshd:session): session opened for user {user}(uid=1000) by (uid=0)");
            day.syslog(server, later(at, 40), &tag, &opened);
            sudo(day, server, later(at, 65_000), user);
            let left = later(at, day.rng.range(120_000, 1_800_000));
            day.syslog(
                server,
                left,
                &tag,
                &format!("Received disconnect from {ip} port {port}:11: disconnected by user"),
            );
            day.syslog(
                server,
                later(left, 2),
                &tag,
                &format!("Disconnected from user {user} {ip} port {port}"),
            );
            let closed = format!("pam_unix(sshd:session): session closed for user {user}");
            day.syslog(server, later(left, 5), &tag, &closed);
        }
    }
}

fn sudo(day: &mut Day, server: Place, at: Timestamp, user: &str) {
    let command = day.rng.pick(&[
        "/usr/bin/apt-get update",
        "/usr/bin/systemctl status nginx",
        "/usr/bin/journalctl -n 100",
        "/usr/bin/docker ps",
        "/usr/bin/df -h",
    ]);
    let asked = format!("{user:>8} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; COMMAND={command}");
    day.syslog(server, at, "sudo", &asked);
    let opened = format!("pam_unix(sudo:session): session opened for user root(uid=0) by {user}(uid=1000)");
    day.syslog(server, later(at, 8), "sudo", &opened);
    day.syslog(server, later(at, 420), "sudo", "pam_unix(sudo:session): session closed for user root");
}

/// What every public address sees: single tries by strangers, hours apart.
fn noise(day: &mut Day) {
    for at in day.moments(30) {
        let (ip, pid, port) = (day.visitor(), day.rng.range(2_000, 60_000), day.rng.range(32_768, 60_999));
        let user = day.rng.pick(&["admin", "test", "oracle", "ubuntu", "pi"]);
        let tag = format!("sshd[{pid}]");
        day.syslog(BASTION, at, &tag, &format!("Invalid user {user} from {ip} port {port}"));
        let closed = format!("Connection closed by invalid user {user} {ip} port {port} [preauth]");
        day.syslog(BASTION, later(at, 700), &tag, &closed);
    }
}

/// The backup server fetches from each machine every half hour.
fn backups(day: &mut Day) {
    for server in SERVERS {
        for at in day.every(std::time::Duration::from_secs(1_800)) {
            let (pid, port) = (day.rng.range(2_000, 60_000), day.rng.range(32_768, 60_999));
            let tag = format!("sshd[{pid}]");
            let key = "ED25519 SHA256:b7Qm2LxTf0pZk9wYcVhRj3sNdUe6GaIo1BtXyMvKlE4";
            let accepted = format!("Accepted publickey for backup from 10.0.0.9 port {port} ssh2: {key}");
            day.syslog(server, at, &tag, &accepted);
            let closed = "pam_unix(sshd:session): session closed for user backup";
            day.syslog(server, later(at, 9_000), &tag, closed);
        }
    }
}

/// Twelve minutes of guessing, a hit, and a root shell.
fn guessed_password(day: &mut Day) {
    let start = day.clock(5, 12);
    for n in 0..TRIES {
        let at = later(start, n * 5_000 + day.rng.range(0, 1_500));
        let (pid, port) = (41_000 + n, 40_000 + n * 7);
        let who = day.rng.pick(&["root", "deploy", "root", "invalid user admin", "invalid user git"]);
        let failed = format!("Failed password for {who} from {ATTACKER} port {port} ssh2");
        day.syslog(BASTION, at, &format!("sshd[{pid}]"), &failed);
    }
    let hit = later(start, TRIES * 5_000 + 2_000);
    let accepted = format!("Accepted password for deploy from {ATTACKER} port 51990 ssh2");
    day.syslog(BASTION, hit, "sshd[41990]", &accepted);
    let opened = "pam_unix(sshd:session): session opened for user deploy(uid=1004) by (uid=0)";
    day.syslog(BASTION, later(hit, 30), "sshd[41990]", opened);
    let root = "  deploy : TTY=pts/1 ; PWD=/home/deploy ; USER=root ; COMMAND=/bin/bash";
    day.syslog(BASTION, later(hit, 48_000), "sudo", root);
    let opened = "pam_unix(sudo:session): session opened for user root(uid=0) by deploy(uid=1004)";
    day.syslog(BASTION, later(hit, 48_010), "sudo", opened);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::day::written;

    #[test]
    fn the_attacker_fails_140_times_then_gets_in_and_becomes_root() {
        let lines = written(Timestamp::from_secs(1_800_000_000), write);
        let of_attacker: Vec<_> = lines.iter().filter(|line| line.text.contains(ATTACKER)).collect();
        let failed = of_attacker.iter().filter(|line| line.text.contains("Failed password")).count();
        assert_eq!((failed, of_attacker.len()), (140, 141));
        let hit = of_attacker.last().unwrap();
        assert!(hit.text.contains("Accepted password for deploy"));
        let shell = lines.iter().find(|line| line.text.contains("COMMAND=/bin/bash")).unwrap();
        assert!(shell.at > hit.at && shell.place == hit.place);
    }
}
