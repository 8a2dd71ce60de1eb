//! Sessions as a whole: small systems written for these tests, read line by line through the real miner.

use std::sync::{Arc, atomic::AtomicU64};

use super::*;
use crate::{
    analyze::{
        line::Line,
        mine::{self, Miner},
    },
    model::{Labels, LineRef},
    store::memory::MemoryRow,
    wire::{envelope, level::Level},
};

/// A miner and sessions, fed with texts.
struct Bench {
    miner: Miner,
    sessions: Sessions,
    second: i64,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let miner = Miner::new(&mine::Settings::default(), 1, Arc::new(AtomicU64::new(1)));
        Bench { miner, sessions: Sessions::new(settings), second: 1_000_000 }
    }

    fn line(&mut self, raw: &str) -> f32 {
        self.second += 1;
        let at = Timestamp::from_secs(self.second);
        let envelope = envelope::open(raw.as_bytes());
        let observation = self.miner.observe(&envelope.message, at);
        let labels = Labels::from_pairs([("host", "vps1")]).unwrap();
        let line = Line {
            at: LineRef { block: 1, index: 0 },
            labels: &labels,
            host: "vps1",
            timestamp: at,
            level: Level::Unknown,
            raw: raw.as_bytes(),
            envelope: &envelope,
            template: Some(observation.template),
        };
        self.sessions.observe(&line, observation.template, observation.values, at)
    }

    fn lines(&mut self, lines: &[String]) {
        for line in lines {
            self.line(line);
        }
    }

    /// Everything that is open has been silent for long enough.
    fn pause(&mut self, is_learning: bool) -> Vec<Verdict> {
        self.second += 3_600;
        self.sessions.end_idle(Timestamp::from_secs(self.second), is_learning, &self.miner)
    }

    fn finish(&mut self) -> Vec<Verdict> {
        self.sessions.finish(&self.miner)
    }
}

/// Small steps of a generator; no randomness of the machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What goes wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Paid, but never shipped.
    Stuck,
    /// Shipped before the payment was confirmed.
    TooEarly,
    /// Charged twice.
    Twice,
    /// Cut off after the first lines.
    Lost,
    /// A step no other order has.
    Fraud,
}

/// The lines of one order of a shop.
fn order(id: u64, fault: Fault, dice: &mut Dice) -> Vec<String> {
    let at = |text: &str| format!("order-{id} {text}");
    let total = dice.roll(90_000);
    let mut lines = vec![at(&format!("created by customer {}", dice.roll(5_000)))];
    for _ in 0..=dice.roll(4) {
        lines.push(at(&format!("item {} reserved in stock", dice.roll(900))));
    }
    if dice.roll(3) == 0 {
        lines.push(at("voucher applied to basket"));
    }
    lines.push(at(&format!("payment of {total} requested")));
    if dice.roll(8) == 0 {
        lines.push(at("payment provider asked for a second factor"));
    }
    lines.push(at(&format!("payment of {total} confirmed")));
    lines.push(at("invoice sent by mail"));
    lines.push(at(&format!("parcel {} handed to carrier", dice.roll(70_000))));
    lines.push(at("closed after delivery"));
    let place = |part: &str, lines: &[String]| lines.iter().position(|line| line.contains(part)).unwrap();
    match fault {
        Fault::None => {}
        Fault::Stuck => lines.truncate(place("parcel", &lines)),
        Fault::Lost => lines.truncate(2),
        Fault::Fraud => lines.insert(2, at("address check refused by risk service")),
        Fault::Twice => {
            let again = place("confirmed", &lines);
            lines.insert(again, at(&format!("payment of {total} confirmed")));
        }
        Fault::TooEarly => {
            let parcel = lines.remove(place("parcel", &lines));
            lines.insert(place("payment of", &lines), parcel);
        }
    }
    lines
}

/// Orders numbered from `from`, each with its fault, their lines interleaved as those of customers at the same time.
fn shop(from: u64, faults: &[Fault], dice: &mut Dice) -> Vec<String> {
    let mut waiting: Vec<_> = (from..)
        .zip(faults)
        .map(|(id, fault)| order(7_000_000 + id * 13, *fault, dice).into_iter())
        .collect();
    waiting.reverse();
    let (mut open, mut lines) = (Vec::new(), Vec::new());
    while !waiting.is_empty() || !open.is_empty() {
        while open.len() < 5 && !waiting.is_empty() {
            open.extend(waiting.pop());
        }
        let turn = dice.roll(open.len() as u64) as usize;
        match open[turn].next() {
            Some(line) => lines.push(line),
            None => {
                open.remove(turn);
            }
        }
    }
    lines
}

const FAULTS: [Fault; 5] = [Fault::Stuck, Fault::TooEarly, Fault::Twice, Fault::Lost, Fault::Fraud];

/// `count` orders of which every `every`-th has a fault, in turn.
fn with_faults(count: usize, every: usize) -> Vec<Fault> {
    let fault =
        |n: usize| if n % every == every - 1 { FAULTS[n / every % FAULTS.len()] } else { Fault::None };
    (0..count).map(fault).collect()
}

