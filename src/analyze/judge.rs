//! The judge: what rules and detectors say of one window becomes findings, each thing once.
//!
//! Evidence about lines that a rule already told of joins that finding. What only detectors saw becomes a finding of
//! its own where it is sure enough, and stays modest: statistics know that something is unusual, not that it is bad.
//! Nothing here hides or lowers what a rule found.

use std::collections::{BTreeMap, BTreeSet};

use super::detect::{Closing, DRIFT, EVERYTHING, Evidence, THIS_HOST, combine};
use crate::{
    model::{Category, EvidenceLine, FindingDraft, Origin, Severity},
    wire::level::{self, Level},
};

/// Lines quoted in one finding.
const MAX_EVIDENCE: usize = 8;
/// Lines that evidence adds to the finding of a rule.
const MAX_ADDED: usize = 2;
/// Findings of detectors in one window; what is more is one storm.
const MAX_FINDINGS: usize = 6;
/// Characters of a title.
const MAX_TITLE: usize = 160;
/// From here on several detectors, or one and a bad level, make more than a hint.
const SURE: f64 = 0.9;
/// Labels that name what runs in a stream, best first.
const SERVICE_LABELS: [&str; 7] = ["service_name", "service", "app", "container", "unit", "job", "filename"];

/// Puts the drafts of the rules and the evidence of the detectors together.
pub fn judge(
    mut drafts: Vec<FindingDraft>,
    evidence: Vec<Evidence>,
    closing: &Closing<'_>,
) -> Vec<FindingDraft> {
    let mut alone: BTreeMap<String, Vec<Evidence>> = BTreeMap::new();
    for evidence in evidence {
        match drafts.iter_mut().find(|draft| is_about(draft, &evidence, closing)) {
            Some(draft) => corroborate(draft, evidence),
            None => alone.entry(about(&evidence)).or_default().push(evidence),
        }
    }
    let mut found: Vec<FindingDraft> =
        alone.into_values().filter_map(|evidence| finding(evidence, closing)).collect();
    // The surest first; equals in the order of what they are about.
    found.sort_by(|a, b| {
        (b.severity, b.score).partial_cmp(&(a.severity, a.score)).unwrap_or(std::cmp::Ordering::Equal)
    });
    if found.len() > MAX_FINDINGS {
        found = storm(&found, closing).into_iter().collect();
    }
    drafts.extend(found);
    drafts
}

/// What belongs together: evidence on one template, or on one subject where there is no template.
fn about(evidence: &Evidence) -> String {
    match evidence.template {
        Some(template) => format!("template {:020}", template.0),
        None => evidence.subject.clone(),
    }
}

/// Whether a rule's finding already tells of this.
fn is_about(draft: &FindingDraft, evidence: &Evidence, closing: &Closing<'_>) -> bool {
    let cites = |line: &EvidenceLine| line.at.is_some() && evidence.lines.iter().any(|own| own.at == line.at);
    if draft.evidence.iter().any(cites) {
        return true;
    }
    let Some(template) = evidence.template.and_then(closing.text_of) else { return false };
    draft.evidence.iter().any(|line| line.template.as_ref() == Some(&template))
}

/// A detector saw the same: the finding is surer, and says so.
fn corroborate(draft: &mut FindingDraft, evidence: Evidence) {
    let is_first = draft.origin.insert(Origin::Detector { name: evidence.detector.to_owned() });
    draft.score = draft.score.max(evidence.score);
    if is_first {
        draft.summary = format!("{} {}", draft.summary, sentence(&evidence)).trim_start().to_owned();
    }
    let room = MAX_EVIDENCE.saturating_sub(draft.evidence.len()).min(MAX_ADDED);
    let known: BTreeSet<_> = draft.evidence.iter().filter_map(|line| line.at).collect();
    let fresh = evidence.lines.into_iter().filter(|line| line.at.is_none_or(|at| !known.contains(&at)));
    draft.evidence.extend(fresh.take(room));
    draft.evidence.sort_by_key(|line| (line.timestamp_ns, line.at));
    draft.source_ips.extend(evidence.source_ips);
    draft.users.extend(evidence.users);
}

