//! Channels over the wire: the real binary sends test messages to services that hold it to their documents.

mod alertmanager;
mod mail;
mod signed;
mod strict;
mod strict_push;

use std::process::{Command, Output};

use serde_json::json;
use sigyn::{
    model::{Severity, TenantId, Timestamp},
    notify::{
        Channel, DedupKey, Item, Kind, Language, Link, Message, Outcome, Receipt, Service, Settings, discord,
        telegram,
    },
    redact::{Redacted, Redactor},
    runtime::Clock,
};

use crate::harness::{Answer, FakeService, fake::Recorded};

/// What a log could bring: mentions, tags, Markdown, code ends, line ends, direction marks, a shell.
const HOSTILE: &str = "@everyone @admin <!channel> <@U024BE7LH> <b>x</b> <script> **b** _i_ ![p](http://e.example/p) \
     ``` ` ; rm -rf / $(reboot) \u{202e}gpj.exe \r\nBcc: evil@e.example\x1b[2J <at user_id=\"all\"></at> 严重 🔥 &amp; \"q\" \\";

/// Runs `sigyn test-alert` with a configuration and nothing else.
fn test_alert(config: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sigyn.yaml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigyn"));
    command.args(["test-alert", "--config", "sigyn.yaml"]).args(arguments);
    command.current_dir(folder.path()).env_clear().output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every service at once, told apart by path and header.
fn any_service(request: &Recorded) -> Answer {
    match request.path.as_str() {
        path if path.starts_with("/bot") => strict::telegram(request),
        path if path.starts_with("/services/") => strict::slack(request),
        path if path.starts_with("/api/webhooks/") => strict::discord(request),
        path if path.starts_with("/robot/") => strict::dingtalk(request),
        path if path.starts_with("/cgi-bin/") => strict::wecom(request),
        path if path.starts_with("/open-apis/") => strict::feishu(request),
        path if path.starts_with("/workflows/") => strict::teams(request),
        "/message" => strict_push::gotify(request),
        "/1/messages.json" => strict_push::pushover(request),
        "/v2/enqueue" => strict_push::pagerduty(request),
        path if path.starts_with("/api/v2/") => strict_push::alertmanager(request),
        path if path.starts_with("/notify/") => strict_push::apprise(request),
        "/" => strict_push::ntfy(request),
        _ => Answer::status(404),
    }
}

/// A channel of every service over HTTP, in the order in which they are told of.
fn config(service: &FakeService) -> String {
    let lines = [
        format!("type: telegram, token: '{}', chat_id: -1001, api_url: 'URL'", strict::TELEGRAM_TOKEN),
        "type: slack, url: 'URL/services/T000/B000/slackhook0123456789'".to_owned(),
        "type: discord, url: 'URL/api/webhooks/123/discordtoken0123456789'".to_owned(),
        format!(
            "type: dingtalk, url: 'URL/robot/send?access_token={}', secret: {}, keyword: {}",
            strict::DING_TOKEN,
            strict::DING_SECRET,
            strict::DING_KEYWORD
        ),
        format!("type: wecom, url: 'URL/cgi-bin/webhook/send?key={}', language: zh", strict::WECOM_KEY),
        format!(
            "type: feishu, url: 'URL/open-apis/bot/v2/hook/feishutoken0123456789', secret: {}",
            strict::FEISHU_SECRET
        ),
        "type: teams, url: 'URL/workflows/w?sig=teamssignature0123456789'".to_owned(),
        format!(
            "type: ntfy, url: 'URL', topic: {}, token: {}",
            strict_push::NTFY_TOPIC,
            strict_push::NTFY_TOKEN
        ),
        format!("type: gotify, url: 'URL', token: {}", strict_push::GOTIFY_TOKEN),
        format!(
            "type: pushover, api_url: 'URL/1/messages.json', token: {}, user_key: {}",
            strict_push::PUSHOVER_TOKEN,
            strict_push::PUSHOVER_USER
        ),
        format!("type: pagerduty, api_url: 'URL/v2/enqueue', routing_key: {}", strict_push::ROUTING_KEY),
        "type: alertmanager, url: 'URL'".to_owned(),
        "type: apprise, url: 'URL/notify/apprisekey0123456789'".to_owned(),
    ];
    let list: String = lines.iter().map(|line| format!("  - {{{line}}}\n")).collect();
    format!("channels:\n{list}").replace("URL", &service.url(""))
}

/// Everything in `config` that nobody may read.
const SECRETS: [&str; 17] = [
    strict::TELEGRAM_TOKEN,
    "slackhook0123456789",
    "discordtoken0123456789",
    strict::DING_TOKEN,
    strict::DING_SECRET,
    strict::WECOM_KEY,
    "feishutoken0123456789",
    strict::FEISHU_SECRET,
    "teamssignature0123456789",
    strict_push::NTFY_TOPIC,
    strict_push::NTFY_TOKEN,
    strict_push::GOTIFY_TOKEN,
    strict_push::PUSHOVER_TOKEN,
    strict_push::PUSHOVER_USER,
    strict_push::ROUTING_KEY,
    "apprisekey0123456789",
    "AKIAIOSFODNN7EXAMPLE",
];

#[track_caller]
fn keeps_secrets(output: &Output) {
    let said = stdout(output) + &stderr(output);
    for secret in SECRETS {
        assert!(!said.contains(secret), "{secret} shows in: {said}");
    }
}

#[test]
fn every_service_takes_a_message_with_a_hostile_line() {
    let service = FakeService::start(any_service);
    let line = format!("key=AKIAIOSFODNN7EXAMPLE {} {HOSTILE}", HOSTILE.repeat(300));
    for line in [line.as_str(), HOSTILE, "🔥", "a harmless line"] {
        let output = test_alert(&config(&service), &["--line", line]);
        let said = stdout(&output);
        assert!(output.status.success(), "{said}{}", stderr(&output));
        assert_eq!(said.lines().filter(|line| line.contains("  delivered")).count(), 13, "{said}");
        keeps_secrets(&output);
    }
    let requests = service.requests();
    // Nothing had to be sent twice, and the key of the log left the machine nowhere.
    assert_eq!(requests.len(), 4 * 13);
    assert!(requests.iter().all(|request| !request.text().contains("AKIAIOSFODNN7EXAMPLE")));
    assert!(requests.iter().any(|request| request.text().contains("[secret]")));
}

#[test]
fn one_channel_can_be_tried_alone_and_an_unknown_one_is_named() {
    let service = FakeService::start(any_service);
    let output = test_alert(&config(&service), &["--channel", "slack"]);
    assert!(output.status.success() && stdout(&output) == "slack  delivered: ok\n", "{}", stdout(&output));
    assert_eq!(service.requests().len(), 1);
    let unknown = test_alert(&config(&service), &["--channel", "pager"]);
    assert_eq!(
        (unknown.status.code(), stderr(&unknown).trim()),
        (Some(1), "sigyn: there is no channel 'pager'")
    );
    let none = test_alert("", &[]);
    assert_eq!(stderr(&none).trim(), "sigyn: no channel is configured: add one under 'channels'");
}

#[test]
fn a_success_status_with_an_error_body_is_a_failure() {
    let service = FakeService::start(any_service);
    let wrong = config(&service)
        .replace(strict::DING_SECRET, "SECwrong")
        .replace(strict::WECOM_KEY, "wrongkey0123456789")
        .replace(strict::FEISHU_SECRET, "wrongsecret");
    for (channel, why) in
        [("dingtalk", "sign not match"), ("wecom", "invalid webhook url"), ("feishu", "sign match fail")]
    {
        let output = test_alert(&wrong, &["--channel", channel]);
        let said = stdout(&output);
        assert!(
            !output.status.success()
                && said.contains("the channel does not work: status 200")
                && said.contains(why),
            "{said}"
        );
    }
}

#[test]
fn a_named_time_is_told_and_a_form_that_is_refused_is_sent_plain() {
    let service = FakeService::start(any_service);
    let config = config(&service);
    service.script([Answer {
        status: 429,
        ..Answer::json(
            &json!({"ok": false, "error_code": 429, "description": "Too Many Requests: retry after 35",
                               "parameters": {"retry_after": 35}}),
        )
    }]);
    let said = stdout(&test_alert(&config, &["--channel", "telegram"]));
    assert!(said.starts_with("telegram  not now, in 35s again: status 429: "), "{said}");
    service.script([Answer { body: b"invalid_blocks".to_vec(), ..Answer::status(400) }]);
    let said = stdout(&test_alert(&config, &["--channel", "slack"]));
    assert_eq!(said, "slack  delivered: ok\n");
    let sent = service.requests();
    let [.., rich, plain] = sent.as_slice() else { panic!("not two") };
    assert!(rich.json().get("blocks").is_some() && plain.json().get("blocks").is_none());
}

#[test]
fn answers_that_repeat_what_they_were_sent_show_no_secret() {
    let echo = |request: &Recorded| {
        let headers: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value} ")).collect();
        Answer {
            body: format!("bad: {} {headers} {}", request.path, request.text()).into_bytes(),
            ..Answer::status(403)
        }
    };
    let service = FakeService::start(echo);
    let output = test_alert(&config(&service), &[]);
    assert!(!output.status.success());
    assert!(stdout(&output).contains("***"), "{}", stdout(&output));
    keeps_secrets(&output);
    let mut service = service;
    service.go_away();
    let output = test_alert(&config(&service), &[]);
    assert!(
        stdout(&output).lines().all(|line| line.contains("not now: cannot connect to 127.0.0.1")),
        "{}",
        stdout(&output)
    );
    keeps_secrets(&output);
}