/// Precision and recall of verdicts on orders with these faults.
fn precision_recall(verdicts: &[Verdict], from: u64, faults: &[Fault]) -> (f64, f64) {
    let fault_of = |key: &str| {
        let id: u64 = key.trim_start_matches("order-").parse().unwrap();
        faults[((id - 7_000_000) / 13 - from) as usize]
    };
    let flagged: Vec<Fault> =
        verdicts.iter().filter(|verdict| verdict.is_anomaly).map(|verdict| fault_of(&verdict.key)).collect();
    let right = flagged.iter().filter(|fault| **fault != Fault::None).count() as f64;
    let wanted = faults.iter().filter(|fault| **fault != Fault::None).count() as f64;
    (right / flagged.len() as f64, right / wanted)
}

#[test]
fn a_shop_learnt_from_good_orders_shows_every_bad_one() {
    for (seed, training) in [(1, 1_000), (2, 500), (3, 250)] {
        let mut dice = Dice(seed);
        let mut bench = Bench::new(Settings::for_files());
        bench.lines(&shop(0, &vec![Fault::None; training], &mut dice));
        bench.sessions.train(&bench.miner);
        let faults = with_faults(1_000, 33);
        bench.lines(&shop(training as u64, &faults, &mut dice));
        let verdicts = bench.finish();
        assert_eq!(verdicts.len(), 1_000);
        let (precision, recall) = precision_recall(&verdicts, training as u64, &faults);
        assert!(precision >= 0.9 && recall >= 0.99, "{seed}: precision {precision} recall {recall}");
    }
}

#[test]
fn a_shop_is_judged_by_itself_when_there_is_nothing_else() {
    for seed in 1..4 {
        let mut dice = Dice(seed);
        let mut bench = Bench::new(Settings::for_files());
        let faults = with_faults(2_000, 33);
        bench.lines(&shop(0, &faults, &mut dice));
        let (precision, recall) = precision_recall(&bench.finish(), 0, &faults);
        assert!(precision >= 0.9 && recall >= 0.9, "{seed}: precision {precision} recall {recall}");
    }
}

#[test]
fn a_shop_without_faults_gives_next_to_no_alarm() {
    let mut dice = Dice(9);
    let mut bench = Bench::new(Settings::for_files());
    bench.lines(&shop(0, &[Fault::None; 2_000], &mut dice));
    let flagged = bench.finish().iter().filter(|verdict| verdict.is_anomaly).count();
    assert!(flagged <= 20, "{flagged}");
}

/// A job with three steps; `steps` of them are written.
fn job(id: u64, steps: usize) -> Vec<String> {
    let lines = [
        format!("job-{id} accepted from queue"),
        format!("job-{id} rendering page {}", id % 40),
        format!("job-{id} uploaded to archive"),
    ];
    lines[..steps].to_vec()
}

#[test]
fn words_say_what_is_missing_and_what_is_normal() {
    let mut bench = Bench::new(Settings { max_quotes: 2, ..Settings::for_files() });
    for id in 0..99 {
        bench.lines(&job(10_000 + id, 3));
    }
    bench.lines(&job(20_000, 2));
    let verdicts = bench.finish();
    let abnormal: Vec<_> = verdicts.iter().filter(|verdict| verdict.is_anomaly).collect();
    let [verdict] = abnormal.as_slice() else { panic!("{abnormal:?}") };
    assert_eq!((verdict.key.as_str(), verdict.kind.as_str(), verdict.lines), ("job-20000", "job-…", 2));
    assert_eq!(
        verdict.words.sentence,
        "session job-20000 (job-…) ended without `job-<NUM> uploaded to archive` after 2 lines; normally it comes \
         with `job-<NUM> accepted from queue` (3 lines, mostly ending with `job-<NUM> uploaded to archive`)"
    );
    assert_eq!(verdict.quotes[0].line, "job-20000 accepted from queue");
    assert!(verdict.score >= 0.8 && verdict.score <= 1.0);
}

/// A server that has learnt a hundred jobs.
fn server() -> Bench {
    let mut bench = Bench::new(Settings::default());
    for id in 0..100 {
        bench.lines(&job(10_000 + id, 3));
    }
    assert!(bench.pause(true).is_empty());
    bench
}

#[test]
fn a_server_learns_first_and_tells_then() {
    let mut bench = server();
    assert_eq!(bench.sessions.kinds().collect::<Vec<_>>(), ["job-…"]);
    bench.lines(&job(20_000, 3));
    bench.lines(&job(20_001, 1));
    let verdicts = bench.pause(false);
    let keys: Vec<_> = verdicts.iter().map(|verdict| verdict.key.as_str()).collect();
    assert_eq!(keys, ["job-20001"]);
    assert_eq!(verdicts[0].quotes.len(), 1);
}

#[test]
fn a_line_no_session_has_had_is_a_surprise_at_once() {
    let mut bench = server();
    bench.pause(false);
    assert!(bench.line("job-20000 accepted from queue").abs() < 1e-6);
    assert!(bench.line("job-20000 renderer crashed with signal").abs() > 0.5);
}

