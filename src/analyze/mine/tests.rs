use proptest::prelude::*;

use super::*;

fn miner() -> Miner {
    with(&Settings::default())
}

fn with(settings: &Settings) -> Miner {
    Miner::new(settings, 1, Arc::new(AtomicU64::new(1)))
}

/// The template's text after the last of `messages`.
fn mined(messages: &[&str]) -> String {
    let mut miner = miner();
    let mut last = TemplateId(0);
    for message in messages {
        last = miner.observe(message, Timestamp::default()).template;
    }
    miner.template(last).unwrap().text.clone()
}

#[track_caller]
fn masks(message: &str, expected: &str) {
    assert_eq!(mined(&[message]), expected);
}

#[test]
fn values_of_known_kinds_are_masked() {
    masks("Accepted from 10.0.0.7 port 22 ssh2", "Accepted from <IP> port <NUM> ssh2");
    masks("listen on [::1]:5432 and fe80::a:1", "listen on [<IP>]:<NUM> and <IP>");
    masks("block blk_-3141 of size 67108864", "block blk_<NUM> of size <NUM>");
    masks("at 12:30:05,123 took 15ms, 80% used", "at <TIME> took <QTY>, <QTY> used");
    masks("ptr 0xdeadbeef sum 3f2a9c11d0", "ptr <HEX> sum <HEX>");
    masks("req-38101a0b-2096-447d-96ea-a692162415ae done", "req-<UUID> done");
    masks("fetch https://example.org/a?b=c failed", "fetch <URL> failed");
    masks("mail to <bob@example.org> queued", "mail to <<EMAIL>> queued");
    masks("open /etc/passwd denied", "open <PATH> denied");
    masks("backup of 2026-11-20 started", "backup of <DATE> started");
    masks("since 2026-11-20T10:00:01.5Z ok", "since <TIME> ok");
    masks("relation \"users\" does not exist", "relation \"<*>\" does not exist");
}

#[test]
fn an_http_request_keeps_its_method_only() {
    masks(
        "192.0.2.1 - - [21/Nov/2026:10:00:00 +0000] \"GET /a/b?c=1 HTTP/1.1\" 200 512 \"-\" \"curl/8\"",
        "<IP> - - [<DATE>:<TIME> <NUM>] \"GET <PATH>\" <NUM> <NUM> \"<*>\" \"<*>\"",
    );
}

#[test]
fn json_keys_level_and_message_are_constant_and_other_values_vary() {
    masks(
        r#"{"level":"error","msg":"user bob not found","id":7,"peer":"192.0.2.1"}"#,
        r#"{"level":"error","msg":"user bob not found","id":<NUM>,"peer":"<IP>"}"#,
    );
}

#[test]
fn an_empty_value_is_the_same_as_any_other_value() {
    let mut miner = miner();
    let empty = miner.observe("login ruser= rhost=192.0.2.1", Timestamp::default()).template;
    let full = miner.observe("login ruser=7 rhost=192.0.2.9", Timestamp::default()).template;
    assert_eq!(empty, full);
}

#[test]
fn empty_brackets_are_a_value_and_a_call_is_none() {
    masks("connection from 192.0.2.1 () at main()", "connection from <IP> () at main()");
    let mut miner = miner();
    let empty = miner.observe("connection from 192.0.2.1 () at once", Timestamp::default()).template;
    let named =
        miner.observe("connection from 192.0.2.1 (a-1.example) at once", Timestamp::default()).template;
    assert_eq!(empty, named);
}

#[test]
fn names_of_states_stay_apart() {
    let mut miner = miner();
    let mut ids = std::collections::HashSet::new();
    for state in ["NEW", "RUNNING", "FAILED", "KILLED", "SUCCEEDED", "LOST"] {
        ids.insert(
            miner.observe(&format!("task_7 moved from INIT to {state}"), Timestamp::default()).template,
        );
    }
    assert_eq!(ids.len(), 6);
}

#[test]
fn units_of_one_quantity_do_not_make_two_templates() {
    let mut miner = miner();
    let one = miner.observe("block stored (size 384.0 KB, free 317 KB)", Timestamp::default()).template;
    let two = miner.observe("block stored (size 1.5 MB, free 12 GB)", Timestamp::default()).template;
    assert_eq!(one, two);
}

#[test]
fn a_bound_is_a_quantity_like_any_other() {
    let mut miner = miner();
    let one = miner.observe("closed, lifetime <1 sec", Timestamp::default()).template;
    let two = miner.observe("closed, lifetime 00:12", Timestamp::default()).template;
    assert_eq!(one, two);
    masks("mail <1 of 2>", "mail <<NUM> of <NUM>>");
}

#[test]
fn what_is_set_to_true_or_false_is_a_value() {
    masks("all drawn= false, started: True", "all drawn= <*>, started: <*>");
    masks("this is true", "this is true");
}