fn redacted(text: &str) -> Redacted {
    Redactor::new(sigyn::redact::Settings { pseudonymise_ips: false }).redact(text)
}

fn message(kind: Kind, title: &str) -> Message {
    Message {
        kind,
        severity: Severity::High,
        title: redacted(title),
        summary: redacted(&HOSTILE.repeat(30)),
        recommendation: redacted(HOSTILE),
        evidence: vec![redacted(&HOSTILE.repeat(200)); 7],
        hosts: vec![redacted(HOSTILE); 30],
        users: vec![redacted(HOSTILE); 30],
        link: Link::parse("https://sigyn.example/findings/7?a=1&b=2"),
        ..Message::test(uuid::Uuid::now_v7(), None, Timestamp::from_secs(1_795_219_200))
    }
}

/// Sends as the program would, and says what came of it.
fn send(channel: &Channel, message: &Message, earlier: Option<&Receipt>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(channel.send(message, earlier))
}

#[track_caller]
fn receipt(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Delivered(receipt) => receipt,
        other => panic!("not delivered: {other:?}"),
    }
}

fn telegram(service: &FakeService) -> Channel {
    let settings = telegram::Settings {
        token: sigyn::net::Secret::new(strict::TELEGRAM_TOKEN),
        chat_id: "-1001".to_owned(),
        thread_id: None,
        api_url: service.url(""),
    };
    Channel::new(Settings::new("t", Service::Telegram(settings)), Clock::system())
}

