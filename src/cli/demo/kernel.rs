//! The kernel: firewall and network lines, and the moment it ran out of memory and killed the database.

use super::day::{Day, Place, later};

const DB: Place = kernel("db-1");
const SERVERS: [Place; 4] = [kernel("bastion-1"), kernel("web-1"), DB, kernel("backup-1")];
/// The database's process that is killed.
pub(super) const KILLED_PID: u32 = 23_817;

const fn kernel(host: &'static str) -> Place {
    Place { host, job: "kernel", filename: "/var/log/kern.log" }
}

pub(super) fn write(day: &mut Day) {
    everyday(day);
    out_of_memory(day);
}

fn everyday(day: &mut Day) {
    for server in SERVERS {
        for at in day.moments(120) {
            let message = match day.rng.range(0, 3) {
                0 => "eth0: renamed from veth3c1a9be".to_owned(),
                1 => "docker0: port 2(veth51d0a7f) entered forwarding state".to_owned(),
                _ => format!(
                    "audit: type=1400 apparmor=\"STATUS\" operation=\"profile_replace\" pid={}",
                    day.rng.range(900, 60_000)
                ),
            };
            day.syslog(server, at, "kernel", &message);
        }
    }
}

/// Twice as many lines in life; these are the ones that say what happened.
fn out_of_memory(day: &mut Day) {
    let at = day.clock(13, 22);
    let pid = KILLED_PID;
    let lines = [
        "postgres invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0".to_owned(),
        "Mem-Info:".to_owned(),
        "active_anon:1874211 inactive_anon:41120 isolated_anon:0".to_owned(),
        "Tasks state (memory values in pages):".to_owned(),
        format!("oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/postgresql.service,task=postgres,pid={pid},uid=113"),
        format!("Out of memory: Killed process {pid} (postgres) total-vm:9214208kB, anon-rss:7316480kB, file-rss:0kB, shmem-rss:131072kB, UID:113 pgtables:15120kB oom_score_adj:0"),
        format!("oom_reaper: reaped process {pid} (postgres), now anon-rss:0kB, file-rss:0kB, shmem-rss:131072kB"),
    ];
    for (n, line) in (0..).zip(&lines) {
        day.syslog(DB, later(at, n * 12), "kernel", line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::demo::day::written, model::Timestamp};

    #[test]
    fn the_killed_process_is_the_database() {
        let lines = written(Timestamp::from_secs(1_800_000_000), write);
        let killed: Vec<_> = lines.iter().filter(|line| line.text.contains("Killed process")).collect();
        assert_eq!(killed.len(), 1);
        assert!(killed[0].text.contains("db-1 kernel: Out of memory: Killed process 23817 (postgres)"));
        assert_eq!(lines.len(), 4 * 120 + 7);
    }
}
