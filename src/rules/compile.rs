//! From what rule files say to a rule set; every mistake is reported, not only the first.

use std::collections::BTreeSet;

use super::{
    error::RuleError,
    expression::Expression,
    field::Field,
    keywords::Collector,
    pattern::Pattern,
    rule::{After, Escalation, Programs, RequestPattern, Rule, Threshold},
    set::{Noise, RuleSet, Scope, Slot},
    spec::{AfterSpec, EscalateSpec, FileSpec, PatternSpec, RequestSpec, RuleSpec, ThresholdSpec, seconds},
};
use crate::model::{Selector, SelectorError};

/// Rules at most; numbers are 16 bits and the automaton grows with every keyword.
const MAX_RULES: usize = 4096;

/// A file's name with what it says, and whether its expressions are proven by the pack's own tests.
pub(super) struct Source {
    pub name: String,
    pub spec: FileSpec,
    pub is_proven: bool,
}

/// Merges the files in order and compiles what remains.
pub(super) fn compile(sources: Vec<Source>, disabled: &[String]) -> Result<RuleSet, Vec<RuleError>> {
    let mut errors = Vec::new();
    let mut merged: Vec<(Origin, RuleSpec)> = Vec::new();
    let mut noise = Vec::new();
    for source in sources {
        let origin = Origin { file: source.name, is_proven: source.is_proven };
        merge(&mut merged, &origin, source.spec.rules, &mut errors);
        merged.retain(|(_, rule)| !source.spec.disable.contains(&rule.id));
        for spec in source.spec.noise {
            let compiled = patterns(&spec.patterns, false)
                .and_then(|patterns| Ok(Noise { selector: selector(spec.selector.as_deref())?, patterns }));
            match compiled {
                Ok(compiled) => noise.push(compiled),
                Err(mistake) => errors.push(origin.error(None, mistake)),
            }
        }
    }
    merged.retain(|(_, rule)| !disabled.contains(&rule.id));
    let ids: BTreeSet<String> = merged.iter().map(|(_, rule)| rule.id.clone()).collect();
    let mut rules = Vec::with_capacity(merged.len());
    let mut unproven = Vec::new();
    for (origin, spec) in merged.into_iter().take(MAX_RULES) {
        let id = spec.id.clone();
        match rule(spec, &ids, &origin) {
            Ok(rule) => {
                if !origin.is_proven {
                    unproven.push((rules.len(), origin));
                }
                rules.push(rule);
            }
            Err(mistake) => errors.push(origin.error(Some(id), mistake)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let set = assemble(rules, noise).map_err(|mistake| vec![Origin::default().error(None, mistake)])?;
    for (number, origin) in unproven {
        errors.extend(disproofs(&set, number, &origin));
    }
    if errors.is_empty() { Ok(set) } else { Err(errors) }
}

/// The examples of a rule that it does not keep to.
fn disproofs(set: &RuleSet, number: usize, origin: &Origin) -> Vec<RuleError> {
    let Some(rule) = set.rules.get(number) else { return Vec::new() };
    let program = rule.programs.example();
    let sees = |line: &String| {
        let hits = set.scan(&Scope::default(), program, line);
        hits.iter().any(|hit| usize::from(hit.rule) == number)
    };
    let missed = rule.matches.iter().filter(|line| !sees(line)).map(|line| ("misses", line));
    let wrong = rule.ignores.iter().filter(|line| sees(line)).map(|line| ("wrongly sees", line));
    let error = |(what, line): (&str, &String)| {
        let mistake = (format!("it {what} its example '{line}'"), "mend the patterns or the example");
        origin.error(Some(rule.id.clone()), mistake)
    };
    missed.chain(wrong).map(error).collect()
}

/// What is wrong, and what to do.
type Mistake = (String, &'static str);

/// Where a rule comes from.
#[derive(Clone, Default)]
struct Origin {
    file: String,
    is_proven: bool,
}

impl Origin {
    fn error(&self, rule: Option<String>, (problem, mend): Mistake) -> RuleError {
        RuleError { file: self.file.clone(), rule, problem, mend: mend.to_owned() }
    }
}

/// Adds a file's rules; a rule with a known id replaces it in its place.
fn merge(
    merged: &mut Vec<(Origin, RuleSpec)>,
    origin: &Origin,
    rules: Vec<RuleSpec>,
    errors: &mut Vec<RuleError>,
) {
    let mut seen = BTreeSet::new();
    for rule in rules {
        if !seen.insert(rule.id.clone()) {
            let mistake =
                ("the id is used twice in this file".to_owned(), "give one of the rules another id");
            errors.push(origin.error(Some(rule.id), mistake));
            continue;
        }
        match merged.iter_mut().find(|(_, known)| known.id == rule.id) {
            Some(known) => *known = (origin.clone(), rule),
            None => merged.push((origin.clone(), rule)),
        }
    }
}

fn rule(spec: RuleSpec, ids: &BTreeSet<String>, origin: &Origin) -> Result<Rule, Mistake> {
    if spec.patterns.is_empty() && spec.requests.is_empty() {
        return Err(("nothing says which lines it matches".to_owned(), "add 'patterns' or 'requests'"));
    }
    if spec.resolves.is_some() && spec.by.is_none() {
        let problem = "'resolves' needs to know whose trouble is over".to_owned();
        return Err((problem, "add 'by' with the field the resolved findings are kept apart by"));
    }
    let all = patterns(&spec.patterns, spec.ignore_case)?;
    let exclude = patterns(&spec.exclude, spec.ignore_case)?;
    if !origin.is_proven {
        for pattern in all.iter().chain(&exclude) {
            pattern.verify().map_err(|problem| (problem, "mend the expression"))?;
        }
    }
    Ok(Rule {
        key: key(&spec.id),
        thresholds: thresholds(&spec)?,
        after: spec.after.as_ref().map(|after| self::after(after, ids)).transpose()?,
        escalate: spec
            .escalate
            .iter()
            .map(|spec| escalation(spec, origin.is_proven))
            .collect::<Result<_, _>>()?,
        selector: selector(spec.selector.as_deref())?,
        requests: spec
            .requests
            .iter()
            .map(|spec| request(spec, origin.is_proven))
            .collect::<Result<_, _>>()?,
        patterns: all,
        exclude,
        story: spec.story.unwrap_or_else(|| spec.id.clone()),
        id: spec.id,
        title: spec.title,
        category: spec.category,
        severity: spec.severity,
        urgent: spec.urgent,
        by: spec.by,
        fold: spec.fold,
        resolves: spec.resolves,
        symptom_of: spec.symptom_of,
        service: spec.service,
        summary: spec.summary,
        recommendation: spec.recommendation,
        programs: Programs::parse(&spec.programs),
        matches: spec.matches,
        ignores: spec.ignores,
    })
}

/// The key of a rule's id, the same in every process and version.
fn key(id: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_bytes())
}

fn selector(text: Option<&str>) -> Result<Selector, Mistake> {
    const MEND: &str = "write it as Loki does: {job=\"ssh\", env!~\"dev|test\"}";
    text.map_or(Ok(Selector::default()), str::parse)
        .map_err(|problem: SelectorError| (problem.to_string(), MEND))
}

fn patterns(specs: &[PatternSpec], ignore_case: bool) -> Result<Vec<Pattern>, Mistake> {
    let compiled = specs.iter().map(|spec| match spec {
        PatternSpec::Text(text) => Pattern::parse(text, ignore_case),
        PatternSpec::Regex(spec) => Pattern::from_regex(spec.text.clone(), spec.regex.clone(), ignore_case),
    });
    compiled.collect::<Result<_, _>>().map_err(|problem| (problem, "mend the pattern"))
}

/// The pack's expressions are proven by its tests; an operator's are compiled once to tell mistakes.
fn expression(text: &str, is_proven: bool) -> Result<Expression, Mistake> {
    let expression = Expression::new(text);
    if !is_proven {
        expression.verify().map_err(|problem| (problem, "mend the expression"))?;
    }
    Ok(expression)
}

fn duration(text: &str) -> Result<i64, Mistake> {
    seconds(text).map_err(|problem| (problem, "write a number and s, m, h or d, at most 7d"))
}

fn thresholds(spec: &RuleSpec) -> Result<Vec<Threshold>, Mistake> {
    let once = Threshold {
        count: 1,
        within_secs: 1,
        by: spec.by,
        distinct: None,
        severity: spec.severity,
        title: None,
    };
    if spec.thresholds.is_empty() {
        return Ok(vec![once]);
    }
    let read = |threshold: &ThresholdSpec| {
        if threshold.count == 0 {
            return Err(("a threshold of 0 is always reached".to_owned(), "give a count of 1 or more"));
        }
        Ok(Threshold {
            count: threshold.count,
            within_secs: duration(&threshold.within)?,
            by: threshold.by,
            distinct: threshold.distinct,
            severity: threshold.severity.unwrap_or(spec.severity),
            title: threshold.title.clone(),
        })
    };
    spec.thresholds.iter().map(read).collect()
}

fn after(spec: &AfterSpec, ids: &BTreeSet<String>) -> Result<After, Mistake> {
    if !ids.contains(&spec.rule) {
        return Err((
            format!("'after' names the unknown rule '{}'", spec.rule),
            "name the id of a rule in force",
        ));
    }
    Ok(After {
        rule: key(&spec.rule),
        count: spec.count,
        within_secs: duration(&spec.within)?,
        same: spec.same,
    })
}

fn escalation(spec: &EscalateSpec, is_proven: bool) -> Result<Escalation, Mistake> {
    let field: Option<(Field, Expression)> = match (&spec.field, &spec.fits) {
        (Some(field), Some(fits)) => Some((*field, expression(fits, is_proven)?)),
        (None, None) if spec.count.is_some() => None,
        _ => {
            return Err((
                "an escalation needs 'field' and 'fits', or 'count'".to_owned(),
                "give both or a count",
            ));
        }
    };
    Ok(Escalation { field, count: spec.count, severity: spec.severity })
}

fn request(spec: &RequestSpec, is_proven: bool) -> Result<RequestPattern, Mistake> {
    let status = |text: &String| {
        let class = text.strip_suffix("xx").and_then(|class| class.parse().ok()).map(|class| (class, None));
        class
            .or_else(|| text.parse().ok().map(|code: u16| (code / 100, Some(code))))
            .ok_or_else(|| (format!("'{text}' is no status"), "write a code (404) or a class (5xx)"))
    };
    if spec.regex.is_some() && spec.text.is_empty() {
        return Err(("an expression over requests needs 'text'".to_owned(), "name the words it begins with"));
    }
    Ok(RequestPattern {
        parts: spec.parts.clone(),
        text: spec.text.clone(),
        regex: spec.regex.as_deref().map(|text| expression(text, is_proven)).transpose()?,
        methods: spec.methods.clone(),
        status: spec.status.iter().map(status).collect::<Result<_, _>>()?,
    })
}

fn assemble(rules: Vec<Rule>, noise: Vec<Noise>) -> Result<RuleSet, Mistake> {
    let (mut messages, mut requests, mut any_request) =
        (Collector::default(), Collector::default(), Vec::new());
    let small = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    for (at, rule) in rules.iter().enumerate() {
        for (number, pattern) in rule.patterns.iter().enumerate() {
            messages.add(pattern.keywords(), Slot { rule: small(at), pattern: small(number) });
        }
        for (number, pattern) in rule.requests.iter().enumerate() {
            let slot = Slot { rule: small(at), pattern: small(number) };
            if pattern.text.is_empty() { any_request.push(slot) } else { requests.add(&pattern.text, slot) }
        }
    }
    let build = |words: Collector| {
        words.build().map_err(|problem| {
            (format!("the keywords make no search: {problem}"), "use fewer or shorter keywords")
        })
    };
    Ok(RuleSet { messages: build(messages)?, requests: build(requests)?, any_request, rules, noise })
}
