//! The keys of each type of channel, and what they amount to.

use std::{path::PathBuf, time::Duration};

use super::{Raw, template};
use crate::{
    config::{
        section::Context,
        value::{Hidden, Span},
    },
    net::{HeaderName, HeaderValue, Secret, host_of},
    notify::{
        Service, alertmanager, apprise, dingtalk, discord,
        email::{self, Protection},
        feishu, gotify, ntfy, pagerduty, pushover, slack, teams, telegram,
        webhook::{self, SigningKey},
        wecom,
    },
};

/// The keys of each type, beside those of all.
pub(super) const KEYS: [(&str, &[&str]); 15] = [
    ("telegram", &["token", "token_file", "chat_id", "thread_id", "api_url"]),
    ("email", &["server", "tls", "user", "password", "password_file", "from", "to"]),
    ("slack", &["url", "url_file"]),
    ("discord", &["url", "url_file", "thread_id"]),
    ("dingtalk", &["url", "url_file", "secret", "secret_file", "keyword"]),
    ("wecom", &["url", "url_file"]),
    ("feishu", &["url", "url_file", "secret", "secret_file"]),
    ("teams", &["url", "url_file"]),
    ("ntfy", &["url", "topic", "topic_file", "token", "token_file"]),
    ("gotify", &["url", "token", "token_file"]),
    ("pushover", &["token", "token_file", "user_key", "user_key_file", "emergency", "api_url"]),
    ("pagerduty", &["routing_key", "routing_key_file", "api_url"]),
    ("alertmanager", &["url", "user", "password", "password_file", "token", "token_file", "hold"]),
    (
        "webhook",
        &[
            "url",
            "url_file",
            "secret",
            "secret_file",
            "previous_secret",
            "previous_secret_file",
            "body",
            "content_type",
            "headers",
        ],
    ),
    ("apprise", &["url", "url_file", "urls", "urls_file", "tag"]),
];

/// How long an Alertmanager's alert fires without being told of again.
const HOLD: Duration = Duration::from_secs(4 * 3_600);

/// The service of a channel, or nothing when something it cannot do without is missing.
pub(super) fn service(kind: &str, raw: Raw, key: &str, context: &mut Context<'_>) -> Option<Service> {
    let mut of = Keys { key, context };
    Some(match kind {
        "telegram" => Service::Telegram(of.telegram(raw)?),
        "email" => Service::Email(of.email(raw)?),
        "slack" => Service::Slack(slack::Settings { url: of.url(raw.url, raw.url_file)? }),
        "discord" => {
            let url = of.url(raw.url, raw.url_file)?;
            Service::Discord(discord::Settings { url, thread_id: raw.thread_id })
        }
        "dingtalk" => {
            let (url, secret) =
                (of.url(raw.url, raw.url_file), of.secret("secret", raw.secret, raw.secret_file));
            Service::DingTalk(dingtalk::Settings { url: url?, secret, keyword: raw.keyword })
        }
        "wecom" => Service::WeCom(wecom::Settings { url: of.url(raw.url, raw.url_file)? }),
        "feishu" => {
            let (url, secret) =
                (of.url(raw.url, raw.url_file), of.secret("secret", raw.secret, raw.secret_file));
            Service::Feishu(feishu::Settings { url: url?, secret })
        }
        "teams" => Service::Teams(teams::Settings { url: of.url(raw.url, raw.url_file)? }),
        "ntfy" => Service::Ntfy(of.ntfy(raw)?),
        "gotify" => {
            let (url, token) = (of.server(raw.url), of.token(raw.token, raw.token_file));
            let token = of.needed("token", token);
            Service::Gotify(gotify::Settings { url: url?, token: token? })
        }
        "pushover" => Service::Pushover(of.pushover(raw)?),
        "pagerduty" => {
            let routing_key = of.secret("routing_key", raw.routing_key, raw.routing_key_file);
            let routing_key = of.needed("routing_key", routing_key);
            let api_url = of.api_url(raw.api_url, pagerduty::API_URL)?;
            Service::PagerDuty(pagerduty::Settings { routing_key: routing_key?, api_url })
        }
        "alertmanager" => Service::Alertmanager(of.alertmanager(raw)?),
        "webhook" => Service::Webhook(of.webhook(raw)?),
        "apprise" => {
            let (url, urls) = (of.url(raw.url, raw.url_file), of.secret("urls", raw.urls, raw.urls_file));
            Service::Apprise(apprise::Settings { url: url?, urls, tag: raw.tag })
        }
        _ => return None,
    })
}