/// The finding of what only detectors saw, if they are sure enough together.
fn finding(mut evidence: Vec<Evidence>, closing: &Closing<'_>) -> Option<FindingDraft> {
    evidence.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.detector.cmp(b.detector)));
    let scores: Vec<(&str, f64)> = evidence.iter().map(|e| (e.detector, e.score)).collect();
    let score = combine(closing.settings, &scores);
    if score < closing.settings.threshold {
        return None;
    }
    let lead = evidence.first()?;
    let detectors: BTreeSet<&str> = evidence.iter().map(|e| e.detector).collect();
    let lines = quotes(&evidence, closing);
    let stated = |e: &Evidence| e.template.and_then(|id| closing.window.templates.get(&id));
    let is_bad = lines.iter().any(|line| level(line) >= Level::Error)
        || evidence.iter().filter_map(stated).any(|stat| stat.level >= Level::Error);
    // A host that stopped says nothing bad any more.
    let is_host_down = [THIS_HOST, EVERYTHING].contains(&lead.subject.as_str());
    let severity = match score >= SURE && (is_bad || is_host_down || detectors.len() > 1) {
        true => Severity::Medium,
        false if lead.detector == DRIFT => Severity::Info, // news
        false => Severity::Low,
    };
    let host = if lead.subject == EVERYTHING { "" } else { closing.group };
    let hosts: BTreeSet<String> = (!host.is_empty()).then(|| host.to_owned()).into_iter().collect();
    Some(FindingDraft {
        fingerprint: fingerprint(lead.detector, host, &lead.subject),
        title: title(lead, host),
        severity,
        category: Category::Anomaly,
        summary: evidence.iter().map(sentence).collect::<Vec<_>>().join(" "),
        recommendation: recommendation(lead.detector).to_owned(),
        root_cause: None,
        affected_service: lines.first().and_then(service),
        hosts,
        count: evidence.iter().map(|e| e.count).max().unwrap_or(1).max(1),
        score,
        origin: detectors.into_iter().map(|name| Origin::Detector { name: name.to_owned() }).collect(),
        first_seen: evidence.iter().map(|e| e.first).min()?,
        last_seen: evidence.iter().map(|e| e.last).max()?,
        source_ips: evidence.iter().flat_map(|e| &e.source_ips).cloned().collect(),
        users: evidence.iter().flat_map(|e| &e.users).cloned().collect(),
        evidence: lines,
    })
}

/// What the store knows it by. What every host says is one thing, whoever says it first.
pub fn fingerprint(detector: &str, host: &str, subject: &str) -> String {
    let host = if subject == EVERYTHING { "" } else { host };
    format!("anomaly/{detector}/{host}/{subject}")
}

/// Everything at once is one thing: as after an update, or when a machine fails.
fn storm(found: &[FindingDraft], closing: &Closing<'_>) -> Option<FindingDraft> {
    let number = found.len();
    let titles: Vec<&str> = found.iter().take(3).map(|draft| draft.title.as_str()).collect();
    let host = if closing.group.is_empty() { "one host" } else { closing.group };
    let summary = format!(
        "{number} unusual things happened within one window, as after an update or a failure. The surest: {}.",
        titles.join("; ")
    );
    let mut evidence: Vec<EvidenceLine> =
        found.iter().filter_map(|draft| draft.evidence.first()).take(MAX_EVIDENCE).cloned().collect();
    evidence.sort_by_key(|line| (line.timestamp_ns, line.at));
    let union = |pick: fn(&FindingDraft) -> &BTreeSet<String>| found.iter().flat_map(pick).cloned().collect();
    let lead = found.first()?;
    Some(FindingDraft {
        fingerprint: format!("anomaly/storm/{}", closing.group),
        title: format!("{number} unusual things at once on {host}"),
        severity: lead.severity,
        category: Category::Anomaly,
        summary,
        recommendation:
            "Ask what was changed on this host at that time; if it was an update, acknowledge this."
                .to_owned(),
        root_cause: None,
        affected_service: None,
        hosts: union(|draft| &draft.hosts),
        count: found.iter().map(|draft| draft.count).sum(),
        score: lead.score,
        origin: found.iter().flat_map(|draft| draft.origin.clone()).collect(),
        first_seen: found.iter().map(|draft| draft.first_seen).min()?,
        last_seen: found.iter().map(|draft| draft.last_seen).max()?,
        source_ips: union(|draft| &draft.source_ips),
        users: union(|draft| &draft.users),
        evidence,
    })
}

/// Lines of all the evidence, the lead's first choice, each once, with their template.
fn quotes(evidence: &[Evidence], closing: &Closing<'_>) -> Vec<EvidenceLine> {
    let mut lines: Vec<EvidenceLine> = Vec::new();
    for (line, template) in evidence.iter().flat_map(|e| e.lines.iter().map(move |line| (line, e.template))) {
        let is_known = |known: &EvidenceLine| {
            (known.at, known.timestamp_ns, &known.line) == (line.at, line.timestamp_ns, &line.line)
        };
        if lines.len() < MAX_EVIDENCE && !lines.iter().any(is_known) {
            let template = line.template.clone().or_else(|| template.and_then(closing.text_of));
            lines.push(EvidenceLine { template, ..line.clone() });
        }
    }
    lines.sort_by_key(|line| (line.timestamp_ns, line.at));
    lines
}

fn title(lead: &Evidence, host: &str) -> String {
    let place =
        if host.is_empty() || lead.subject == EVERYTHING { String::new() } else { format!(" on {host}") };
    let mut title = lead.sentence.trim_end_matches('.').to_owned();
    if title.chars().count() > MAX_TITLE {
        title = title.chars().take(MAX_TITLE - 1).chain(['…']).collect();
    }
    title + &place
}

