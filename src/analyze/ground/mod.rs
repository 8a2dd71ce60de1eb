//! From claims to findings: what the cited lines prove stays, everything else is dropped and counted.
//!
//! Pure. In: untrusted claims and the exhibit they speak of. Out: drafts. A claim may add a finding or explain a known
//! one; it can never lower, hide or change what rules found.
//!
//! Severity: a claim alone reaches `medium`. More needs support in the cited lines: the severity of a rule that matched
//! them, or a level of `fatal` or `critical` (then `high`).

mod clean;
mod fact;
#[cfg(test)]
pub mod testing;

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    analyze::{
        ask::{Claim, line_numbers, number_of},
        exhibit::{Exemplar, Exhibit, Item, Known},
    },
    model::{FindingDraft, Origin, Severity},
    redact::Session,
};
use clean::Text;
use fact::Proof;

/// Quoted lines per finding.
const EVIDENCE_MAX: usize = 20;

/// Names per claim (addresses, users).
const NAMES_MAX: usize = 50;

/// Why a claim, or a part of it, was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It cites no line that exists.
    NoEvidence,
    /// One of several references does not exist.
    UnknownReference,
    /// Its title states what the lines do not show.
    UnprovenTitle,
    /// Nothing of its explanation is proved.
    UnprovenExplanation,
    /// A sentence states what the lines do not show.
    UnprovenSentence,
    /// An address, user or service does not stand in the lines.
    UnprovenName,
    /// It wants to explain a finding that does not exist.
    UnknownFinding,
    /// It explains a known finding by other lines than that finding's.
    UnrelatedLines,
    /// It cites lines of other streams only.
    OnlyRelated,
    /// Its severity was lowered to what the lines support.
    UnsupportedSeverity,
}

impl Reason {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::NoEvidence => "no_evidence",
            Reason::UnknownReference => "unknown_reference",
            Reason::UnprovenTitle => "unproven_title",
            Reason::UnprovenExplanation => "unproven_explanation",
            Reason::UnprovenSentence => "unproven_sentence",
            Reason::UnprovenName => "unproven_name",
            Reason::UnknownFinding => "unknown_finding",
            Reason::UnrelatedLines => "unrelated_lines",
            Reason::OnlyRelated => "only_related",
            Reason::UnsupportedSeverity => "unsupported_severity",
        }
    }

    /// Whether the whole claim is gone and not only a part of it.
    pub const fn is_whole(self) -> bool {
        !matches!(
            self,
            Reason::UnknownReference
                | Reason::UnprovenSentence
                | Reason::UnprovenName
                | Reason::UnsupportedSeverity
        )
    }
}

/// What grounding left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grounded {
    /// Findings nobody but the model made.
    pub drafts: Vec<FindingDraft>,
    /// Known findings with better words: equal to the rules' drafts in all else.
    pub explained: Vec<FindingDraft>,
    /// What was dropped, and why.
    pub dropped: Vec<Reason>,
}

/// Grounds claims about one exhibit. Pseudonyms of the session are turned back first.
pub fn ground(claims: Vec<Claim>, exhibit: &Exhibit, session: &Session, origin: &Origin) -> Grounded {
    let mut grounded = Grounded::default();
    let mut explained = BTreeSet::new();
    for claim in claims {
        let claim = restored(claim, session);
        if let Err(reason) = ground_one(&claim, exhibit, origin, &mut grounded, &mut explained) {
            grounded.dropped.push(reason);
        }
    }
    grounded
}

fn ground_one(
    claim: &Claim,
    exhibit: &Exhibit,
    origin: &Origin,
    grounded: &mut Grounded,
    explained: &mut BTreeSet<String>,
) -> Result<(), Reason> {
    let (cited, unknown) = cited(claim, exhibit);
    grounded.dropped.extend(std::iter::repeat_n(Reason::UnknownReference, unknown));
    let known = known_finding(claim, &cited, exhibit)?;
    if cited.is_empty() && known.is_none() {
        return Err(Reason::NoEvidence);
    }
    if known.is_none() && cited.iter().all(|cited| cited.item.is_none()) {
        return Err(Reason::OnlyRelated);
    }
    let proof = Proof::new(&cited, known, exhibit);
    let words = words(claim, &proof, known.is_some(), &mut grounded.dropped)?;
    match known {
        Some(known) => {
            // The first explanation of a finding counts; a second cannot take its place.
            if explained.insert(known.draft.fingerprint.clone()) {
                grounded.explained.push(better_words(known, words, origin));
            }
        }
        None => {
            let material = Material { claim, cited: &cited, exhibit, origin, proof: &proof };
            let draft = new_finding(&material, words, &mut grounded.dropped);
            if explained.insert(draft.fingerprint.clone()) {
                grounded.drafts.push(draft);
            }
        }
    }
    Ok(())
}

