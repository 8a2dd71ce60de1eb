use super::{pattern::Pattern, *};

fn pack() -> RuleSet {
    load(&Settings::default())
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(|e| format!("{e}\n")).collect::<String>()))
}

#[test]
fn every_expression_of_the_pack_compiles() {
    for rule in pack().rules() {
        for pattern in rule.patterns.iter().chain(&rule.exclude) {
            assert_eq!(pattern.verify(), Ok(()), "{}", rule.id);
        }
        let escalations = rule.escalate.iter().filter_map(|escalation| escalation.field.as_ref());
        let requests = rule.requests.iter().filter_map(|request| request.regex.as_ref());
        for expression in escalations.map(|(_, expression)| expression).chain(requests) {
            assert!(expression.verify().is_ok(), "{}", rule.id);
        }
    }
}

#[test]
fn every_rule_of_the_pack_matches_its_examples_and_only_those() {
    let set = pack();
    for rule in set.rules() {
        assert!(!rule.matches.is_empty() && !rule.ignores.is_empty(), "{} lacks examples", rule.id);
        let sees = |line: &str| {
            let hits = set.scan(&Scope::default(), rule.programs.example(), line);
            hits.iter().any(|hit| set.rule(hit.rule).is_some_and(|found| found.id == rule.id))
        };
        for line in &rule.matches {
            assert!(sees(line), "{} misses: {line}", rule.id);
        }
        for line in &rule.ignores {
            assert!(!sees(line), "{} wrongly sees: {line}", rule.id);
        }
    }
}

#[test]
fn a_user_name_that_looks_like_an_address_does_not_hide_the_source() {
    let set = pack();
    let hits = set.scan(
        &Scope::default(),
        Some("sshd"),
        "Invalid user x from 198.51.100.1 from 192.0.2.10 port 40022",
    );
    assert_eq!(hits[0].fields.get(Field::Ip), Some("192.0.2.10"));
}

#[test]
fn an_operator_file_replaces_and_disables_rules_and_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.yaml");
    std::fs::write(
        &good,
        "rules:\n- {id: syn-flood, title: mine, category: dos, severity: low, patterns: ['flooding here'], summary: s, recommendation: r}\ndisable: [hardware]\nnoise:\n- {selector: '{job=\"x\"}', patterns: ['flooding here now']}\n",
    )
    .unwrap();
    let set = load(&Settings { files: vec![good], ..Settings::default() }).unwrap();
    assert!(set.rules().iter().any(|rule| rule.id == "syn-flood" && rule.title == "mine"));
    assert!(!set.rules().iter().any(|rule| rule.id == "hardware"));
    let noisy = set.scope(&crate::model::Labels::from_pairs([("job", "x")]).unwrap());
    assert_eq!(set.scan(&noisy, None, "flooding here").len(), 1);
    assert!(set.scan(&noisy, None, "flooding here now").is_empty());

    let bad = folder.path().join("bad.yaml");
    std::fs::write(
        &bad,
        "rules:\n- {id: a, title: t, category: dos, severity: low, patterns: ['x {nothing} here'], summary: s, recommendation: r}\n- {id: b, title: t, category: dos, severity: low, summary: s, recommendation: r}\n",
    )
    .unwrap();
    let errors = load(&Settings { files: vec![bad], ..Settings::default() }).unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].to_string().contains("rule 'a': '{nothing}' is no field"), "{}", errors[0]);
}

#[test]
fn examples_of_an_operators_rule_are_run_and_reported_when_they_fail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.yaml");
    std::fs::write(
        &path,
        "rules:\n- {id: mine, title: t, category: dos, severity: low, patterns: ['pump {n} stopped'], matches: ['pump 7 stopped', 'pump x stopped'], ignores: ['pump 8 stopped'], summary: s, recommendation: r}\n",
    )
    .unwrap();
    let errors = load(&Settings { files: vec![path], ..Settings::default() }).unwrap_err();
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("rule 'mine': it misses its example 'pump x stopped'"), "{}", said[0]);
    assert!(said[1].contains("it wrongly sees its example 'pump 8 stopped'"), "{}", said[1]);
}

/// Shorter ones would send every line through the automaton as well.
#[test]
fn the_packs_keywords_over_messages_have_five_bytes_or_more() {
    let set = pack();
    for rule in set.rules() {
        for keyword in rule.patterns.iter().flat_map(Pattern::keywords) {
            assert!(keyword.len() >= 5, "{}: '{keyword}'", rule.id);
        }
    }
}
