//! Digest: all lines of a closed window as templates, ranked by suspicion, with the lines worth quoting.
//!
//! Nothing is cut at the head: what does not fit is left out from the harmless end, and counted.

use crate::{
    analyze::{
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
    Known {
        fingerprint: draft.fingerprint.clone(),
        title: draft.title.clone(),
        severity: draft.severity,
        category: draft.category,
        count: draft.count,
        references: cited,
    }
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
