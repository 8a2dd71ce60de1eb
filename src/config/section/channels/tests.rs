use crate::config::{Environment, Mistakes, Settings, Sources, load};

fn from(yaml: &str, environment: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.yaml");
    std::fs::write(&file, yaml).unwrap();
    load(&Sources {
        file: Some(file),
        environment: Environment::of_pairs(environment.iter().copied()),
        flags: Vec::new(),
    })
}

#[track_caller]
fn check(yaml: &str, expected: &str) {
    let text = from(yaml, &[]).unwrap_err().to_string();
    assert!(text.lines().any(|line| line.ends_with(expected)), "{text}");
}

fn kinds(environment: &[(&str, &str)]) -> Vec<String> {
    let settings = from("", environment).unwrap();
    settings.channels.iter().map(|channel| format!("{} {}", channel.name, channel.service.kind())).collect()
}

#[test]
fn known_variables_make_channels() {
    let mail = ("SMTP_SERVER", "mail.example");
    assert_eq!(kinds(&[]), [""; 0]);
    assert_eq!(
        kinds(&[
            ("TELEGRAM_BOT_TOKEN", "1:a"),
            ("TELEGRAM_CHAT_ID", "-7"),
            mail,
            ("ADMIN_EMAIL", "ops@example.org"),
            ("DISCORD_WEBHOOK_URL", "https://d.example/1"),
            ("SLACK_WEBHOOK_URL", "https://s.example/1"),
        ]),
        ["telegram telegram", "email email", "discord discord", "slack slack"]
    );
    let half = from("", &[("TELEGRAM_BOT_TOKEN", "1:a"), mail, ("SLACK_WEBHOOK_URL", "x")]).unwrap();
    assert!(half.channels.is_empty());
    assert_eq!(
        half.warnings,
        [
            "environment TELEGRAM_BOT_TOKEN: is set without TELEGRAM_CHAT_ID; there is no Telegram channel",
            "environment SMTP_SERVER: is set without an address in ADMIN_EMAIL; there is no mail channel",
            "environment SLACK_WEBHOOK_URL: is no http(s) URL; it is not used"
        ]
    );
}

#[test]
fn a_written_channel_goes_before_the_environments() {
    let yaml = "channels: [{type: slack, url: 'https://mine.example/1'}]";
    let settings = from(yaml, &[("SLACK_WEBHOOK_URL", "https://other.example/1")]).unwrap();
    assert_eq!(settings.channels.len(), 1);
}

#[test]
fn mail_takes_its_port_and_protection_from_each_other() {
    let mail = |keys: &str| {
        let yaml = format!("channels: [{{type: email, to: [ops@example.org], {keys}}}]");
        let settings = from(&yaml, &[]).unwrap();
        let crate::notify::Service::Email(mail) = &settings.channels[0].service else { panic!("no mail") };
        format!("{}:{} {:?} {}", mail.server, mail.port, mail.protection, mail.from)
    };
    assert_eq!(mail("server: 'm:465'"), "m:465 Implicit ops@example.org");
    assert_eq!(mail("server: m"), "m:587 StartTls ops@example.org");
    assert_eq!(mail("server: m, tls: implicit"), "m:465 Implicit ops@example.org");
    assert_eq!(mail("server: m, tls: none"), "m:25 None ops@example.org");
    assert_eq!(mail("server: m, user: a@b.example, password: p"), "m:587 StartTls a@b.example");
    assert_eq!(mail("server: m, from: 'S <s@b.example>'"), "m:587 StartTls S <s@b.example>");
}

#[test]
fn every_mistake_names_its_key_and_the_mend() {
    check(
        "channels: [{name: a}]",
        "channels[0].type: is missing; write one of: telegram, email, slack, discord, dingtalk, wecom, feishu, teams, ntfy, gotify, pushover, pagerduty, alertmanager, webhook, apprise",
    );
    check("channels: [{type: slack}]", "channels[0].url: is missing; set url or url_file");
    check(
        "channels: [{type: slack, url: hunter2}]",
        "channels[0].url: not an http(s) URL; write it as the service shows it: https://…",
    );
    check(
        "channels: [{type: slack, url: 'http://h', chat_id: 7}]",
        "channels[0].chat_id: is no key of slack; it takes: url, url_file, name, type, language, template, timeout, burst, per_minute, ca_file, proxy",
    );
    check(
        "channels: [{type: telegram, chat_id: 7}]",
        "channels[0].token: is missing; set token or token_file",
    );
    check(
        "channels: [{type: telegram, token: x}]",
        "channels[0].chat_id: is missing; write the chat's number or @channel",
    );
    check(
        "channels: [{type: slack, url: 'http://h', template: '{titel}'}]",
        "channels[0].template: unknown placeholder {titel}; known are: title, headline, summary, recommendation, severity, category, kind, hosts, users, source_ips, service, count, first_seen, last_seen, evidence, link, tenant",
    );
    check(
        "channels: [{type: slack, url: 'http://h'}, {type: slack, url: 'http://h'}]",
        "channels[1].name: another channel is called 'slack' too; give every channel a name of its own",
    );
    check(
        "channels: [{type: webhook, url: 'http://h', secret: short}]",
        "channels[0].secret: not whsec_ and 24 to 64 bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)",
    );
    check(
        "channels: [{type: webhook, url: 'http://h', body: '{\"a\": }'}]",
        "channels[0].body: is no JSON: expected value at line 1 column 7; mend it, or set content_type to what it is",
    );
    check(
        "channels: [{type: email, server: m, to: [nobody]}]",
        "channels[0].to[0]: no mail address; write ops@example.org",
    );
    check(
        "channels: [{type: email, server: m, tls: none, user: u, password: p, to: [a@b.example]}]",
        "channels[0].tls: the password would go out unprotected; write starttls or implicit",
    );
    check(
        "channels: [{type: slack, url: 'http://h', per_minute: 0}]",
        "channels[0].per_minute: must not be 0; leave the key out for the default",
    );
    check(
        "channels: [{type: email, server: m, to: [a@b.example], proxy: 'http://p'}]",
        "channels[0].proxy: mail goes through no proxy; leave it out, or name a relay as server",
    );
    check(
        "channels: [{type: slack, url: 'http://h', ca_file: /nowhere}]",
        "channels[0].ca_file: cannot read /nowhere: No such file or directory (os error 2); check path and rights",
    );
    check(
        "channels: [{type: slack, url: 'http://h', language: tlh}]",
        "channels[0].language: unknown language 'tlh'; write en or zh",
    );
}

#[test]
fn secrets_come_from_files_and_never_show() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hook");
    std::fs::write(&path, "https://hooks.example/hunter2\n").unwrap();
    let yaml = format!(
        "channels: [{{type: slack, url_file: {}}}, {{type: gotify, url: 'http://g', token: hunter2}}, \
         {{type: webhook, url: 'https://h/hunter2', headers: {{x-key: hunter2}}}}]",
        path.display()
    );
    let settings = from(&yaml, &[]).unwrap();
    assert_eq!(settings.channels.len(), 3);
    assert!(!format!("{settings:?}").contains("hunter2"));
    let crate::notify::Service::Slack(slack) = &settings.channels[0].service else { panic!("no slack") };
    assert_eq!(slack.url.expose(), "https://hooks.example/hunter2");
}

#[test]
fn every_type_has_its_keys() {
    let known: Vec<_> = super::service::KEYS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(known, crate::notify::Service::KINDS);
}