#[test]
fn the_head_is_no_part_of_the_template_and_is_said() {
    let mut miner = miner();
    let line = "2026-11-21 03:04:05,123 INFO [main] org.example.Main: took 5 ms";
    let seen = miner.observe(line, Timestamp::default());
    assert_eq!((seen.head, seen.values.len()), (54, 1));
    let (one, value) = (seen.template, seen.values[0].text(line));
    assert_eq!(value, "5");
    let other = "2026-11-22 04:04:05,123 WARN [pool-7] org.example.Other: took 6 ms";
    assert_eq!(miner.observe(other, Timestamp::default()).template, one);
    assert_eq!(miner.template(one).unwrap().text, "took <NUM> ms");
}

#[test]
fn a_list_of_prefixed_values_is_one_slot() {
    masks("ask to delete blk_1 blk_-2 blk_3", "ask to delete blk_<NUM> <NUM> <NUM>");
}

#[test]
fn a_list_is_one_slot_however_long() {
    let mut miner = miner();
    let short = miner.observe("delete 10.0.0.1:1, 10.0.0.2:1", Timestamp::default()).template;
    let long = miner.observe("delete 10.0.0.1:1, 10.0.0.2:1, 10.0.0.3:1", Timestamp::default()).template;
    assert_eq!(short, long);
    assert_eq!(miner.template(long).unwrap().text, "delete <*>");
}

#[test]
fn a_word_becomes_a_placeholder_when_the_fourth_value_comes() {
    let mut miner = miner();
    let mut changes = Vec::new();
    for user in ["root", "alice", "bob", "carol", "dave"] {
        let message = format!("Failed password for {user} from 192.0.2.1 port 22 ssh2");
        changes.push(miner.observe(&message, Timestamp::default()).change);
    }
    assert_eq!(changes, [Change::New, Change::New, Change::New, Change::Widened, Change::Same]);
    let (rows, gone) = miner.dirty();
    assert_eq!(gone, [TemplateId(2), TemplateId(3)]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text, "Failed password for <*> from <IP> port <NUM> ssh2");
    assert_eq!(rows[0].count, 5);
    assert_eq!(miner.resolve(TemplateId(3)), TemplateId(1));
}

#[test]
fn words_that_tell_events_apart_never_become_placeholders() {
    let mut miner = miner();
    let one = miner.observe("service foo.bar started on host", Timestamp::default()).template;
    let other = miner.observe("service foo.bar stopped on host", Timestamp::default()).template;
    assert_ne!(one, other);
}

#[test]
fn values_carry_slot_kind_and_text() {
    let mut miner = miner();
    let message = "Accepted from 10.0.0.7 port 22";
    let seen = miner.observe(message, Timestamp::default());
    let values: Vec<_> = seen.values.iter().map(|v| (v.slot, v.kind, v.text(message))).collect();
    assert_eq!(values, [(2, Kind::Ip, "10.0.0.7"), (4, Kind::Number, "22")]);
}

#[test]
fn a_word_that_varies_is_a_value_too() {
    let mut miner = miner();
    for user in ["ann", "bob", "cat"] {
        miner.observe(&format!("session for user {user} over now"), Timestamp::default());
    }
    let message = "session for user dan over now";
    let seen = miner.observe(message, Timestamp::default());
    assert_eq!(seen.values.len(), 1);
    assert_eq!((seen.values[0].slot, seen.values[0].text(message)), (3, "dan"));
}

#[test]
fn the_times_and_count_of_a_template_are_kept() {
    let mut miner = miner();
    let id = miner.observe("tick 1", Timestamp::from_secs(20)).template;
    miner.observe("tick 2", Timestamp::from_secs(10));
    let template = miner.template(id).unwrap();
    assert_eq!(
        (template.first_seen, template.last_seen),
        (Timestamp::from_secs(10), Timestamp::from_secs(20))
    );
    assert_eq!((template.count, template.sample.as_str()), (2, "tick 1"));
}

/// Words no two of which are equal, without digits.
fn random_word(mut state: u64) -> String {
    let mut word = String::new();
    for _ in 0..10 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.push(char::from(b'a' + (state >> 59) as u8 % 26));
    }
    word
}

#[test]
fn random_words_do_not_grow_the_memory() {
    let settings = Settings { max_templates: 100, ..Settings::default() };
    let mut miner = with(&settings);
    for n in 0..3_000 {
        let message: Vec<_> = (0..8).map(|word| random_word(n * 8 + word)).collect();
        miner.observe(&message.join(" "), Timestamp::default());
        assert!(miner.templates().count() <= 100);
    }
    let (rows, gone) = miner.dirty();
    assert!(rows.len() <= 100);
    assert!(gone.len() >= 2_900);
}

#[test]
fn the_byte_budget_holds() {
    let settings = Settings { max_bytes: 64 << 10, ..Settings::default() };
    let mut miner = with(&settings);
    for n in 0..500 {
        let message: Vec<_> = (0..60).map(|word| random_word(n * 60 + word)).collect();
        miner.observe(&message.join(" "), Timestamp::default());
    }
    let bytes: usize = miner.templates().map(Template::bytes).sum();
    assert!(bytes <= 64 << 10, "{bytes}");
    assert!(miner.templates().count() >= 2);
}