/// A cited line: of the window, with its template, or of another stream.
#[derive(Clone, Copy)]
struct CitedLine<'a> {
    item: Option<&'a Item>,
    exemplar: &'a Exemplar,
    /// The group of a line of another stream.
    group: Option<&'a str>,
}

type Cited<'a> = Vec<CitedLine<'a>>;

/// The cited lines, those of the window first, and how many references lead nowhere.
fn cited<'a>(claim: &Claim, exhibit: &'a Exhibit) -> (Cited<'a>, usize) {
    let numbers = line_numbers(&claim.references);
    let unreadable = claim.references.iter().filter(|text| number_of(text, 'L').is_none()).count();
    let of_window = exhibit.items.iter().flat_map(|item| {
        item.exemplars.iter().map(move |exemplar| CitedLine { item: Some(item), exemplar, group: None })
    });
    let related = exhibit.context.related.iter();
    let related = related.map(|line| CitedLine {
        item: None,
        exemplar: &line.exemplar,
        group: Some(line.group.as_str()),
    });
    let all = of_window.chain(related);
    let cited: Cited<'a> = all.filter(|cited| numbers.contains(&cited.exemplar.reference)).collect();
    let unknown = numbers.len().saturating_sub(cited.len()) + unreadable;
    (cited, unknown)
}

/// The finding a claim is about: the one it names, or one of the same category that shares a line with it.
fn known_finding<'a>(
    claim: &Claim,
    cited: &Cited<'_>,
    exhibit: &'a Exhibit,
) -> Result<Option<&'a Known>, Reason> {
    if let Some(name) = claim.explains.as_deref().filter(|name| !name.trim().is_empty()) {
        let index = number_of(name, 'K').and_then(|n| usize::try_from(n).ok()?.checked_sub(1));
        let known = index.and_then(|index| exhibit.known.get(index)).ok_or(Reason::UnknownFinding)?;
        let shared = cited.iter().any(|cited| known.references.contains(&cited.exemplar.reference));
        return if cited.is_empty() || shared { Ok(Some(known)) } else { Err(Reason::UnrelatedLines) };
    }
    let shares = |known: &&Known| {
        let category = known.draft.category == claim.category;
        category && cited.iter().any(|cited| known.references.contains(&cited.exemplar.reference))
    };
    Ok(exhibit.known.iter().find(shares))
}

struct Words {
    title: String,
    explanation: String,
    recommendation: String,
    root_cause: Option<String>,
}

/// What of a claim's text is proved. A known finding keeps its own title, so that of the claim does not matter.
fn words(claim: &Claim, proof: &Proof, is_known: bool, dropped: &mut Vec<Reason>) -> Result<Words, Reason> {
    let title = clean::text(&claim.title, Text::Title);
    if !is_known && (title.is_empty() || !proof.holds(&title)) {
        return Err(Reason::UnprovenTitle);
    }
    let mut keep = |text: &str, kind: Text, is_proved: &dyn Fn(&str) -> bool| {
        let (kept, removed) = clean::sentences(text, kind, is_proved);
        dropped.extend(std::iter::repeat_n(Reason::UnprovenSentence, removed));
        kept
    };
    let explanation = keep(&claim.explanation, Text::Explanation, &|sentence| proof.holds(sentence));
    // Advice may name commands and numbers of its own, but no addresses and links.
    let recommendation = keep(&claim.recommendation, Text::Recommendation, &|s| proof.holds_addresses(s));
    let root_cause = claim.root_cause.as_deref().map(|text| keep(text, Text::RootCause, &|s| proof.holds(s)));
    if explanation.is_empty() {
        return Err(Reason::UnprovenExplanation);
    }
    let root_cause = root_cause.filter(|text| !text.is_empty()).map(|text| clean::inert(&text));
    let [title, explanation, recommendation] =
        [title, explanation, recommendation].map(|text| clean::inert(&text));
    Ok(Words { title, explanation, recommendation, root_cause })
}

fn better_words(known: &Known, words: Words, origin: &Origin) -> FindingDraft {
    let mut draft = known.draft.clone();
    draft.summary = words.explanation;
    if !words.recommendation.is_empty() {
        draft.recommendation = words.recommendation;
    }
    draft.root_cause = words.root_cause.or(draft.root_cause);
    draft.origin.insert(origin.clone());
    draft
}