/// Reads the keys of one channel.
struct Keys<'a, 'c> {
    key: &'a str,
    context: &'a mut Context<'c>,
}

impl Keys<'_, '_> {
    fn wrong(&mut self, name: &str, problem: &str, mend: &str) {
        self.context.wrong(&format!("{}.{name}", self.key), problem, mend);
    }

    fn secret(&mut self, name: &str, given: Option<Hidden>, file: Option<PathBuf>) -> Option<Secret> {
        let text = self.context.secret(&format!("{}.{name}", self.key), given, file)?;
        Some(Secret::new(&text)).filter(|secret| !secret.is_empty())
    }

    fn needed(&mut self, name: &str, secret: Option<Secret>) -> Option<Secret> {
        if secret.is_none() {
            self.wrong(name, "is missing", &format!("set {name} or {name}_file"));
        }
        secret
    }

    /// A token that goes into a header.
    fn token(&mut self, given: Option<Hidden>, file: Option<PathBuf>) -> Option<Secret> {
        let token = self.secret("token", given, file)?;
        if HeaderValue::from_str(token.expose()).is_err() {
            self.wrong("token", "holds characters that no token has", "mind line ends and quotes");
        }
        Some(token)
    }

    /// A URL that is a credential: messages never show it.
    fn url(&mut self, given: Option<Hidden>, file: Option<PathBuf>) -> Option<Secret> {
        let url = self.secret("url", given, file);
        let url = self.needed("url", url)?;
        self.checked("url", url.expose()).then_some(url)
    }

    /// The address of a server.
    fn server(&mut self, given: Option<Hidden>) -> Option<String> {
        let url = self.secret("url", given, None);
        if url.is_none() {
            self.wrong("url", "is missing", "write the server's address: https://host");
        }
        let url = url?;
        self.checked("url", url.expose()).then(|| url.expose().to_owned())
    }

    fn api_url(&mut self, given: Option<String>, default: &str) -> Option<String> {
        let url = given.unwrap_or_else(|| default.to_owned());
        self.checked("api_url", &url).then_some(url)
    }

    fn checked(&mut self, name: &str, url: &str) -> bool {
        let is_good = host_of(url).is_some();
        if !is_good {
            self.wrong(name, "not an http(s) URL", "write it as the service shows it: https://…");
        }
        is_good
    }

    fn telegram(&mut self, raw: Raw) -> Option<telegram::Settings> {
        let token = self.secret("token", raw.token, raw.token_file);
        let token = self.needed("token", token);
        if raw.chat_id.is_none() {
            self.wrong("chat_id", "is missing", "write the chat's number or @channel");
        }
        let thread_id = raw.thread_id.map(|text| text.parse::<i64>());
        if matches!(thread_id, Some(Err(_))) {
            self.wrong("thread_id", "not a number", "write the number of the topic");
        }
        let api_url = self.api_url(raw.api_url, telegram::API_URL)?;
        Some(telegram::Settings {
            token: token?,
            chat_id: raw.chat_id?,
            thread_id: thread_id.and_then(Result::ok),
            api_url,
        })
    }

    fn ntfy(&mut self, raw: Raw) -> Option<ntfy::Settings> {
        let topic = self.secret("topic", raw.topic, raw.topic_file);
        let topic = self.needed("topic", topic);
        let token = self.token(raw.token, raw.token_file);
        let url = match raw.url {
            Some(url) => self.server(Some(url))?,
            None => ntfy::SERVER_URL.to_owned(),
        };
        Some(ntfy::Settings { url, topic: topic?, token })
    }

    fn pushover(&mut self, raw: Raw) -> Option<pushover::Settings> {
        let token = self.secret("token", raw.token, raw.token_file);
        let token = self.needed("token", token);
        let user_key = self.secret("user_key", raw.user_key, raw.user_key_file);
        let user_key = self.needed("user_key", user_key);
        let api_url = self.api_url(raw.api_url, pushover::API_URL)?;
        let emergency = raw.emergency.unwrap_or(false);
        Some(pushover::Settings { token: token?, user_key: user_key?, emergency, api_url })
    }

    fn alertmanager(&mut self, raw: Raw) -> Option<alertmanager::Settings> {
        let token = self.token(raw.token, raw.token_file);
        let password = self.secret("password", raw.password, raw.password_file);
        if raw.user.is_some() != password.is_some() {
            self.wrong("user", "user and password belong together", "set both or none");
        }
        let url = self.server(raw.url)?;
        let hold = raw.hold.map_or(HOLD, |Span(hold)| hold);
        Some(alertmanager::Settings { url, basic: raw.user.zip(password), token, hold })
    }