#[test]
fn what_goes_on_happening_becomes_normal() {
    let mut bench = server();
    let mut told = 0;
    for id in 0..400 {
        bench.lines(&job(30_000 + id, 2));
        told += bench.pause(false).len();
    }
    assert!((8..300).contains(&told), "{told}");
}

/// The rows of a store.
#[derive(Default)]
struct Memory(std::collections::BTreeMap<(u8, u64), Vec<u8>>);

impl Memory {
    fn write(&mut self, sessions: &mut Sessions) -> usize {
        let mut rows = Vec::new();
        sessions.save(&mut rows);
        let count = rows.len();
        for MemoryRow { part, key, state } in rows {
            match state {
                Some(state) => self.0.insert((part, key), state),
                None => self.0.remove(&(part, key)),
            };
        }
        count
    }

    fn read(&self) -> Sessions {
        let mut sessions = Sessions::new(Settings::default());
        for ((part, key), state) in &self.0 {
            sessions.restore(&MemoryRow { part: *part, key: *key, state: Some(state.clone()) });
        }
        sessions
    }
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let mut dice = Dice(5);
    let faults: Vec<Fault> = [vec![Fault::None; 250], with_faults(350, 10)].concat();
    let lines = shop(0, &faults, &mut dice);
    let run = |restarts: &[usize]| {
        let mut bench = Bench::new(Settings { idle: Duration::from_secs(120), ..Settings::default() });
        let (mut memory, mut told) = (Memory::default(), Vec::new());
        for (n, window) in lines.chunks(100).enumerate() {
            bench.lines(window);
            let now = Timestamp::from_secs(bench.second);
            told.extend(bench.sessions.end_idle(now, n < 22, &bench.miner));
            memory.write(&mut bench.sessions);
            if restarts.contains(&n) {
                let idle = bench.sessions.settings.idle;
                bench.sessions = memory.read();
                bench.sessions.settings.idle = idle;
                assert_eq!(memory.write(&mut bench.sessions), 0, "nothing is dirty after a restart");
            }
        }
        (told, memory.0)
    };
    let (told, rows) = run(&[]);
    assert!(told.len() >= 10, "{}", told.len());
    let (told_after, rows_after) = run(&[3, 14, 25, 26, 40]);
    assert_eq!(told, told_after);
    assert_eq!(rows, rows_after);
}

#[test]
fn the_same_lines_give_the_same_verdicts() {
    let run = || {
        let mut bench = Bench::new(Settings::for_files());
        bench.lines(&shop(0, &with_faults(400, 20), &mut Dice(3)));
        bench.finish()
    };
    assert_eq!(run(), run());
}

#[test]
fn ever_new_keys_and_words_stay_within_bounds() {
    let mut bench = Bench::new(Settings::default());
    let mut dice = Dice(11);
    let mut memory = Memory::default();
    for n in 0..20_000u64 {
        let (a, b, c) = (dice.roll(1 << 30), dice.roll(1 << 30), dice.roll(1 << 30));
        bench.line(&format!("w{a} request_id=r{b}x{c} k{a}_id={n}77 word{b} session {c}"));
        if n % 500 == 0 {
            let now = Timestamp::from_secs(bench.second);
            assert!(bench.sessions.end_idle(now, false, &bench.miner).len() <= 256);
            memory.write(&mut bench.sessions);
        }
    }
    assert!(bench.sessions.open() <= 1_000 && bench.sessions.kinds.len() <= 16);
    assert!(bench.sessions.bytes() <= 2 << 20, "{}", bench.sessions.bytes());
    assert!(memory.0.len() <= 4_000, "{}", memory.0.len());
}

#[test]
fn sessions_of_one_line_and_things_that_last_are_no_sessions() {
    let mut bench = Bench::new(Settings::for_files());
    for n in 0..2_000u64 {
        // Each request once; four workers for ever.
        bench.line(&format!("request_id=a{n}b7c{n} done"));
        bench.line(&format!("worker-{} picked something up", n % 4));
        bench.line(&format!("worker-{} is idle again", n % 4));
    }
    assert_eq!(bench.finish(), []);
}

#[test]
fn a_configured_key_is_taken_as_it_is() {
    let key = regex::Regex::new(r"^<(\w+)>").ok();
    let mut bench = Bench::new(Settings { key, ..Settings::for_files() });
    for n in 0..60 {
        bench.line(&format!("<c{n}> connected"));
        bench.line(&format!("<c{n}> left"));
    }
    bench.line("<zz> connected");
    let verdicts = bench.finish();
    let abnormal: Vec<_> =
        verdicts.iter().filter(|verdict| verdict.is_anomaly).map(|v| v.key.as_str()).collect();
    assert_eq!((verdicts.len(), abnormal), (61, vec!["zz"]));
}

#[test]
fn damaged_rows_are_left_out() {
    let mut sessions = Sessions::new(Settings::default());
    for part in 0..12 {
        for state in [vec![], vec![1], vec![1, 255, 255, 3], vec![9, 9, 9]] {
            sessions.restore(&MemoryRow { part, key: 5, state: Some(state) });
        }
    }
    assert_eq!((sessions.open(), sessions.learnt()), (0, 0));
}