/// What a new finding is made of.
struct Material<'a> {
    claim: &'a Claim,
    cited: &'a Cited<'a>,
    exhibit: &'a Exhibit,
    origin: &'a Origin,
    proof: &'a Proof,
}

fn new_finding(material: &Material<'_>, words: Words, dropped: &mut Vec<Reason>) -> FindingDraft {
    let Material { claim, cited, exhibit, origin, proof } = *material;
    let items = distinct_items(cited);
    let bound = supported_severity(&items, cited, exhibit);
    if claim.severity > bound {
        dropped.push(Reason::UnsupportedSeverity);
    }
    let mut proved = |names: &[String], holds: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        let (good, bad): (Vec<_>, Vec<_>) = names
            .iter()
            .take(NAMES_MAX)
            .map(|name| clean::text(name, Text::Name))
            .partition(|name| holds(name));
        dropped.extend(bad.iter().map(|_| Reason::UnprovenName));
        good.into_iter().collect()
    };
    let source_ips = proved(&claim.source_ips, &|name| proof.holds_ip(name));
    let users = proved(&claim.users, &|name| proof.holds_word(name));
    let service: Vec<String> = claim.service.iter().filter(|name| !name.trim().is_empty()).cloned().collect();
    let service = proved(&service, &|name| proof.holds_word(name));
    let times = || items.iter().flat_map(|item| [item.first, item.last]);
    FindingDraft {
        fingerprint: fingerprint(claim, &items, exhibit),
        title: words.title,
        severity: claim.severity.min(bound),
        category: claim.category,
        summary: words.explanation,
        recommendation: words.recommendation,
        root_cause: words.root_cause,
        evidence: cited.iter().take(EVIDENCE_MAX).map(|cited| cited.exemplar.evidence.clone()).collect(),
        source_ips,
        users,
        affected_service: service.into_iter().next(),
        hosts: std::iter::once(exhibit.group.as_str())
            .chain(cited.iter().filter_map(|cited| cited.group))
            .filter(|group| !group.is_empty())
            .map(str::to_owned)
            .collect(),
        count: items.iter().map(|item| item.count).sum(),
        score: if claim.confidence.is_finite() { claim.confidence.clamp(0.0, 1.0) } else { 0.5 },
        origin: BTreeSet::from([origin.clone()]),
        first_seen: times().min().unwrap_or_default(),
        last_seen: times().max().unwrap_or_default(),
    }
}

fn distinct_items<'a>(cited: &Cited<'a>) -> Vec<&'a Item> {
    let mut items: Vec<&Item> = Vec::new();
    for item in cited.iter().filter_map(|cited| cited.item) {
        if !items.iter().any(|known| std::ptr::eq(*known, item)) {
            items.push(item);
        }
    }
    items
}

/// The gravest severity the cited lines support.
fn supported_severity(items: &[&Item], cited: &Cited<'_>, exhibit: &Exhibit) -> Severity {
    let by_rule = items.iter().flat_map(|item| &item.rules).filter_map(|rule| Severity::parse(rule));
    let by_level = items
        .iter()
        .filter(|item| matches!(item.level.as_str(), "fatal" | "critical"))
        .map(|_| Severity::High);
    let by_finding = exhibit
        .known
        .iter()
        .filter(|known| cited.iter().any(|cited| known.references.contains(&cited.exemplar.reference)));
    let by_finding = by_finding.map(|known| known.draft.severity);
    by_rule.chain(by_level).chain(by_finding).max().unwrap_or(Severity::Medium).max(Severity::Medium)
}

/// Identity independent of the model's wording: kind, place and the templates spoken of.
fn fingerprint(claim: &Claim, items: &[&Item], exhibit: &Exhibit) -> String {
    let templates: BTreeSet<&str> = items.iter().map(|item| item.template.as_str()).collect();
    let mut text = format!("{}\n{}", claim.category.as_str(), exhibit.group);
    for template in templates {
        text.push('\n');
        text.push_str(template);
    }
    format!("model:{}:{:016x}", claim.category.as_str(), xxh3_64(text.as_bytes()))
}

fn restored(claim: Claim, session: &Session) -> Claim {
    let back = |text: String| session.restore(&text);
    Claim {
        title: back(claim.title),
        explanation: back(claim.explanation),
        recommendation: back(claim.recommendation),
        root_cause: claim.root_cause.map(back),
        source_ips: claim.source_ips.into_iter().map(back).collect(),
        users: claim.users.into_iter().map(back).collect(),
        service: claim.service.map(back),
        ..claim
    }
}

#[cfg(test)]
mod tests;
