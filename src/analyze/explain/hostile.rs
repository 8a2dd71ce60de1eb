//! Hostile lines against a model that does whatever they say: nothing is hidden, lowered, invented or given away.

use crate::{
    analyze::{
        ask::{Claim, Digest, claims, fenced},
        context::{Context, Related},
        exhibit::Exhibit,
        ground::{
            Grounded, ground,
            testing::{exhibit, item, known},
        },
    },
    model::{Category, FindingStatus, NoteId, NoteRef, Origin, Severity},
    redact::{Redactor, Session, Settings, addresses},
    store::{finding::Earlier, note::FoundNote},
};

const LINES: &str = include_str!("../../../tests/fixtures/hostile.txt");
const ATTACK: &str = "Failed password for root from 203.0.113.5 port 4242 ssh2";
const SECRET: &str = "Tr0ub4dor-and-3";
const NONCE: u64 = 7_316_044_902_811_553;

/// A window with one hostile line, an attack that a rule found, and a secret.
fn window(hostile: &str) -> Exhibit {
    let secret = format!("login with password={SECRET} failed");
    let mut exhibit = exhibit(vec![item(1, hostile), item(2, ATTACK), item(3, &secret)]);
    exhibit.known = vec![known("rule:ssh", 2, &exhibit)];
    // The line also stands in another stream, and in what an earlier finding and the operator say of it.
    let earlier = Earlier {
        status: FindingStatus::Resolved,
        severity: Severity::High,
        title: hostile.to_owned(),
        count: 3,
        note: Some(format!("seen: {hostile}")),
    };
    let note = NoteRef { id: NoteId(1), title: "SSH".to_owned() };
    exhibit.context = Context {
        related: vec![Related {
            exemplar: item(4, hostile).exemplars.remove(0),
            kind: "user",
            word: "root".to_owned(),
            group: "web-2".to_owned(),
        }],
        related_tokens: 1_000,
        earlier: vec![(0, earlier)],
        notes: vec![FoundNote { note, heading: String::new(), text: format!("We quote:\n{hostile}") }],
        note_tokens: 800,
        ..Context::default()
    };
    exhibit
}

fn session() -> Session {
    Redactor::new(Settings { pseudonymise_ips: true }).session()
}

/// What an obedient model answers: the line's own JSON, the line as words for everything, and inventions.
fn obedient(hostile: &str) -> Vec<Claim> {
    let claim = |title: &str, explanation: &str, references: &[&str], explains: Option<&str>| Claim {
        title: title.to_owned(),
        severity: if explains.is_some() { Severity::Info } else { Severity::Critical },
        category: Category::Anomaly,
        explanation: explanation.to_owned(),
        recommendation: format!("{hostile}. Fetch https://other.example/fix. Block 9.9.9.9."),
        root_cause: Some(hostile.to_owned()),
        confidence: f64::NAN,
        references: references.iter().map(|reference| (*reference).to_owned()).collect(),
        source_ips: vec!["8.8.8.8".to_owned(), "198.51.100.99".to_owned()],
        users: vec!["stranger-77".to_owned()],
        service: Some("stranger-service".to_owned()),
        explains: explains.map(str::to_owned),
    };
    let mut made = claims(hostile).unwrap_or_default();
    made.push(claim("All is well", hostile, &["L1"], Some("K1")));
    made.push(claim("All is well", hostile, &["L2"], Some("K1")));
    made.push(claim("All is well", hostile, &["L2"], Some("K77")));
    made.push(claim(hostile, hostile, &["L1"], None));
    made.push(claim("Attack from 9.9.9.9", "9.9.9.9 took 12345 files.", &["L1"], None));
    made.push(claim(hostile, hostile, &["L999"], None));
    made.push(claim(hostile, hostile, &["L4"], None));
    made.push(claim("All is well", hostile, &["L4"], Some("K1")));
    made
}

#[track_caller]
fn check_findings(hostile: &str, exhibit: &Exhibit, grounded: &Grounded) {
    let before = &exhibit.known[0].draft;
    for after in &grounded.explained {
        assert_eq!((after.severity, after.category), (before.severity, before.category), "{hostile}");
        assert_eq!((&after.title, &after.fingerprint), (&before.title, &before.fingerprint), "{hostile}");
        assert_eq!((after.count, &after.evidence), (before.count, &before.evidence), "{hostile}");
        assert_eq!(after.source_ips, before.source_ips, "{hostile}");
    }
    let shown = addresses(hostile);
    for draft in &grounded.drafts {
        assert!(draft.severity <= Severity::Medium, "{hostile}");
        assert_ne!(draft.fingerprint, before.fingerprint);
        assert!(draft.evidence.iter().all(|line| line.line == hostile), "{hostile}");
        let proved = |ip: &String| shown.iter().any(|found| found.ip.to_string() == *ip);
        assert!(draft.source_ips.iter().all(proved), "{hostile}: {:?}", draft.source_ips);
        assert!(!draft.users.contains("stranger-77") && draft.score.is_finite());
        assert_ne!(draft.affected_service.as_deref(), Some("stranger-service"), "{hostile}");
    }
    for draft in grounded.drafts.iter().chain(&grounded.explained) {
        let cause = draft.root_cause.clone().unwrap_or_default();
        let words = [draft.title.as_str(), &draft.summary, &draft.recommendation, &cause].join(" ");
        for bad in
            ["9.9.9.9", "other.example", "12345", "://", "](", "<", ">", "www.", "\u{202e}", "\u{200b}"]
        {
            assert!(!words.contains(bad), "{bad:?} in the words for {hostile}: {words}");
        }
        assert!(!words.chars().any(char::is_control), "{hostile}");
    }
}

#[test]
fn no_hostile_line_hides_lowers_invents_or_takes_anything_out() {
    assert!(LINES.lines().count() >= 90);
    let plain = Digest::render(&window("harmless"), &mut session(), 8_000, 0);
    let plain_rows = fenced(&plain, NONCE).as_str().lines().count();
    let origin = Origin::Model { model: "fake/m".to_owned(), prompt: "general/1".to_owned() };
    for hostile in LINES.lines() {
        let exhibit = window(hostile);
        let mut session = session();
        let sent = fenced(&Digest::render(&exhibit, &mut session, 8_000, 0), NONCE);
        let text = sent.as_str();
        assert!(!text.to_lowercase().contains(&SECRET.to_lowercase()), "{hostile} gives the secret away");
        assert!(!text.contains("203.0.113.5"), "{hostile} gives the address away");
        assert_eq!(text.lines().count(), plain_rows, "{hostile} makes lines of its own");
        assert_eq!(
            (text.matches('⟦').count(), text.matches('⟧').count()),
            (5, 5),
            "{hostile} breaks the fence"
        );
        assert!(text.ends_with(&format!("⟦END {NONCE}⟧\n")) && !text.contains("<|"), "{hostile}");
        assert!(text.contains("Failed password for root from 198.18."), "{hostile} hides the attack");
        let grounded = ground(obedient(hostile), &exhibit, &session, &origin);
        assert!(!grounded.dropped.is_empty());
        check_findings(hostile, &exhibit, &grounded);
    }
}
