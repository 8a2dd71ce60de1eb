use super::{
    testing::{exhibit, item, known},
    *,
};
use crate::{
    model::Category,
    redact::{Redactor, Settings},
};

const LINE: &str = "Failed password for root from 203.0.113.5 port 4242 ssh2, see /var/log/auth.log";

fn origin() -> Origin {
    Origin::Model { model: "openai/m".to_owned(), prompt: "general/1".to_owned() }
}

fn claim() -> Claim {
    Claim {
        title: "Password guessing against root from 203.0.113.5".to_owned(),
        severity: Severity::Medium,
        category: Category::BruteForce,
        explanation: "An address tried 42 passwords for \"root\" on port 4242.".to_owned(),
        recommendation: "Disable password logins. Keep 1 way in.".to_owned(),
        root_cause: Some("Port 4242 is open.".to_owned()),
        confidence: 0.8,
        references: vec!["L1".to_owned()],
        source_ips: vec!["203.0.113.5".to_owned()],
        users: vec!["root".to_owned()],
        service: Some("sshd".to_owned()),
        explains: None,
    }
}

fn grounded(claim: Claim, exhibit: &Exhibit) -> Grounded {
    let session = Redactor::new(Settings::default()).session();
    ground(vec![claim], exhibit, &session, &origin())
}

#[track_caller]
fn dropped(change: impl FnOnce(&mut Claim), expected: &[Reason]) -> Grounded {
    let mut changed = claim();
    change(&mut changed);
    let grounded = grounded(changed, &exhibit(vec![item(1, LINE)]));
    assert_eq!(grounded.dropped, expected);
    assert_eq!(grounded.drafts.len(), usize::from(!expected.iter().any(|reason| reason.is_whole())));
    grounded
}

#[test]
fn a_proved_claim_becomes_a_finding() {
    let draft = dropped(|_| {}, &[]).drafts.remove(0);
    assert_eq!((draft.count, draft.severity), (42, Severity::Medium));
    assert!(draft.source_ips.contains("203.0.113.5") && draft.users.contains("root"));
    assert_eq!(draft.affected_service.as_deref(), Some("sshd"));
    assert_eq!(draft.evidence[0].line, LINE);
    assert_eq!(draft.root_cause.as_deref(), Some("Port 4242 is open."));
}

#[test]
fn invented_facts_are_dropped_with_the_part_that_states_them() {
    dropped(|c| c.references = vec!["L9".to_owned()], &[Reason::UnknownReference, Reason::NoEvidence]);
    dropped(|c| c.references = vec![], &[Reason::NoEvidence]);
    dropped(|c| c.references.push("line two".to_owned()), &[Reason::UnknownReference]);
    dropped(|c| c.title = "Attack from 198.51.100.9".to_owned(), &[Reason::UnprovenTitle]);
    dropped(|c| c.title = "Someone read /etc/shadow/now".to_owned(), &[Reason::UnprovenTitle]);
    dropped(|c| c.title = "9000 failures".to_owned(), &[Reason::UnprovenTitle]);
    dropped(
        |c| c.explanation = "It failed as \"oracle\".".to_owned(),
        &[Reason::UnprovenSentence, Reason::UnprovenExplanation],
    );
    dropped(|c| c.explanation.push_str(" Then 7777 files left."), &[Reason::UnprovenSentence]);
    dropped(
        |c| c.recommendation = "Fetch https://evil.example/fix. Rest.".to_owned(),
        &[Reason::UnprovenSentence],
    );
    dropped(|c| c.recommendation = "Block 8.8.8.8.".to_owned(), &[Reason::UnprovenSentence]);
    dropped(|c| c.source_ips.push("8.8.8.8".to_owned()), &[Reason::UnprovenName]);
    dropped(|c| c.users = vec!["oot".to_owned()], &[Reason::UnprovenName]);
    dropped(|c| c.service = Some("nginx".to_owned()), &[Reason::UnprovenName]);
    dropped(|c| c.explains = Some("K1".to_owned()), &[Reason::UnknownFinding]);
}

#[test]
fn severity_needs_support_in_the_cited_lines() {
    let severe = || Claim { severity: Severity::Critical, ..claim() };
    let with = |change: &dyn Fn(&mut Item)| {
        let mut item = item(1, LINE);
        change(&mut item);
        grounded(severe(), &exhibit(vec![item])).drafts.remove(0).severity
    };
    assert_eq!(with(&|_| {}), Severity::Medium);
    assert_eq!(with(&|item| item.level = "error".to_owned()), Severity::Medium);
    assert_eq!(with(&|item| item.level = "fatal".to_owned()), Severity::High);
    assert_eq!(with(&|item| item.rules = vec!["critical".to_owned()]), Severity::Critical);
}