#[test]
fn a_trouble_is_edited_answered_and_resolved_in_place() {
    let service = FakeService::start(any_service);
    let telegram = telegram(&service);
    let first = receipt(send(&telegram, &message(Kind::First, "disk full"), None));
    assert_eq!(first.handle.as_deref(), Some("42"));
    let edited = receipt(send(&telegram, &message(Kind::More, "disk full"), Some(&first)));
    let over = receipt(send(&telegram, &message(Kind::Resolved, "disk full"), Some(&edited)));
    assert_eq!((edited.handle, over.handle), (first.handle.clone(), first.handle));
    let url = sigyn::net::Secret::new(&service.url("/api/webhooks/123/discordtoken0123456789"));
    let discord = Service::Discord(discord::Settings { url, thread_id: None });
    let discord = Channel::new(Settings::new("d", discord), Clock::system());
    let first = receipt(send(&discord, &message(Kind::First, "disk full"), None));
    receipt(send(&discord, &message(Kind::More, "disk full"), Some(&first)));
    let asked: Vec<String> = service.requests().iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    let [.., edit] = asked.as_slice() else { panic!("nothing came") };
    assert!(edit.starts_with("PATCH ") && edit.ends_with("/messages/1203"), "{asked:?}");
    assert!(asked[1].ends_with("/editMessageText") && asked[2].ends_with("/sendMessage"), "{asked:?}");
    assert_eq!(service.requests()[2].json()["reply_parameters"]["message_id"], 42);
}

#[test]
fn what_can_no_longer_be_edited_is_sent_anew() {
    let service = FakeService::start(any_service);
    let gone =
        json!({"ok": false, "error_code": 400, "description": "Bad Request: message to edit not found"});
    service.script([Answer { status: 400, ..Answer::json(&gone) }]);
    let earlier = Receipt { answer: String::new(), handle: Some("7".to_owned()) };
    let receipt = receipt(send(&telegram(&service), &message(Kind::More, "disk full"), Some(&earlier)));
    assert_eq!(receipt.handle.as_deref(), Some("42"));
    assert!(service.requests()[1].path.ends_with("/sendMessage"));
}

#[test]
fn every_kind_of_message_is_taken_by_every_service() {
    let service = FakeService::start(any_service);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sigyn.yaml");
    std::fs::write(&file, config(&service)).unwrap();
    let sources = sigyn::config::Sources { file: Some(file), ..sigyn::config::Sources::default() };
    let settings = sigyn::config::load(&sources).unwrap();
    let channels: Vec<Channel> =
        settings.channels.into_iter().map(|channel| Channel::new(channel, Clock::system())).collect();
    let item = |n: u64| Item {
        severity: Severity::Medium,
        title: redacted(&format!("{n} {HOSTILE}")),
        count: n,
        key: DedupKey::of(&TenantId::single(), &n.to_string()),
    };
    let now = Timestamp::from_secs(1_795_219_200);
    let digest =
        Message::digest(uuid::Uuid::now_v7(), (0..100).map(item).collect(), TenantId::single(), now, now);
    let kinds = [Kind::First, Kind::Worse, Kind::More, Kind::Repeat, Kind::Resolved, Kind::Test];
    let mut messages: Vec<Message> = kinds.map(|kind| message(kind, HOSTILE)).to_vec();
    messages.push(digest);
    messages.push(Message { language: Language::Zh, ..message(Kind::First, &"严重".repeat(180_000)) });
    for channel in &channels {
        for message in &messages {
            let outcome = send(channel, message, None);
            assert!(
                matches!(outcome, Outcome::Delivered(_)),
                "{} {:?}: {outcome:?}",
                channel.kind(),
                message.kind
            );
        }
    }
    assert_eq!(service.requests().len(), 13 * 8, "something had to be sent twice");
}
