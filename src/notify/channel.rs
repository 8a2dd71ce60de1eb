//! A configured channel: a service with its limits, ready to send.

use std::{path::PathBuf, time::Duration};

use super::{
    Language, Message, Outcome, Receipt, Service, Template, email::Mailer, http, outline::Outline,
    service::Backend,
};
use crate::{
    net::{Egress, HttpClient, Secret, Settings as HttpSettings},
    runtime::Clock,
};

/// Shorter parts of a secret URL are ordinary words.
const SECRET_PART_MIN: usize = 8;
/// Answers are short; more is none of ours.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What the operator may set about a channel.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, unique among the channels.
    pub name: String,
    /// Which service, and its keys.
    pub service: Service,
    /// The language of the fixed words, if not the message's own.
    pub language: Option<Language>,
    /// The operator's own text.
    pub template: Option<Template>,
    /// Time for one try.
    pub timeout: Duration,
    /// How often messages may be sent, if not the service's default.
    pub limits: Option<Limits>,
    /// Further trusted certificates (PEM).
    pub ca_file: Option<PathBuf>,
    /// Proxy for the requests; e-mail has none.
    pub proxy: Option<String>,
}

impl Settings {
    /// Defaults for a service.
    pub fn new(name: impl Into<String>, service: Service) -> Self {
        Settings {
            name: name.into(),
            service,
            language: None,
            template: None,
            timeout: Duration::from_secs(20),
            limits: None,
            ca_file: None,
            proxy: None,
        }
    }
}

/// A token bucket: how often a channel may be used before the service shuts it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages at once, after a pause.
    pub burst: u32,
    /// Messages a minute in the long run. Both together stay within what the service allows in any minute.
    pub per_minute: u32,
}

/// A channel that can be sent over.
pub struct Channel {
    settings: Settings,
    backend: Backend,
    http: HttpClient,
    clock: Clock,
}

impl Channel {
    /// Makes a channel; nothing is read or connected before the first message.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let backend = settings.service.backend(&settings);
        let endpoint = match &backend {
            Backend::Http(service) => service.endpoint(),
            Backend::Mail(_) => "",
        };
        let http = HttpClient::new(HttpSettings {
            total_timeout: settings.timeout,
            max_response_bytes: MAX_ANSWER_BYTES,
            ca_file: settings.ca_file.clone(),
            proxy: settings.proxy.clone(),
            ..HttpSettings::to(Egress::to_host_of(endpoint).unwrap_or(Egress::Hosts(Vec::new())))
        });
        Channel { settings, backend, http, clock }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The name of its service.
    pub fn kind(&self) -> &'static str {
        self.settings.service.kind()
    }

    /// How often it may be used.
    pub fn limits(&self) -> Limits {
        self.settings.limits.unwrap_or(self.settings.service.limits())
    }

    /// Sends a message. With the receipt of an earlier one about the same trouble it edits, answers or ends that one,
    /// where the service can. One try (two when the service refuses the form); never panics, never shows a secret.
    pub async fn send(&self, message: &Message, earlier: Option<&Receipt>) -> Outcome {
        let translated = self.settings.language.map(|language| Message { language, ..message.clone() });
        let message = translated.as_ref().unwrap_or(message);
        let outline = Outline::of(message, self.settings.template.as_ref());
        let outcome = match &self.backend {
            Backend::Http(service) => {
                http::deliver(&**service, &self.http, &self.clock, (message, &outline), earlier).await
            }
            Backend::Mail(mailer) => self.mail(mailer, message, &outline, earlier).await,
        };
        outcome.map_text(|text| self.without_secrets(text))
    }

    async fn mail(
        &self,
        mailer: &Mailer,
        message: &Message,
        outline: &Outline,
        earlier: Option<&Receipt>,
    ) -> Outcome {
        let sending = mailer.send(message, outline, earlier, self.clock.now());
        let late = || Outcome::retry(None, format!("no answer within {:?}", self.settings.timeout));
        tokio::time::timeout(self.settings.timeout, sending).await.unwrap_or_else(|_| late())
    }

    /// Services may repeat what they were sent.
    fn without_secrets(&self, mut text: String) -> String {
        let secrets = match &self.backend {
            Backend::Http(service) => service.secrets(),
            Backend::Mail(mailer) => mailer.secrets(),
        };
        for part in secrets.into_iter().flat_map(parts) {
            text = text.replace(part, "***");
        }
        text
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("name", &self.name())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// A secret and, when it is a URL, the parts of its path and query.
fn parts(secret: &Secret) -> impl Iterator<Item = &str> {
    let whole = secret.expose();
    let behind_host =
        whole.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let pieces = behind_host.split(['/', '?', '&', '=']).filter(|piece| piece.len() >= SECRET_PART_MIN);
    std::iter::once(whole).chain(pieces).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Timestamp, notify::slack};

    #[test]
    fn no_text_shows_a_secret_or_a_part_of_it() {
        let url = Secret::new("https://hooks.slack.example/services/T000/B000/hunter2hunter2");
        let service = Service::Slack(slack::Settings { url });
        let channel = Channel::new(Settings::new("ops", service), Clock::manual(Timestamp::default()));
        let text = channel.without_secrets("hook hunter2hunter2 at hooks.slack.example is gone".to_owned());
        assert_eq!(text, "hook *** at hooks.slack.example is gone");
        assert!(!format!("{channel:?} {:?}", channel.settings).contains("hunter2"));
    }
}