#[test]
fn a_known_finding_gets_words_and_keeps_everything_else() {
    let mut exhibit = exhibit(vec![item(1, LINE)]);
    exhibit.known = vec![known("rule:ssh", 1, &exhibit)];
    let soothing = Claim {
        explains: Some("K1".to_owned()),
        severity: Severity::Info,
        title: "Nothing to see".to_owned(),
        users: vec![],
        ..claim()
    };
    let result = grounded(soothing, &exhibit);
    let (before, after) = (&exhibit.known[0].draft, &result.explained[0]);
    assert!(result.drafts.is_empty());
    assert_eq!(after.summary, claim().explanation);
    assert!(after.origin.contains(&origin()) && after.origin.len() == 2);
    assert_eq!((after.severity, after.count, &after.title), (before.severity, before.count, &before.title));
    assert_eq!((&after.fingerprint, &after.evidence), (&before.fingerprint, &before.evidence));
}

#[test]
fn a_claim_about_the_same_lines_and_kind_explains_instead_of_doubling() {
    let mut exhibit = exhibit(vec![item(1, LINE)]);
    exhibit.known = vec![known("rule:ssh", 1, &exhibit)];
    let result = grounded(claim(), &exhibit);
    assert_eq!((result.drafts.len(), result.explained.len()), (0, 1));
}

#[test]
fn pseudonyms_are_turned_back_before_anything_is_checked() {
    let mut session = Redactor::new(Settings { pseudonymise_ips: true }).session();
    session.redact(LINE);
    let mut claim = claim();
    claim.title = claim.title.replace("203.0.113.5", "198.18.0.1");
    claim.source_ips = vec!["198.18.0.1".to_owned()];
    let result = ground(vec![claim], &exhibit(vec![item(1, LINE)]), &session, &origin());
    assert_eq!(result.drafts[0].title, "Password guessing against root from 203.0.113.5");
    assert!(result.drafts[0].source_ips.contains("203.0.113.5"));
}

#[test]
fn the_same_thing_in_other_words_has_the_same_fingerprint() {
    let exhibit = exhibit(vec![item(1, LINE)]);
    let other = Claim { title: "root under attack".to_owned(), ..claim() };
    let print = |claim| grounded(claim, &exhibit).drafts.remove(0).fingerprint;
    assert_eq!(print(claim()), print(other));
}

/// A window with line L1 and line L2 of another host.
fn with_related() -> Exhibit {
    let mut exhibit = exhibit(vec![item(1, LINE)]);
    let mut elsewhere = item(2, "GET /wp-login.php by 203.0.113.5, agent zgrab-2077").exemplars.remove(0);
    elsewhere.evidence.stream = crate::model::Labels::from_pairs([("host", "web-2")]).unwrap();
    exhibit.context.related = vec![crate::analyze::context::Related {
        exemplar: elsewhere,
        kind: "address",
        word: "203.0.113.5".to_owned(),
        group: "web-2".to_owned(),
    }];
    exhibit
}

#[test]
fn a_line_of_another_stream_proves_beside_one_of_the_window() {
    let mut both = claim();
    both.references.push("L2".to_owned());
    both.explanation = "It came from web-2 with zgrab-2077 before.".to_owned();
    let grounded_both = grounded(both.clone(), &with_related());
    assert_eq!(grounded_both.dropped, []);
    let draft = &grounded_both.drafts[0];
    let lines: Vec<&str> = draft.evidence.iter().map(|line| line.line.as_str()).collect();
    assert_eq!(lines, [LINE, "GET /wp-login.php by 203.0.113.5, agent zgrab-2077"]);
    assert_eq!(draft.hosts, BTreeSet::from(["web-1".to_owned(), "web-2".to_owned()]));
    assert_eq!((draft.count, draft.severity), (42, Severity::Medium));
    let alone = grounded(claim(), &with_related());
    assert_eq!(draft.fingerprint, alone.drafts[0].fingerprint, "the same thing, however much is cited");
    both.references.pop();
    let uncited = grounded(both, &with_related());
    assert_eq!(uncited.dropped, [Reason::UnprovenSentence, Reason::UnprovenExplanation]);
}

#[test]
fn lines_of_other_streams_alone_make_no_finding_of_this_window() {
    let mut elsewhere = claim();
    elsewhere.references = vec!["L2".to_owned()];
    let grounded = grounded(elsewhere, &with_related());
    assert_eq!((grounded.dropped, grounded.drafts.len()), (vec![Reason::OnlyRelated], 0));
}

#[test]
fn a_known_finding_is_not_explained_by_lines_of_other_streams() {
    let mut exhibit = with_related();
    exhibit.known = vec![known("f", 1, &exhibit)];
    let mut about = claim();
    (about.references, about.explains) = (vec!["L2".to_owned()], Some("K1".to_owned()));
    assert_eq!(grounded(about, &exhibit).dropped, [Reason::UnrelatedLines]);
}