fn sentence(evidence: &Evidence) -> String {
    let text = evidence.sentence.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn level(line: &EvidenceLine) -> Level {
    level::detect(&line.stream, std::iter::empty(), line.line.as_bytes())
}

fn service(line: &EvidenceLine) -> Option<String> {
    SERVICE_LABELS.iter().find_map(|label| line.stream.get(label)).map(str::to_owned)
}

fn recommendation(detector: &str) -> &'static str {
    match detector {
        "silence" => "Check that the service or host still runs and still ships its logs.",
        "frequency" => "Look at what these lines say and what changed when their number did.",
        "sequence" => "Follow this session through its lines and find the step that is missing or new.",
        "drift" => "Nothing to do if this host was changed on purpose; its normal is being learnt anew.",
        _ => "Look at these lines; if they are wanted, mark the finding as normal here.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{detect::Settings, window::OpenWindow},
        model::{Labels, LineRef, TemplateId, Timestamp},
    };

    fn line(index: u32, text: &str) -> EvidenceLine {
        EvidenceLine {
            stream: Labels::from_pairs([("host", "vps1"), ("job", "shop")]).unwrap(),
            timestamp_ns: Timestamp::from_secs(i64::from(index)),
            line: text.to_owned(),
            template: None,
            at: Some(LineRef { block: 1, index }),
        }
    }

    fn evidence(detector: &'static str, template: u64, score: f64, text: &str) -> Evidence {
        let index = u32::try_from(template).unwrap();
        Evidence {
            detector,
            subject: format!("subject {template}"),
            template: Some(TemplateId(template)),
            score,
            observed: String::new(),
            expected: String::new(),
            sentence: format!("{detector} of {template}"),
            lines: vec![line(index, text)],
            count: 3,
            first: Timestamp::from_secs(1),
            last: Timestamp::from_secs(2),
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
        }
    }

    fn rule_draft() -> FindingDraft {
        FindingDraft {
            fingerprint: "brute_force/ssh/vps1/203.0.113.5".into(),
            title: "failed logins".into(),
            severity: Severity::High,
            category: Category::BruteForce,
            summary: "Somebody tries.".into(),
            recommendation: String::new(),
            root_cause: None,
            evidence: vec![EvidenceLine {
                template: Some("template 1".into()),
                ..line(1, "Failed password")
            }],
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            affected_service: None,
            hosts: BTreeSet::new(),
            count: 1,
            score: 0.9,
            origin: BTreeSet::from([Origin::Rule { id: "ssh".into() }]),
            first_seen: Timestamp::from_secs(1),
            last_seen: Timestamp::from_secs(1),
        }
    }

    fn judged(drafts: Vec<FindingDraft>, evidence: Vec<Evidence>) -> Vec<FindingDraft> {
        let (settings, window) = (Settings::default(), OpenWindow::open(1, Timestamp::from_secs(0)));
        let closing = Closing {
            settings: &settings,
            group: "vps1",
            window: &window,
            now: Timestamp::from_secs(60),
            text_of: &|id| Some(format!("template {}", id.0)),
            resolve: &|id| id,
        };
        judge(drafts, evidence, &closing)
    }

    #[test]
    fn a_detector_that_saw_what_a_rule_saw_makes_no_second_finding() {
        let found = judged(vec![rule_draft()], vec![evidence("frequency", 1, 0.99, "Failed password again")]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].severity, found[0].category), (Severity::High, Category::BruteForce));
        assert_eq!(found[0].summary, "Somebody tries. frequency of 1.");
        assert_eq!((found[0].origin.len(), found[0].score), (2, 0.99));
    }

    #[test]
    fn what_is_below_the_threshold_is_not_told_and_what_is_above_stays_modest() {
        let found = judged(
            Vec::new(),
            vec![evidence("parameter", 4, 0.7, "took 3 ms"), evidence("frequency", 5, 0.95, "served page")],
        );
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].severity, found[0].category), (Severity::Low, Category::Anomaly));
        assert_eq!(found[0].title, "frequency of 5 on vps1");
        assert_eq!(found[0].fingerprint, "anomaly/frequency/vps1/subject 5");
        assert_eq!(found[0].affected_service.as_deref(), Some("shop"));
        assert_eq!(found[0].evidence[0].template.as_deref(), Some("template 5"));
    }

    #[test]
    fn a_bad_level_or_a_second_detector_makes_it_medium() {
        let bad = judged(Vec::new(), vec![evidence("novelty", 4, 0.95, "ERROR cannot open ledger")]);
        assert_eq!(bad[0].severity, Severity::Medium);
        let both = judged(
            Vec::new(),
            vec![evidence("frequency", 4, 0.95, "served page"), evidence("parameter", 4, 0.9, "served page")],
        );
        assert_eq!((both.len(), both[0].severity, both[0].origin.len()), (1, Severity::Medium, 2));
    }

    #[test]
    fn very_many_things_at_once_are_one_finding_that_counts_them() {
        let all = (1..=200).map(|n| evidence("novelty", n, 0.9, "something new")).collect();
        let found = judged(Vec::new(), all);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].title, "200 unusual things at once on vps1");
        assert_eq!((found[0].evidence.len(), found[0].count), (MAX_EVIDENCE, 600));
    }
}