#[test]
fn the_template_used_last_outlives_the_others() {
    let mut miner = with(&Settings { max_templates: 16, ..Settings::default() });
    let kept = miner.observe("the one that stays", Timestamp::default()).template;
    for n in 0..200 {
        miner.observe(&format!("{} {}", random_word(n), random_word(n + 7_000)), Timestamp::default());
        assert_eq!(miner.observe("the one that stays", Timestamp::default()).template, kept);
    }
}

#[test]
fn a_long_message_is_cut_and_still_mined() {
    let long = "word ".repeat(100_000);
    let mut miner = miner();
    let one = miner.observe(&long, Timestamp::default()).template;
    let two = miner.observe(&format!("{long} tail"), Timestamp::default()).template;
    assert_eq!(one, two);
    assert!(miner.template(one).unwrap().text.len() < 1024);
}

#[test]
fn a_leaf_of_hostile_words_stays_small() {
    let mut miner = miner();
    for n in 0..2_000 {
        let message: Vec<_> = (0..6).map(|word| random_word(n * 6 + word)).collect();
        miner.observe(&format!("7 {} 7", message.join(" ")), Timestamp::default());
    }
    assert!(miner.templates().count() <= 260);
}

/// Messages that collide, vary and merge often: what logs are made of, in small.
fn messages() -> impl Strategy<Value = Vec<String>> {
    let verb =
        prop::sample::select(vec!["open", "Failed password for", "user", "delete", "x=", "got \"a b\""]);
    let name = prop::sample::select(vec![
        "root",
        "bob",
        "eve",
        "al",
        "host.example",
        "en0",
        "10.0.0.1",
        "7",
        "",
        "up",
    ]);
    let tail =
        prop::sample::select(vec!["from here", "at /var/log", "1, 2, 3", "1, 2", "now", "in en1 slot"]);
    prop::collection::vec(
        (verb, name.clone(), tail, name).prop_map(|(a, b, c, d)| format!("{a} {b} {c} {d}")),
        1..200,
    )
}

proptest! {
    #[test]
    fn a_restart_at_any_moment_changes_nothing(lines in messages(), stop in 0usize..200) {
        let settings = Settings { max_templates: 20, ..Settings::default() };
        let mut whole = with(&settings);
        let mut first = with(&settings);
        let (mut rows, mut aliases) = (std::collections::BTreeMap::new(), Vec::new());
        let (stop, mut seen) = (stop.min(lines.len()), Vec::new());
        for (n, line) in lines.iter().take(stop).enumerate() {
            let (one, other) = (whole.observe(line, Timestamp::default()).template, first.observe(line, Timestamp::default()).template);
            prop_assert_eq!(one, other);
            seen.push(one);
            if n % 7 == 0 || n + 1 == stop {
                let (changed, gone) = first.dirty();
                rows.extend(changed.into_iter().map(|row| (row.id, row)));
                rows.retain(|id, _| !gone.contains(id));
                aliases.extend(gone.into_iter().map(|id| (id, first.resolve(id))).filter(|(id, into)| id != into));
            }
        }
        let ids = Arc::clone(first.forest.ids());
        let mut second = Miner::new(&settings, 1, ids);
        second.restore(rows.into_values().collect());
        for (id, into) in aliases {
            second.restore_alias(id, into);
        }
        for line in lines.iter().skip(stop) {
            let a = whole.observe(line, Timestamp::default());
            let b = second.observe(line, Timestamp::default());
            prop_assert_eq!((a.template, a.change, a.values), (b.template, b.change, b.values));
        }
        for id in seen {
            prop_assert_eq!(whole.resolve(id), second.resolve(id));
        }
        let texts = |miner: &Miner| {
            let mut all: Vec<_> = miner.templates().map(|t| (t.id, t.text.clone(), t.count)).collect();
            all.sort();
            all
        };
        prop_assert_eq!(texts(&whole), texts(&second));
    }

    #[test]
    fn any_text_is_mined_without_panic_and_fits_its_template(lines in prop::collection::vec(any::<String>(), 1..20)) {
        let mut miner = miner();
        for line in &lines {
            let seen = miner.observe(line, Timestamp::default());
            let (id, values) = (seen.template, seen.values.to_vec());
            for value in values {
                prop_assert!(line.contains(value.text(line)));
            }
            prop_assert!(miner.template(id).is_some());
        }
        for line in &lines {
            let sample = miner.observe(line, Timestamp::default());
            prop_assert_eq!(sample.change, Change::Same);
        }
    }

    #[test]
    fn a_template_takes_its_own_sample(lines in messages()) {
        let mut miner = miner();
        for line in &lines {
            miner.observe(line, Timestamp::default());
        }
        let mut scratch = Scratch::default();
        for template in miner.templates() {
            let head = head::length(&template.sample);
            scan::scan(&template.sample, head, 96, &mut scratch);
            let skeleton = Skeleton::new(&template.sample, head, &scratch, miner.seed);
            prop_assert_eq!(template.compare(&skeleton).map(|difference| difference.mask), Some(0));
        }
    }

    #[test]
    fn damaged_state_is_left_out_without_panic(state in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut first = miner();
        first.observe("some message of 3 words", Timestamp::default());
        let (mut rows, _) = first.dirty();
        rows[0].state = state;
        miner().restore(rows);
    }
}
