//! New templates in windows made by hand.

use super::*;
use crate::{
    analyze::{
        detect::{Settings, Sighting},
        line::Line,
        mine::Change,
        window::{OpenWindow, Seen},
    },
    model::{Labels, LineRef},
    wire::{envelope::Envelope, level::Level},
};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + minute * 60)
}

/// A window of lines, one per template; those from 100 on are new.
fn window(minute: i64, lines: &[(u64, &str)]) -> OpenWindow {
    let labels = Labels::from_pairs([("host", "vps1")]).unwrap();
    let envelope = Envelope::default();
    let mut window = OpenWindow::open(1, at(minute));
    for (template, text) in lines {
        let at = LineRef { block: 1, index: u32::try_from(*template).unwrap() };
        let (host, template) = ("vps1", TemplateId(*template));
        let timestamp = window.opened;
        let (level, raw) = (Level::Unknown, text.as_bytes());
        let line = Line {
            at,
            labels: &labels,
            host,
            timestamp,
            level,
            raw,
            envelope: &envelope,
            template: Some(template),
        };
        let is_new = template.0 >= 100;
        let seen = Seen { template, is_new, known_before: 9, severity: None, hit: false, values: &[] };
        window.add(&line, &seen);
    }
    window
}

fn close(novelty: &mut Novelty, minute: i64, lines: &[(u64, &str)]) -> Vec<Evidence> {
    close_with(novelty, minute, lines, &Late::default())
}

fn close_with(novelty: &mut Novelty, minute: i64, lines: &[(u64, &str)], late: &Late) -> Vec<Evidence> {
    let (settings, window) = (Settings::default(), window(minute, lines));
    let text_of =
        |id: TemplateId| lines.iter().find(|(known, _)| *known == id.0).map(|(_, text)| (*text).to_owned());
    let closing = Closing {
        settings: &settings,
        group: "vps1",
        window: &window,
        now: at(minute + 1),
        text_of: &text_of,
        resolve: &|id| if id == TemplateId(666) { TemplateId(1) } else { id },
    };
    novelty.close(&closing, late)
}

/// A group that has seen nothing new for a day.
fn settled() -> Novelty {
    let mut novelty = Novelty::default();
    (0..1_440).for_each(|minute| _ = close(&mut novelty, minute, &[(1, "GET /")]));
    novelty
}

#[test]
fn the_score_is_what_doubt_is_left() {
    // After a day: half a new template in 6 h / ln 2 × (1 − 2⁻⁴) + 1 = 9.115 h; a minute: 1 − e^(−0.5 / 9.115 / 60) = 9.138e-4,
    // to the tenth part 0.4968; of the last hour 0.5 / (1.4427 + 1) is more: 3.406e-3, to the tenth part 0.5666.
    let found = close(&mut settled(), 1_440, &[(1, "GET /"), (100, "hello")]);
    assert_eq!(found.len(), 1);
    assert!((found[0].score - 0.4334).abs() < 2e-3, "{}", found[0].score);
    assert_eq!((found[0].subject.as_str(), found[0].template), ("new 100", Some(TemplateId(100))));
    // A grave word takes away 0.7 of the doubt, an error level 0.65 of it.
    let found = close(&mut settled(), 1_440, &[(100, "level=error ledger is corrupt")]);
    assert!((found[0].score - (1.0 - 0.5666 * 0.3 * 0.35)).abs() < 2e-3, "{}", found[0].score);
    // The level alone: 1 − 0.5666 × 0.35 = 0.8017, just enough to be told.
    let found = close(&mut settled(), 1_440, &[(100, "level=50 giving up order")]);
    assert!((found[0].score - 0.8017).abs() < 2e-3, "{}", found[0].score);
}

#[test]
fn a_stream_that_always_brings_new_templates_makes_each_uninteresting() {
    let mut novelty = Novelty::default();
    let texts: Vec<String> = (0..1_440).map(|n| format!("level=error request {n} failed")).collect();
    for (n, text) in texts.iter().enumerate() {
        close(&mut novelty, n as i64, &[(100 + n as u64, text)]);
    }
    let found = close(&mut novelty, 1_440, &[(9_999, "level=error request failed in another way")]);
    assert!(found[0].score < 0.4, "{}", found[0].score);
}

#[test]
fn two_hundred_at_once_are_one_thing_and_the_gravest_is_named() {
    let mut lines: Vec<(u64, String)> = (100..299).map(|n| (n, format!("service {n} ready"))).collect();
    lines.push((299, "level=error data is corrupt".to_owned()));
    let lines: Vec<(u64, &str)> = lines.iter().map(|(id, text)| (*id, text.as_str())).collect();
    let mut novelty = settled();
    let found = close(&mut novelty, 1_440, &lines);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].sentence,
        "200 kinds of lines never seen here, as after an update; the gravest: \"level=error data is corrupt\""
    );
    assert_eq!((found[0].count, found[0].lines.len(), found[0].template), (200, 5, None));
    assert!(found[0].score > 0.85);
    let after = close(&mut novelty, 1_441, &[(301, "level=error cannot open door")]);
    assert!(after[0].score < 0.5, "what dribbles in after it is part of it: {}", after[0].score);
}

#[test]
fn late_and_merged_templates_are_not_new() {
    let mut late = Late::default();
    let labels = Labels::from_pairs([("host", "vps1")]).unwrap();
    let envelope = Envelope::default();
    let line = Line {
        at: LineRef { block: 1, index: 0 },
        labels: &labels,
        host: "vps1",
        timestamp: at(-600_000),
        level: Level::Unknown,
        raw: b"fatal: old",
        envelope: &envelope,
        template: Some(TemplateId(100)),
    };
    late.line(&Sighting {
        line: &line,
        template: TemplateId(100),
        change: Change::New,
        values: &[],
        received: at(1_440),
        hit: false,
        level: Level::Fatal,
        is_late: true,
    });
    let mut novelty = settled();
    assert_eq!(close_with(&mut novelty, 1_440, &[(100, "fatal: old"), (666, "fatal: merged")], &late), []);
}

#[test]
fn a_restart_goes_on_exactly() {
    let mut novelty = settled();
    close(&mut novelty, 1_440, &[(100, "a"), (101, "b")]);
    let mut rows = Vec::new();
    novelty.save(&mut rows);
    let mut restored = Novelty::default();
    restored.restore(rows[0].state.as_ref().unwrap());
    assert_eq!(restored, novelty);
    restored.restore(b"junk");
    assert_eq!(restored, Novelty::default());
}
