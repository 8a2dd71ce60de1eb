//! What people have taught, as the analysis uses it: normals, verdicts and maintenance windows.
//!
//! Read from the store when something was taught, compiled once, then only asked: nothing here reads a clock or waits.
//! What is hidden or muted is counted by whoever writes the findings.

mod normal;
mod shape;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use normal::{Normals, Subject};
pub use shape::Shape;

use crate::{
    analyze::detect::{Evidence, SILENCE},
    model::{FindingDraft, FindingId, Maintenance, Origin, Selector, Severity, Timestamp},
    store::{
        Connection, StoreError, Transaction, feedback,
        finding::{self, Applied, Source},
        maintenance, normal as stored,
    },
};

/// What one false positive adds to a detector's threshold there, and one real finding takes away.
const SHIFT_STEP: f64 = 0.03;
/// However many: a detector that is sure is still heard, and one that is not is not believed.
const SHIFT_MOST: f64 = 0.15;
const SHIFT_LEAST: f64 = -0.10;

/// Everything that was taught. Immutable and shared.
#[derive(Debug, Default)]
pub struct Taught {
    normals: Normals,
    /// Verdicts by tenant, group, detector and subject: false positives less real ones.
    verdicts: BTreeMap<(i64, String, String, String), i64>,
    maintenance: Vec<(i64, Selector, Maintenance)>,
}

/// The findings of a window after what was taught is taken into account.
#[derive(Clone, Debug, Default)]
pub struct Sieved {
    /// What is to be stored.
    pub findings: Vec<FindingDraft>,
    /// Of these the fingerprints of what was seen during maintenance.
    pub muted: BTreeSet<String>,
    /// How many findings each normal has hidden.
    pub hidden: BTreeMap<String, u64>,
}

impl Sieved {
    /// Writes the findings with their marks, and counts what was hidden. Writing it again changes nothing.
    pub fn write(
        &self,
        tx: &Transaction<'_>,
        source: &Source,
        dedup: Duration,
        now: Timestamp,
    ) -> Result<Vec<(FindingId, Applied)>, StoreError> {
        let applied = finding::apply(tx, source, &self.findings, dedup, now)?;
        for ((id, applied), draft) in applied.iter().zip(&self.findings) {
            finding::mute(tx, id, *applied, self.muted.contains(&draft.fingerprint))?;
        }
        for (normal, findings) in &self.hidden {
            let hidden = stored::Hidden {
                normal: normal.clone(),
                group: source.group.clone(),
                first_seq: source.first_seq,
                findings: *findings,
            };
            stored::book_hidden(tx, &hidden, now)?;
        }
        Ok(applied)
    }
}

impl Taught {
    /// Reads everything.
    pub fn read(conn: &Connection) -> Result<Self, StoreError> {
        let mut verdicts = BTreeMap::new();
        for (tenant, said) in feedback::all(conn)? {
            let sum: &mut i64 =
                verdicts.entry((tenant, said.group, said.detector, said.subject)).or_default();
            *sum += if said.is_real { -1 } else { 1 };
        }
        Ok(Taught {
            normals: Normals::new(stored::all(conn)?),
            verdicts,
            maintenance: maintenance::all(conn)?
                .into_iter()
                .filter_map(|(tenant, window)| Some((tenant, window.selector.parse().ok()?, window)))
                .collect(),
        })
    }

    /// How much more than usual a detector must be sure of this to be heard: false positives raise it, real ones lower it.
    pub fn threshold_shift(&self, tenant: i64, group: &str, detector: &str, subject: &str) -> f64 {
        if self.verdicts.is_empty() {
            return 0.0;
        }
        let key = (tenant, group.to_owned(), detector.to_owned(), subject.to_owned());
        let sum = self.verdicts.get(&key).copied().unwrap_or(0);
        (sum as f64 * SHIFT_STEP).clamp(SHIFT_LEAST, SHIFT_MOST)
    }

    /// Weighs evidence by what people have said of its like.
    pub fn weigh(&self, tenant: i64, group: &str, evidence: &mut [Evidence]) {
        for piece in evidence {
            let shift = self.threshold_shift(tenant, group, piece.detector, &piece.subject);
            piece.score = (piece.score - shift).clamp(0.0, 1.0);
        }
    }

