use std::{path::Path, time::Duration};

use super::*;

fn from(yaml: &str, environment: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sigyn.yaml");
    std::fs::write(&file, yaml).unwrap();
    let environment = Environment::of_pairs(environment.iter().copied());
    let mistakes = |Mistakes(all): Mistakes| {
        let prefix = format!("{}/", folder.path().display());
        Mistakes(all.into_iter().map(|m| Mistake { origin: m.origin.replace(&prefix, ""), ..m }).collect())
    };
    load(&Sources { file: Some(file), environment, flags: Vec::new() }).map_err(mistakes)
}

#[test]
fn nothing_written_is_a_complete_configuration() {
    let settings = load(&Sources::default()).unwrap();
    assert_eq!(settings.listen.addr.to_string(), "127.0.0.1:3100");
    assert!(settings.llm.is_none() && settings.forward.is_none() && !settings.auth.is_on());
}

#[test]
fn every_mistake_is_listed_at_once_with_its_line_and_mend() {
    let yaml = "listen:\n  adress: 127.0.0.1:1\n  idle_timeout: soon\nstore:\n  readers: 0\n  max_bytes: [1]\n\
                llm:\n  provider: skynet\nauth:\n  tokens:\n    - {name: a, secret: x, roles: [root]}\n";
    let text = from(yaml, &[("SIGYN_ANALYZE_WINDOW", "x")]).unwrap_err().to_string();
    insta::assert_snapshot!(text, @r"
    sigyn.yaml:2: listen.adress: unknown key; did you mean 'address'?
    sigyn.yaml:3: listen.idle_timeout: not a duration: 'soon'; write a number with a unit: 500ms, 60s, 10m, 1h30m, 7d
    sigyn.yaml:6: store.max_bytes: is a list; write text
    environment SIGYN_ANALYZE_WINDOW: analyze.window: not a duration: 'x'; write a number with a unit: 500ms, 60s, 10m, 1h30m, 7d
    sigyn.yaml:11: auth.tokens[0].roles: unknown role 'root'; write some of: push, read, admin
    sigyn.yaml:8: llm.provider: unknown provider 'skynet'; write openai (or compatible), anthropic, ollama or none
    sigyn.yaml:5: store.readers: must not be 0; leave the key out for the default
    ");
}

#[test]
fn broken_yaml_names_its_line() {
    let mistakes = from("listen:\n  address: 'x\n", &[]).unwrap_err();
    assert_eq!(mistakes.0.len(), 1);
    assert!(mistakes.0[0].problem.starts_with("not valid YAML"), "{mistakes}");
    assert!(from("a: &x 1\nb: *x\n", &[]).unwrap_err().to_string().contains("aliases are not supported"));
    assert!(from("log:\nlog:\n", &[]).unwrap_err().to_string().contains("written twice"));
}

#[test]
fn flags_come_before_environment_and_environment_before_file() {
    let yaml = "analyze: {window: 10s, dedup: 2h}\nlisten: {max_connections: 5}";
    let settings =
        from(yaml, &[("SIGYN_ANALYZE_WINDOW", "20s"), ("SIGYN_ANALYZE_GROUP_BY", "[a, b]")]).unwrap();
    assert_eq!(settings.analyze.window, Duration::from_secs(20));
    assert_eq!(settings.analyze.dedup, Duration::from_secs(7_200));
    assert_eq!(settings.analyze.group_by, ["a", "b"]);
    let environment = Environment::of_pairs([("SIGYN_LISTEN_ADDRESS", "127.0.0.1:1")]);
    let flags = vec![("--listen", "listen.address", "127.0.0.1:2".to_owned())];
    let settings = load(&Sources { file: None, environment, flags }).unwrap();
    assert_eq!(settings.listen.addr.port(), 2);
}

#[test]
fn an_unknown_variable_is_a_warning_and_no_mistake() {
    let settings = from("", &[("SIGYN_SERVICE_HOST", "10.0.0.1"), ("SIGYN_TOKEN", "t")]).unwrap();
    assert_eq!(settings.warnings, ["environment SIGYN_SERVICE_HOST: no such key; it is not read"]);
}

#[test]
fn a_dotenv_file_completes_and_never_overrides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::fs::write(&path, "OPENAI_API_KEY=from-file\nLLM_MODEL=\"from file\"\n").unwrap();
    let mut environment = Environment::of_pairs([("OPENAI_API_KEY", "real")]);
    environment.complete_from(&path);
    environment.complete_from(Path::new("/nowhere/.env"));
    assert_eq!(environment.get("OPENAI_API_KEY"), Some("real"));
    assert_eq!(environment.get("LLM_MODEL"), Some("from file"));
}

