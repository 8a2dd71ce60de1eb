//! Applications in containers, as docker's json-file driver keeps them: a Java shop and a Python worker with their traces.

use serde_json::json;

use super::{
    day::{Day, Place, later},
    stamp,
};
use crate::model::Timestamp;

const SHOP: Place = container("app-1", "/var/lib/docker/containers/shop-api/shop-api-json.log");
const WORKER: Place = container("app-2", "/var/lib/docker/containers/mail-worker/mail-worker-json.log");

const JAVA: [&str; 6] = [
    "Exception in thread \"order-sync-3\" java.lang.NullPointerException: Cannot invoke \"Price.amount()\" because \"price\" is null",
    "\tat com.example.shop.order.OrderSync.total(OrderSync.java:118)",
    "\tat com.example.shop.order.OrderSync.run(OrderSync.java:64)",
    "\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)",
    "\tat java.base/java.lang.Thread.run(Thread.java:1583)",
    "Caused by: com.example.shop.price.PriceNotFound: no price for product 311 in EUR",
];

const PYTHON: [&str; 6] = [
    "Traceback (most recent call last):",
    "  File \"/srv/mailer/worker.py\", line 88, in run",
    "    self.send(job)",
    "  File \"/srv/mailer/worker.py\", line 131, in send",
    "    address = job[\"customer\"][\"email\"]",
    "KeyError: 'email'",
];

const fn container(host: &'static str, filename: &'static str) -> Place {
    Place { host, job: "docker", filename }
}

pub(super) fn write(day: &mut Day) {
    requests(day);
    jobs(day);
    for minutes in [0, 3, 7] {
        let at = day.clock(9, 15 + minutes);
        trace(day, SHOP, at, &JAVA);
    }
    for minutes in [0, 4] {
        let at = day.clock(11, 40 + minutes);
        trace(day, WORKER, at, &PYTHON);
    }
}

fn say(day: &mut Day, place: Place, at: Timestamp, stream: &str, message: &str) {
    let text = json!({"log": format!("{message}\n"), "stream": stream, "time": at.to_string()}).to_string();
    day.log(place, at, text);
}

fn requests(day: &mut Day) {
    for at in day.moments(7_000) {
        let (took, product, thread) = (day.rng.range(2, 180), day.rng.range(1, 400), day.rng.range(1, 16));
        let what = match day.rng.range(0, 4) {
            0 => format!("c.e.shop.stock.StockController : stock of product {product} is {took}"),
            1 => format!("c.e.shop.cart.CartController : cart updated, {} items", product % 9 + 1),
            _ => format!("c.e.shop.web.Requests : GET /product/{product} 200 in {took} ms"),
        };
        let message = format!("{}  INFO 1 --- [nio-8080-exec-{thread}] {what}", stamp::millis(at));
        say(day, SHOP, at, "stdout", &message);
    }
}

fn jobs(day: &mut Day) {
    for at in day.moments(3_000) {
        let (job, took) = (day.rng.range(100_000, 999_999), day.rng.range(30, 900));
        let message = format!("{} INFO worker: job {job} sent in {took} ms", stamp::millis(at));
        say(day, WORKER, at, "stdout", &message);
    }
}

/// One entry per line, as docker writes them, a moment apart.
fn trace(day: &mut Day, place: Place, at: Timestamp, lines: &[&str]) {
    for (n, line) in (0..).zip(lines) {
        let at = at.plus(std::time::Duration::from_micros(n * 20));
        say(day, place, at, "stderr", line);
    }
    say(day, place, later(at, 5), "stdout", "restarting the thread");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::demo::day::written, wire::envelope};

    #[test]
    fn three_java_and_two_python_traces_continue_over_their_lines() {
        let lines = written(Timestamp::from_secs(1_800_000_000), write);
        let opened: Vec<_> = lines.iter().map(|line| envelope::open(line.text.as_bytes())).collect();
        let count = |part: &str| opened.iter().filter(|line| line.message.contains(part)).count();
        assert_eq!((count("Exception in thread"), count("Traceback")), (3, 2));
        // Five inner lines of each Java trace, four of each Python trace (its last one stands at the margin).
        assert_eq!(opened.iter().filter(|line| line.is_continuation).count(), 3 * 5 + 2 * 4);
        assert_eq!(lines.len(), 7_000 + 3_000 + 3 * 7 + 2 * 7);
    }
}