    /// Leaves out what is normal and what detectors made during maintenance; names what is to be muted.
    pub fn sieve(&self, tenant: i64, drafts: Vec<FindingDraft>, now: Timestamp) -> Sieved {
        let mut sieved = Sieved::default();
        for draft in drafts {
            if let Some(normal) = self.normals.hide(tenant, &draft, now) {
                *sieved.hidden.entry(normal.to_owned()).or_default() += 1;
                continue;
            }
            if self.is_maintained(tenant, &draft, now) && draft.severity < Severity::Critical {
                if draft.origin.iter().all(|origin| matches!(origin, Origin::Detector { .. })) {
                    continue;
                }
                sieved.muted.insert(draft.fingerprint.clone());
            }
            sieved.findings.push(draft);
        }
        sieved
    }

    /// Whether work was being done on all streams that show the finding: when its last line was written, or, where the
    /// finding is that none comes, now.
    fn is_maintained(&self, tenant: i64, draft: &FindingDraft, now: Timestamp) -> bool {
        let silence = Origin::Detector { name: SILENCE.to_owned() };
        let at = if draft.origin.contains(&silence) { now } else { draft.last_seen };
        self.maintenance.iter().any(|(owner, selector, window)| {
            *owner == tenant
                && window.contains(at)
                && !draft.evidence.is_empty()
                && draft.evidence.iter().all(|line| selector.matches(&line.stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Category, EvidenceLine, Labels};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn draft(severity: Severity, origin: Origin) -> FindingDraft {
        FindingDraft {
            fingerprint: "f".to_owned(),
            title: String::new(),
            severity,
            category: Category::AppError,
            summary: String::new(),
            recommendation: String::new(),
            root_cause: None,
            evidence: vec![EvidenceLine {
                stream: Labels::from_pairs([("host", "web-1")]).unwrap(),
                timestamp_ns: NOW,
                line: "x".to_owned(),
                template: None,
                at: None,
            }],
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            affected_service: None,
            hosts: BTreeSet::new(),
            count: 1,
            score: 0.9,
            origin: BTreeSet::from([origin]),
            first_seen: NOW,
            last_seen: NOW,
        }
    }

    fn maintained() -> Taught {
        let window = Maintenance {
            id: "m".to_owned(),
            selector: r#"{host="web-1"}"#.to_owned(),
            from: NOW,
            to: NOW.plus(Duration::from_secs(60)),
            weekly: None,
            note: None,
            created_at: NOW,
        };
        Taught { maintenance: vec![(1, window.selector.parse().unwrap(), window)], ..Taught::default() }
    }

    #[test]
    fn during_maintenance_rules_are_muted_detectors_silent_and_the_critical_stays() {
        let rule = || Origin::Rule { id: "r".to_owned() };
        let detector = || Origin::Detector { name: "frequency".to_owned() };
        let check = |tenant, draft: FindingDraft, stored: usize, muted: usize| {
            let sieved = maintained().sieve(tenant, vec![draft], NOW);
            assert_eq!((sieved.findings.len(), sieved.muted.len()), (stored, muted));
        };
        check(1, draft(Severity::High, rule()), 1, 1);
        check(1, draft(Severity::Critical, rule()), 1, 0);
        check(1, draft(Severity::Medium, detector()), 0, 0);
        check(2, draft(Severity::Medium, detector()), 1, 0);
        let mut later = draft(Severity::High, rule());
        later.last_seen = NOW.plus(Duration::from_secs(60));
        check(1, later, 1, 0);
    }

    #[test]
    fn verdicts_shift_the_threshold_within_bounds() {
        // Four subjects, each with as many false positives as its number says.
        let key = |n: i64| ((1, "web-1".to_owned(), "frequency".to_owned(), format!("s{n}")), n);
        let taught = Taught { verdicts: [1, 100, -1, -100].map(key).into(), ..Taught::default() };
        let shift = |n: i64| taught.threshold_shift(1, "web-1", "frequency", &format!("s{n}"));
        let hundredths = [1, 100, -1, -100, 7].map(|n| (shift(n) * 100.0).round() as i64);
        assert_eq!(hundredths, [3, 15, -3, -10, 0]);
    }
}
