//! The detectors in the running server: learning that survives a crash, quiet on ordinary and late lines, and plain,
//! modest findings where something changes.

use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{TestServer, now_nanos, stream, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);
const CONFIG: &str = "
analyze:
  window: 1s
  detect: {learning: 8s, learning_windows: 5, settle: 1m}
";

/// Two hosts with ordinary work.
struct Story {
    server: TestServer,
    orders: u64,
}

impl Story {
    fn web() -> Value {
        json!({"host": "web-1", "job": "nginx"})
    }

    fn app() -> Value {
        json!({"host": "app-1", "job": "shop"})
    }

    fn requests(&self, count: u64) -> Vec<String> {
        let request = |n: u64| {
            let (client, bytes) = (n * 7 % 40, 400 + n * 37 % 8_000);
            format!("10.0.3.{client} \"GET /cart HTTP/1.1\" 200 {bytes} took 0.0{} s", 10 + n * 13 % 80)
        };
        (self.orders..self.orders + count).map(request).collect()
    }

    fn order(&self, millis: u64) -> Vec<String> {
        let id = format!("{:08x}", (self.orders + 7).wrapping_mul(2_654_435_761) % (1 << 32));
        vec![
            format!("INFO shop request_id={id} order received for customer {}", 100 + self.orders % 800),
            format!("INFO shop request_id={id} payment authorised in {millis} ms"),
            format!("INFO shop request_id={id} order shipped to warehouse {}", self.orders % 3),
        ]
    }

    /// A quarter of a second of work.
    fn work(&mut self) {
        self.server.push(&Story::web(), &self.requests(7 + self.orders % 3));
        for _ in 0..3 {
            self.orders += 1;
            self.server.push(&Story::app(), &self.order(20 + self.orders * 17 % 70));
        }
        sleep(Duration::from_millis(250));
    }

    /// Works until something is so.
    #[track_caller]
    fn work_until<T>(&mut self, what: &str, is_so: impl Fn(&TestServer) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            self.work();
            if let Some(found) = is_so(&self.server) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {:#?}", self.server.findings());
        }
    }

    /// The finding of a detector whose title has these words.
    #[track_caller]
    fn told(&mut self, detector: &str, words: &str) -> Value {
        let origin = json!({"kind": "detector", "name": detector});
        let finding = self.work_until(words, |server| {
            let is_it = |finding: &Value| finding["title"].as_str().unwrap().contains(words);
            server.findings().into_iter().find(is_it)
        });
        assert!(finding["origin"].as_array().unwrap().contains(&origin), "{finding:#}");
        assert_eq!((&finding["severity"], &finding["category"]), (&json!("low"), &json!("anomaly")));
        finding
    }
}

/// How far each host is learnt: since when, and in how many windows.
fn learning(server: &TestServer) -> Vec<(String, String, u64, bool)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = server.get_json("/api/v1/detectors");
    let of = |row: &Value| {
        let windows = row["windows"].as_u64().unwrap();
        (text(row, "group"), text(row, "since"), windows, row["is_learning"] == true)
    };
    rows["detectors"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn what_is_learnt_survives_a_crash_and_what_changes_is_told_once_and_modestly() {
    let mut story = Story { server: TestServer::with_config(CONFIG), orders: 0 };
    let half = |server: &TestServer| {
        let known = learning(server);
        (known.len() == 2 && known.iter().all(|(.., windows, _)| *windows >= 3)).then_some(known)
    };
    let before = story.work_until("half of the learning", half);
    story.server.kill9();
    story.server.restart();
    for (was, is) in before.iter().zip(learning(&story.server)) {
        assert_eq!((&was.0, &was.1), (&is.0, &is.1));
        assert!(is.2 >= was.2, "{was:?} became {is:?}");
    }
    story.work_until("the end of the learning", |server| {
        learning(server).iter().all(|(.., is_learning)| !is_learning).then_some(())
    });
    (0..6).for_each(|_| story.work());
    assert_eq!(story.server.findings(), Vec::<Value>::new(), "nothing has changed");

    // Lines of yesterday, and of a clock that is fast, say nothing about now.
    for offset in [-86_400_i64, 480] {
        let mut body = stream(&Story::web(), &story.requests(400));
        for (at, entry) in (0..).zip(body["streams"][0]["values"].as_array_mut().unwrap()) {
            let nanos = i128::from(now_nanos()) + i128::from(offset) * 1_000_000_000 + at;
            entry[0] = json!(nanos.to_string());
        }
        assert_eq!(story.server.push_json(&body).unwrap().status, 204);
    }
    (0..10).for_each(|_| story.work());
    assert_eq!(story.server.findings(), Vec::<Value>::new(), "late and early lines");

    let flood = story.requests(900);
    story.server.push(&Story::web(), &flood);
    let spike = story.told("frequency", "lines of \"");
    assert!(spike["title"].as_str().unwrap().ends_with(" on web-1"), "{spike:#}");
    assert!(spike["count"].as_u64().unwrap() >= 900, "{spike:#}");

    // A new release: two hundred kinds of lines, one finding.
    let word = |n: u64| -> String {
        (0..7).map(|at| char::from(b'a' + ((n * 31 + at * at * 17 + n * at * 7) % 26) as u8)).collect()
    };
    let release = |n: u64| {
        let more: Vec<String> = (1..2 + n % 6).map(|m| word(n * 5 + m)).collect();
        format!("INFO shop {} module {}: {}", word(n), more.join(" "), word(n + 300))
    };
    let lines: Vec<String> = (0..200).map(release).collect();
    story.server.push(&Story::app(), &lines);
    let storm = story.told("novelty", "kinds of lines never seen here");
    let evidence = storm["evidence"].as_array().unwrap();
    let pushed: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
    assert!(!evidence.is_empty());
    assert!(evidence.iter().all(|line| pushed.contains(line["line"].as_str().unwrap())), "{storm:#}");

    story.orders += 1;
    let slow = story.order(95_000);
    story.server.push(&Story::app(), &slow);
    let unusual = story.told("parameter", "unusually large duration 95000");
    assert_eq!(unusual["evidence"][0]["line"], json!(slow[1]));
    assert_eq!(unusual["hosts"], json!(["app-1"]));
    assert!(story.server.findings().len() <= 5, "{:#?}", story.server.findings());
}

#[test]
fn a_stream_of_nothing_but_new_words_stays_bounded_and_is_one_story() {
    let server = TestServer::with_config(CONFIG);
    let labels = json!({"host": "odd-1", "job": "noise"});
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut line = || {
        let words: Vec<String> =
            (0..3 + next() % 14).map(|_| format!("{:x}", next() >> (next() % 40))).collect();
        words.join([" ", "=", ":", "/"][(next() % 4) as usize])
    };
    let count = 50;
    for _ in 0..count {
        let lines: Vec<String> = (0..1_000).map(|_| line()).collect();
        server.push(&labels, &lines);
    }
    wait_for("every line to be analysed", Duration::from_secs(60), || {
        let windows = server.get_json("/api/v1/windows?limit=200");
        let lines = |window: &Value| window["lines"].as_u64().unwrap();
        let done: u64 = windows["windows"].as_array().unwrap().iter().map(lines).sum();
        (done == count * 1_000).then_some(())
    });
    assert!(server.findings().len() <= 3, "{:#?}", server.findings());
    let peak = server.peak_memory();
    assert!(peak < 300 << 20, "{peak} bytes");
}
