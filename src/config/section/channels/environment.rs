//! Variables that people have set already make channels by themselves.

use super::service::email_settings;
use crate::{
    config::section::Context,
    net::{Secret, host_of},
    notify::{Service, discord, email, slack, telegram},
};

/// The channels that the environment makes. Half of one is a warning: the other half may belong to another program.
pub(super) fn services(context: &Context<'_>, warnings: &mut Vec<String>) -> Vec<Service> {
    let mut found = Vec::new();
    let mut half = |set: &str, missing: &str, what: &str| {
        warnings.push(format!("environment {set}: is set without {missing}; there is no {what} channel"));
    };
    let get = |name| context.environment.get(name);
    match (get("TELEGRAM_BOT_TOKEN"), get("TELEGRAM_CHAT_ID")) {
        (Some(token), Some(chat)) => found.push(Service::Telegram(telegram::Settings {
            token: Secret::new(token),
            chat_id: chat.trim().to_owned(),
            thread_id: None,
            api_url: telegram::API_URL.to_owned(),
        })),
        (Some(_), None) => half("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "Telegram"),
        (None, _) => {}
    }
    if let Some(server) = get("SMTP_SERVER") {
        let login = get("SMTP_USER").zip(get("SMTP_PASSWORD"));
        let login = login.map(|(user, password)| (user.to_owned(), Secret::new(password)));
        let to =
            get("ADMIN_EMAIL").into_iter().flat_map(|all| all.split(',')).filter_map(email::parse_mailbox);
        let server = match get("SMTP_PORT") {
            Some(port) if !server.contains(':') => format!("{server}:{port}"),
            _ => server.to_owned(),
        };
        match email_settings(&server, None, login, None, to.collect()) {
            Some(settings) => found.push(Service::Email(settings)),
            None => half("SMTP_SERVER", "an address in ADMIN_EMAIL", "mail"),
        }
    }
    let mut url = |name: &'static str| {
        let url = get(name)?;
        if host_of(url).is_none() {
            warnings.push(format!("environment {name}: is no http(s) URL; it is not used"));
            return None;
        }
        Some(Secret::new(url))
    };
    found.extend(
        url("DISCORD_WEBHOOK_URL").map(|url| Service::Discord(discord::Settings { url, thread_id: None })),
    );
    found.extend(url("SLACK_WEBHOOK_URL").map(|url| Service::Slack(slack::Settings { url })));
    found
}