#[test]
fn the_known_variables_choose_the_provider() {
    let model = |environment: &[(&str, &str)]| {
        from("", environment).unwrap().llm.map(|llm| format!("{} {}", llm.provider.as_str(), llm.model))
    };
    assert_eq!(model(&[]), None);
    assert_eq!(model(&[("OPENAI_API_KEY", "k")]).unwrap(), "openai gpt-4o-mini");
    assert_eq!(
        model(&[("OPENAI_API_KEY", "k"), ("ANTHROPIC_API_KEY", "k")]).unwrap(),
        "anthropic claude-haiku-4-5"
    );
    assert_eq!(model(&[("LLM_BASE_URL", "http://h/v1"), ("LLM_MODEL", "m")]).unwrap(), "openai m");
    assert_eq!(model(&[("OLLAMA_MODEL", "qwen")]).unwrap(), "ollama qwen");
    assert!(from("", &[("LLM_BASE_URL", "http://h/v1")]).unwrap_err().to_string().contains("llm.model"));
    assert!(from("llm: {provider: none}", &[("OPENAI_API_KEY", "k")]).unwrap().llm.is_none());
}

#[test]
fn loki_url_gets_the_push_path_and_never_means_ourselves() {
    let url = |text| from("", &[("LOKI_URL", text)]).map(|s| s.forward.unwrap().url);
    assert_eq!(url("http://loki:3100").unwrap(), "http://loki:3100/loki/api/v1/push");
    assert_eq!(url("http://loki:3100/x/push").unwrap(), "http://loki:3100/x/push");
    assert!(url("http://localhost:3100/").unwrap_err().to_string().contains("own address"));
}

#[test]
fn a_bad_selector_is_told_before_the_start() {
    let forward =
        |selector: &str| from(&format!("forward: {{url: 'http://h', selector: '{selector}'}}"), &[]);
    let bad = forward("{job=").unwrap_err().to_string();
    assert!(bad.contains("sigyn.yaml:1: forward.selector:") && bad.contains("write {job="), "{bad}");
    let labels = crate::model::Labels::from_pairs([("job", "db")]).unwrap();
    assert!(!forward(r#"{job="web"}"#).unwrap().forward.unwrap().selector.matches(&labels));
    assert!(forward("").unwrap().forward.unwrap().selector.matches(&labels));
}

#[test]
fn mining_is_bounded_by_what_was_written() {
    let settings = from("analyze: {mine: {max_templates: 50, max_bytes: 1MiB}}", &[]).unwrap();
    assert_eq!((settings.analyze.mine.max_templates, settings.analyze.mine.max_bytes), (50, 1 << 20));
    let bad = from("analyze: {mine: {max_words: 129}}", &[]).unwrap_err().to_string();
    assert!(bad.contains("analyze.mine.max_words: must be from 1 to 128"), "{bad}");
}

#[test]
fn an_open_door_needs_a_lock() {
    let open = "listen: {address: '0.0.0.0:3100'}\n";
    assert!(from(open, &[]).unwrap_err().to_string().contains("--insecure-no-auth"));
    assert!(from(open, &[("SIGYN_AUTH_INSECURE_NO_AUTH", "true")]).is_ok());
    let token = "auth: {tokens: [{name: a, secret: s, roles: [push]}]}";
    assert!(from(&format!("{open}{token}"), &[]).unwrap().auth.is_on());
}

#[test]
fn secrets_come_from_files_and_never_show() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "hunter2\n").unwrap();
    let yaml = format!("llm: {{provider: openai, api_key_file: {}}}", path.display());
    let settings = from(&yaml, &[]).unwrap();
    assert_eq!(settings.llm.as_ref().unwrap().api_key.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let both = format!("llm: {{provider: openai, api_key: x, api_key_file: {}}}", path.display());
    assert!(from(&both, &[]).unwrap_err().to_string().contains("keep one of the two"));
}

#[test]
fn the_example_loads_and_shows_every_key() {
    let example = include_str!("../../sigyn.example.yaml");
    let settings = from(example, &[]).unwrap();
    let plain = load(&Sources::default()).unwrap();
    assert_eq!(settings.ingest.limits, plain.ingest.limits);
    assert_eq!(format!("{settings:?}").replace("./sigyn-data", "sigyn-data"), format!("{plain:?}"));
    for key in all_keys() {
        let name = key.path.rsplit(['.']).next().unwrap().trim_end_matches("[]");
        let is_shown = example.lines().any(|l| {
            let l = l.trim_start_matches([' ', '#', '-']);
            l.starts_with(&format!("{name}:")) || l.contains(&format!("{name}:"))
        });
        assert!(name == "*" || is_shown, "{} is not in the example", key.path);
    }
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    let variables: Vec<_> = all_keys().iter().filter_map(Key::variable).collect();
    let unique: std::collections::BTreeSet<_> = variables.iter().collect();
    assert_eq!(unique.len(), variables.len());
    assert!(variables.contains(&"SIGYN_LISTEN_TLS_CERT_FILE".to_owned()) && variables.len() > 80);
}
