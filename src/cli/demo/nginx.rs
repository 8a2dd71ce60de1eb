//! nginx: visitors of a shop, one scanner, and five minutes without the application behind it.

use super::{
    day::{Day, Place, later},
    stamp,
};
use crate::model::Timestamp;

const ACCESS: Place = Place { host: "web-1", job: "nginx", filename: "/var/log/nginx/access.log" };
const ERRORS: Place = Place { host: "web-1", job: "nginx", filename: "/var/log/nginx/error.log" };
/// Visitors' requests of the day.
const REQUESTS: usize = 18_000;
/// Who looks for weak spots.
pub(super) const SCANNER: &str = "198.51.100.23";
/// Requests while the application is away.
const FAILED: u64 = 90;

const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Mobile Safari/604.1",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
];

/// What scanners ask for first.
const WEAK_SPOTS: [&str; 24] = [
    "/.env",
    "/.git/config",
    "/.aws/credentials",
    "/wp-login.php",
    "/phpmyadmin/index.php",
    "/adminer.php",
    "/server-status",
    "/actuator/health",
    "/backup.zip",
    "/.ds_store",
    "/xmlrpc.php",
    "/config.json",
    "/admin/.env",
    "/api/.env",
    "/old/.env",
    "/.git/head",
    "/phpinfo.php",
    "/pma/index.php",
    "/manager/html",
    "/solr/admin",
    "/owa/auth",
    "/cgi-bin/test",
    "/.vscode/sftp.json",
    "/setup.php",
];

pub(super) fn write(day: &mut Day) {
    visitors(day);
    small_things(day);
    scan(day);
    backend_away(day);
}

fn visitors(day: &mut Day) {
    for at in day.moments(REQUESTS) {
        let ip = day.visitor();
        let number = day.rng.range(1, 400);
        let path = match day.rng.range(0, 10) {
            0 | 1 => "/".to_owned(),
            2..=4 => format!("/product/{number}"),
            5 => format!("/assets/app.{:x}.js", number % 7 + 0xa1),
            6 => format!("/images/{number}.webp"),
            7 => "/cart".to_owned(),
            8 => {
                format!("/search?q={}", day.rng.pick(&["shoes", "red+lamp", "tea", "desk", "student+union"]))
            }
            _ => "/api/stock".to_owned(),
        };
        let status = match day.rng.range(0, 1_000) {
            0..=5 => 404,
            6..=90 => 304,
            91..=110 => 302,
            _ => 200,
        };
        let agent = day.rng.pick(&BROWSERS);
        request(day, at, &Request { ip: &ip, path: &path, status, agent });
    }
}

/// What the access log keeps of a request.
struct Request<'a> {
    ip: &'a str,
    path: &'a str,
    status: u16,
    agent: &'a str,
}

fn request(day: &mut Day, at: Timestamp, request: &Request<'_>) {
    let Request { ip, path, status, agent } = *request;
    let bytes = if status == 304 { 0 } else { day.rng.range(180, 48_000) };
    let time = stamp::access(at);
    let text = format!("{ip} - - [{time}] \"GET {path} HTTP/1.1\" {status} {bytes} \"-\" \"{agent}\"");
    day.log(ACCESS, at, text);
}

fn error(day: &mut Day, at: Timestamp, level: &str, message: &str) {
    let text = format!("{} [{level}] 1187#1187: {message}", stamp::nginx(at));
    day.log(ERRORS, at, text);
}

/// Single errors that mean nothing.
fn small_things(day: &mut Day) {
    for at in day.moments(60) {
        let (ip, n) = (day.visitor(), day.rng.range(10_000, 90_000));
        let message = format!(
            "*{n} a client request body is buffered to a temporary file /var/lib/nginx/body/{n:010}, client: {ip}, \
             server: shop.example, request: \"POST /upload HTTP/1.1\", host: \"shop.example\""
        );
        error(day, at, "warn", &message);
    }
    let rotated = day.clock(14, 0);
    error(day, rotated, "notice", "signal 10 (SIGUSR1) received from 30211, reopening logs");
}

fn scan(day: &mut Day) {
    let start = day.clock(2, 31);
    for (n, path) in (0_u64..).zip(WEAK_SPOTS) {
        let at = later(start, n * 2_300 + day.rng.range(0, 900));
        request(day, at, &Request { ip: SCANNER, path, status: 404, agent: "Mozilla/5.0 zgrab/0.x" });
        let message = format!(
            "*{} open() \"/var/www/shop{path}\" failed (2: No such file or directory), client: {SCANNER}, \
             server: shop.example, request: \"GET {path} HTTP/1.1\", host: \"shop.example\"",
            70_000 + n
        );
        error(day, later(at, 1), "error", &message);
    }
}

fn backend_away(day: &mut Day) {
    let start = day.clock(17, 4);
    for n in 0..FAILED {
        let at = later(start, n * 3_000 + day.rng.range(0, 1_200));
        let (ip, path) = (day.visitor(), day.rng.pick(&["/cart", "/api/stock", "/checkout"]));
        let message = format!(
            "*{} connect() failed (111: Connection refused) while connecting to upstream, client: {ip}, \
             server: shop.example, request: \"GET {path} HTTP/1.1\", upstream: \"http://10.0.0.21:8080{path}\", \
             host: \"shop.example\"",
            80_000 + n
        );
        error(day, at, "error", &message);
        let agent = day.rng.pick(&BROWSERS);
        request(day, later(at, 1), &Request { ip: &ip, path, status: 502, agent });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::day::written;

    #[test]
    fn the_scanner_and_the_missing_backend_are_in_both_logs() {
        let lines = written(Timestamp::from_secs(1_800_000_000), write);
        let count = |place: Place, part: &str| {
            lines.iter().filter(|line| line.place == place && line.text.contains(part)).count()
        };
        assert_eq!((count(ACCESS, "zgrab"), count(ERRORS, &format!("client: {SCANNER},"))), (24, 24));
        assert_eq!((count(ACCESS, "\" 502 "), count(ERRORS, "Connection refused")), (90, 90));
        assert_eq!(lines.len(), 18_000 + 60 + 1 + 2 * 24 + 2 * 90);
    }
}
