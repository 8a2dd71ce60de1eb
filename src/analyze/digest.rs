//! Digest: all lines of a closed window as templates, ranked by suspicion, with the lines worth quoting.
//!
//! Nothing is cut at the head: what does not fit is left out from the harmless end, and counted.

use crate::{
    analyze::{
        context::Context,
        exhibit::{Exemplar, Exhibit, Item, Known},
        window::{OpenWindow, TemplateStat},
    },
    model::{EvidenceLine, FindingDraft, Severity, TemplateId},
    wire::level::Level,
};

/// Templates kept in an exhibit; a prompt has room for fewer.
const MAX_ITEMS: usize = 300;
/// Values listed per template.
const MAX_VALUES: usize = 16;

/// Makes the exhibit of a window. `text_of` resolves a template's text.
pub fn exhibit(
    group: &str,
    window: &OpenWindow,
    drafts: &[FindingDraft],
    text_of: &dyn Fn(TemplateId) -> Option<String>,
) -> Exhibit {
    let mut ranked: Vec<(f64, TemplateId, &TemplateStat)> =
        window.templates.iter().map(|(id, stat)| (suspicion(stat, window.lines), *id, stat)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let left_out = ranked.split_off(ranked.len().min(MAX_ITEMS));

    let mut references = References::default();
    let items: Vec<Item> = ranked
        .into_iter()
        .map(|(suspicion, id, stat)| item(stat, suspicion, text_of(id).unwrap_or_default(), &mut references))
        .collect();
    let mut exhibit = Exhibit {
        group: group.to_owned(),
        from: Some(window.from),
        to: Some(window.to),
        lines: window.lines,
        templates: window.templates.len() as u64 + u64::from(window.uncounted > 0),
        suspicious: window.suspicious,
        items,
        omitted_templates: left_out.len() as u64,
        omitted_lines: left_out.iter().map(|(_, _, stat)| stat.count).sum::<u64>() + window.uncounted,
        known: Vec::new(),
        context: Context::default(),
    };
    exhibit.known = drafts.iter().map(|draft| known(draft, &mut exhibit.items, &mut references)).collect();
    exhibit
}

/// Hands out reference numbers, one per distinct quoted line.
#[derive(Default)]
struct References {
    last: u32,
}

impl References {
    fn quote(&mut self, evidence: EvidenceLine) -> Exemplar {
        self.last += 1;
        Exemplar { reference: self.last, evidence }
    }
}

fn item(stat: &TemplateStat, suspicion: f64, template: String, references: &mut References) -> Item {
    let mut lines: Vec<EvidenceLine> = Vec::new();
    for line in std::iter::once(&stat.head).chain(&stat.telling).chain(&stat.tail) {
        if !lines.iter().any(|known| known.line == line.line && known.timestamp_ns == line.timestamp_ns) {
            lines.push(EvidenceLine { template: Some(template.clone()), ..line.clone() });
        }
    }
    let (mut values, others) = stat.values.summary();
    let cut = values.split_off(values.len().min(MAX_VALUES));
    Item {
        template,
        count: stat.count,
        first: stat.first,
        last: stat.last,
        level: stat.level.as_str().to_owned(),
        suspicion,
        is_new: stat.is_new,
        rules: stat.severity.map(|s| s.as_str().to_owned()).into_iter().collect(),
        exemplars: lines.into_iter().map(|line| references.quote(line)).collect(),
        values,
        more_values: others + cut.len() as u64,
    }
}

/// Names a draft for the model, and makes sure that its evidence can be cited.
fn known(draft: &FindingDraft, items: &mut Vec<Item>, references: &mut References) -> Known {
    let mut cited = Vec::new();
    for evidence in &draft.evidence {
        let same = |e: &&Exemplar| {
            e.evidence.timestamp_ns == evidence.timestamp_ns
                && e.evidence.line == evidence.line
                && e.evidence.stream == evidence.stream
        };
        if let Some(exemplar) = items.iter().flat_map(|item| &item.exemplars).find(same) {
            cited.push(exemplar.reference);
            continue;
        }
        let exemplar = references.quote(evidence.clone());
        cited.push(exemplar.reference);
        let home = items.iter_mut().find(|item| Some(&item.template) == evidence.template.as_ref());
        match home {
            Some(item) => item.exemplars.push(exemplar),
            None => items.insert(0, lone_item(draft, exemplar)),
        }
    }
    Known { draft: draft.clone(), references: cited }
}

/// Evidence whose template did not make it into the exhibit stands for itself.
fn lone_item(draft: &FindingDraft, exemplar: Exemplar) -> Item {
    Item {
        template: exemplar.evidence.template.clone().unwrap_or_default(),
        count: 1,
        first: exemplar.evidence.timestamp_ns,
        last: exemplar.evidence.timestamp_ns,
        level: Level::Unknown.as_str().to_owned(),
        suspicion: weight(draft.severity),
        is_new: false,
        rules: vec![draft.severity.as_str().to_owned()],
        exemplars: vec![exemplar],
        values: Vec::new(),
        more_values: 0,
    }
}

fn weight(severity: Severity) -> f64 {
    match severity {
        Severity::Info => 0.3,
        Severity::Low => 0.5,
        Severity::Medium => 0.7,
        Severity::High => 0.85,
        Severity::Critical => 0.95,
    }
}

/// How much a template deserves to be looked at, in [0, 1]: the rules' word, then level, newness and rarity.
fn suspicion(stat: &TemplateStat, lines: u64) -> f64 {
    let by_rule = stat.severity.map_or(0.0, weight);
    let by_level = match stat.level {
        Level::Fatal | Level::Critical => 0.5,
        Level::Error => 0.35,
        Level::Warn => 0.2,
        _ => 0.0,
    };
    let by_newness = if stat.is_new { 0.2 } else { 0.0 };
    let rarity = 1.0 - ((1 + stat.count) as f64).ln() / ((2 + lines) as f64).ln();
    (by_rule + (1.0 - by_rule) * (by_level + by_newness + 0.05 * rarity)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        analyze::{line::Line, window::Seen},
        model::{Category, Labels, LineRef, Timestamp},
        wire::{envelope::Envelope, level::Level},
    };

    fn window(lines: &[(u64, &str, Option<Severity>)]) -> OpenWindow {
        let labels = Labels::from_pairs([("host", "vps1")]).unwrap();
        let envelope = Envelope::default();
        let mut window = OpenWindow::open(1, Timestamp::from_secs(0));
        for (at, (template, raw, severity)) in (0_u32..).zip(lines) {
            let line = Line {
                at: LineRef { block: 1, index: at },
                labels: &labels,
                host: "vps1",
                timestamp: Timestamp::from_secs(i64::from(at)),
                level: Level::Unknown,
                raw: raw.as_bytes(),
                envelope: &envelope,
                template: Some(TemplateId(*template)),
            };
            let seen = Seen {
                template: TemplateId(*template),
                is_new: false,
                known_before: 100,
                severity: *severity,
                hit: severity.is_some(),
                values: &[],
            };
            window.add(&line, &seen);
        }
        window
    }

    fn text_of(id: TemplateId) -> Option<String> {
        Some(format!("template {}", id.0))
    }

    #[test]
    fn what_rules_pointed_at_comes_first_and_every_line_is_accounted_for() {
        let many: Vec<(u64, String)> = (0..400).map(|n| (n, format!("harmless {n}"))).collect();
        let mut lines: Vec<_> = many.iter().map(|(id, text)| (*id, text.as_str(), None)).collect();
        lines.push((999, "Out of memory: Killed process 1 (x)", Some(Severity::High)));
        let exhibit = exhibit("vps1", &window(&lines), &[], &text_of);
        assert_eq!(exhibit.items[0].template, "template 999");
        assert_eq!((exhibit.items.len(), exhibit.omitted_templates), (MAX_ITEMS, 401 - MAX_ITEMS as u64));
        let shown: u64 = exhibit.items.iter().map(|item| item.count).sum();
        assert_eq!(shown + exhibit.omitted_lines, exhibit.lines);
    }

    #[test]
    fn references_are_unique_and_evidence_of_known_findings_can_be_cited() {
        let window = window(&[(1, "first", None), (1, "second", None), (2, "other", Some(Severity::Low))]);
        let elsewhere = EvidenceLine {
            stream: Labels::from_pairs([("host", "vps1")]).unwrap(),
            timestamp_ns: Timestamp::from_secs(77),
            line: "not among the kept lines".into(),
            template: Some("template 2".into()),
            at: None,
        };
        let first = window.templates[&TemplateId(1)].head.clone();
        let draft = draft(vec![first, elsewhere]);
        let exhibit = exhibit("vps1", &window, &[draft], &text_of);
        let exemplars: Vec<_> = exhibit.items.iter().flat_map(|item| &item.exemplars).collect();
        let numbers: BTreeSet<u32> = exemplars.iter().map(|e| e.reference).collect();
        assert_eq!(numbers.len(), exemplars.len());
        let cited: Vec<&str> = exhibit.known[0]
            .references
            .iter()
            .map(|r| exemplars.iter().find(|e| e.reference == *r).unwrap().evidence.line.as_str())
            .collect();
        assert_eq!(cited, ["first", "not among the kept lines"]);
    }

    fn draft(evidence: Vec<EvidenceLine>) -> FindingDraft {
        FindingDraft {
            fingerprint: "f".into(),
            title: "t".into(),
            severity: Severity::Low,
            category: Category::Recon,
            summary: String::new(),
            recommendation: String::new(),
            root_cause: None,
            evidence,
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            affected_service: None,
            hosts: BTreeSet::new(),
            count: 2,
            score: 1.0,
            origin: BTreeSet::new(),
            first_seen: Timestamp::from_secs(0),
            last_seen: Timestamp::from_secs(1),
        }
    }
}