    fn webhook(&mut self, raw: Raw) -> Option<webhook::Settings> {
        let url = self.url(raw.url, raw.url_file);
        let newest = self.secret("secret", raw.secret, raw.secret_file);
        let previous = self.secret("previous_secret", raw.previous_secret, raw.previous_secret_file);
        let keys = [("secret", newest), ("previous_secret", previous)];
        let keys = keys.into_iter().filter_map(|(name, secret)| self.signing_key(name, &secret?)).collect();
        let body = raw.body.and_then(|text| template(&text, &format!("{}.body", self.key), self.context));
        let content_type = raw.content_type.as_deref().unwrap_or("application/json");
        let Ok(content_type) = HeaderValue::from_str(content_type) else {
            self.wrong("content_type", "no valid header", "write application/json or text/plain");
            return None;
        };
        if let Some(body) =
            body.as_ref().filter(|_| content_type.to_str().is_ok_and(|kind| kind.contains("json")))
        {
            // A number stands well in quotes and without.
            let sample = body.fill(|_| "1".to_owned(), |value, out| out.push_str(value));
            if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&sample) {
                self.wrong(
                    "body",
                    &format!("is no JSON: {error}"),
                    "mend it, or set content_type to what it is",
                );
            }
        }
        let mut headers = Vec::new();
        for (name, value) in raw.headers {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&value.0)) {
                (Ok(name), Ok(_)) => headers.push((name, Secret::new(&value.0))),
                _ => self.wrong(
                    "headers",
                    &format!("'{name}' is no valid header"),
                    "mind spaces and line ends",
                ),
            }
        }
        Some(webhook::Settings { url: url?, keys, body, content_type, headers })
    }

    fn signing_key(&mut self, name: &str, secret: &Secret) -> Option<SigningKey> {
        let key = SigningKey::parse(secret.expose());
        if key.is_none() {
            let mend = "make one with: echo whsec_$(openssl rand -base64 32)";
            self.wrong(name, "not whsec_ and 24 to 64 bytes in base64", mend);
        }
        key
    }

    fn email(&mut self, raw: Raw) -> Option<email::Settings> {
        let password = self.secret("password", raw.password, raw.password_file);
        if raw.user.is_some() != password.is_some() {
            self.wrong("user", "user and password belong together", "set both or none");
        }
        let protection = raw.tls.as_deref().map(Protection::parse);
        if matches!(protection, Some(None)) {
            self.wrong("tls", "unknown protection", "write implicit, starttls or none");
        }
        let Some(server) = raw.server else {
            self.wrong("server", "is missing", "write the mail server: host or host:port");
            return None;
        };
        let mut to = Vec::new();
        for (at, text) in raw.to.unwrap_or_default().iter().enumerate() {
            match email::parse_mailbox(text) {
                Some(address) => to.push(address),
                None => self.wrong(&format!("to[{at}]"), "no mail address", "write ops@example.org"),
            }
        }
        let from = raw.from.as_deref().map(email::parse_mailbox);
        if matches!(from, Some(None)) {
            self.wrong("from", "no mail address", "write sigyn@example.org");
        }
        let login = raw.user.zip(password);
        let settings = email_settings(&server, protection.flatten(), login, from.flatten(), to);
        let Some(settings) = settings else {
            self.wrong("to", "is missing", "write a list of addresses: [ops@example.org]");
            return None;
        };
        let is_near = settings.server == "localhost"
            || settings.server.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if settings.protection == Protection::None && settings.login.is_some() && !is_near {
            self.wrong("tls", "the password would go out unprotected", "write starttls or implicit");
        }
        Some(settings)
    }
}

/// A mail server from `host` or `host:port`. Without a sender the user is it, or the first recipient.
pub(super) fn email_settings(
    server: &str,
    protection: Option<Protection>,
    login: Option<(String, Secret)>,
    from: Option<email::Mailbox>,
    to: Vec<email::Mailbox>,
) -> Option<email::Settings> {
    let default_port = match protection {
        Some(Protection::Implicit) => 465,
        Some(Protection::None) => 25,
        Some(Protection::StartTls) | None => 587,
    };
    let (host, port) = match server.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) if !host.contains(':') => (host, port),
        _ => (server, default_port),
    };
    let user = login.as_ref().and_then(|(user, _)| email::parse_mailbox(user));
    Some(email::Settings {
        server: host.to_owned(),
        port,
        protection: protection.unwrap_or(Protection::of_port(port)),
        login,
        from: from.or(user).or_else(|| to.first().cloned())?,
        to: Some(to).filter(|to| !to.is_empty())?,
    })
}
