//! E-mail over SMTP: one mail to each recipient, so that a bad address does not keep the others from theirs. Messages
//! about one trouble are one thread.

mod render;

use std::{collections::VecDeque, path::PathBuf, sync::Mutex, time::Duration};

pub use lettre::message::Mailbox;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    address::Envelope,
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use uuid::Uuid;

use super::{Message, Outcome, Receipt, outcome::excerpt, outline::Outline, service::Backend};
use crate::{model::Timestamp, net::Secret};

/// Recipients of tries that succeeded in part, kept so that the next try spares them.
const DONE_MAX: usize = 512;
/// Servers that greylist want to see the same mail again after this.
const GREYLIST_PAUSE: Duration = Duration::from_secs(300);

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first byte (port 465).
    Implicit,
    /// STARTTLS, and nothing is sent without it (port 587).
    StartTls,
    /// None: for a relay on this machine or in a trusted network.
    None,
}

impl Protection {
    /// What is usual on a port.
    pub const fn of_port(port: u16) -> Self {
        match port {
            465 => Protection::Implicit,
            25 => Protection::None,
            _ => Protection::StartTls,
        }
    }

    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "implicit" => Some(Protection::Implicit),
            "starttls" => Some(Protection::StartTls),
            "none" => Some(Protection::None),
            _ => None,
        }
    }
}

/// What a mail server needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub protection: Protection,
    /// User and password, where they are asked for.
    pub login: Option<(String, Secret)>,
    /// The sender.
    pub from: Mailbox,
    /// The recipients; at least one.
    pub to: Vec<Mailbox>,
}

/// Reads an address as people write it: `ops@example.org` or `Ops <ops@example.org>`.
pub fn parse_mailbox(text: &str) -> Option<Mailbox> {
    text.parse().ok()
}

pub(super) fn backend(settings: &Settings, channel: &super::Settings) -> Backend {
    Backend::Mail(Box::new(Mailer {
        settings: settings.clone(),
        ca_file: channel.ca_file.clone(),
        timeout: channel.timeout,
        done: Mutex::new(VecDeque::new()),
    }))
}

/// Sends mails.
pub(super) struct Mailer {
    settings: Settings,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    done: Mutex<VecDeque<(Uuid, Address)>>,
}

impl Mailer {
    /// What must not show in any text.
    pub fn secrets(&self) -> Vec<&Secret> {
        self.settings.login.iter().map(|(_, password)| password).collect()
    }

    /// Sends one mail to everybody who has not got it in an earlier try.
    pub async fn send(
        &self,
        message: &Message,
        outline: &Outline,
        earlier: Option<&Receipt>,
        now: Timestamp,
    ) -> Outcome {
        let thread = earlier.and_then(|receipt| receipt.handle.as_deref());
        let transport = match self.transport().await {
            Ok(transport) => transport,
            Err(why) => return Outcome::broken(why),
        };
        let (bytes, id) = match render::mail(&self.settings, message, outline, thread, now) {
            Ok(mail) => mail,
            Err(why) => return Outcome::refused(why),
        };
        let mut outcomes = Vec::new();
        for to in self.settings.to.iter().map(|to| &to.email) {
            if self.has(message.id, to) {
                continue;
            }
            let outcome = self.send_to(to, &transport, &bytes, thread.unwrap_or(&id)).await;
            if matches!(outcome, Outcome::Delivered(_)) {
                self.note(message.id, to.clone());
            }
            outcomes.push((to.to_string(), outcome));
        }
        together(outcomes)
    }

    async fn send_to(
        &self,
        to: &Address,
        transport: &AsyncSmtpTransport<Tokio1Executor>,
        bytes: &[u8],
        thread: &str,
    ) -> Outcome {
        let envelope = match Envelope::new(Some(self.settings.from.email.clone()), vec![to.clone()]) {
            Ok(envelope) => envelope,
            Err(error) => return Outcome::refused(error.to_string()),
        };
        match transport.send_raw(&envelope, bytes).await {
            Ok(response) => {
                let words: Vec<&str> = response.message().collect();
                let answer = format!("{} {}", u16::from(response.code()), words.join(" "));
                Outcome::delivered(answer.as_bytes(), Some(thread.to_owned()))
            }
            Err(error) => classify(error.status().map(u16::from), error.is_client(), &error.to_string()),
        }
    }

    async fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let settings = &self.settings;
        let tls = match settings.protection {
            Protection::None => Tls::None,
            Protection::Implicit => Tls::Wrapper(self.tls().await?),
            Protection::StartTls => Tls::Required(self.tls().await?),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.server)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(self.timeout))
            .hello_name(ClientId::Domain(settings.from.email.domain().to_owned()));
        Ok(match &settings.login {
            Some((user, password)) => {
                builder.credentials(Credentials::new(user.clone(), password.expose().to_owned())).build()
            }
            None => builder.build(),
        })
    }

    async fn tls(&self) -> Result<TlsParameters, String> {
        let mut builder = TlsParameters::builder(self.settings.server.clone());
        if let Some(path) = &self.ca_file {
            let bad = |cause: String| format!("{}: {cause}", path.display());
            let pem = tokio::fs::read(path).await.map_err(|error| bad(error.to_string()))?;
            builder = builder
                .add_root_certificate(Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?);
        }
        builder.build().map_err(|error: smtp::Error| error.to_string())
    }

    fn has(&self, id: Uuid, address: &Address) -> bool {
        self.done.lock().is_ok_and(|done| done.iter().any(|(known, to)| *known == id && to == address))
    }

    fn note(&self, id: Uuid, address: Address) {
        if let Ok(mut done) = self.done.lock() {
            done.push_back((id, address));
            if done.len() > DONE_MAX {
                done.pop_front();
            }
        }
    }
}

/// What a reply, or none, means.
fn classify(code: Option<u16>, is_refusal_of_ours: bool, text: &str) -> Outcome {
    let why = excerpt(text.as_bytes());
    match code {
        Some(450 | 451) => Outcome::retry(Some(GREYLIST_PAUSE), why),
        Some(400..=499) => Outcome::retry(None, why),
        // Credentials missing, wrong, too weak, or not without TLS.
        Some(530 | 534 | 535 | 538) => Outcome::broken(why),
        Some(_) => Outcome::refused(why),
        // STARTTLS or a way to log in is not offered.
        None if is_refusal_of_ours => Outcome::broken(why),
        None => Outcome::retry(None, why),
    }
}

/// One outcome of all recipients: later if one of them is to be tried again, else delivered if one has it.
fn together(outcomes: Vec<(String, Outcome)>) -> Outcome {
    let mut failed = Vec::new();
    let (mut later, mut delivered, mut refused) = (None, None, None);
    for (to, outcome) in outcomes {
        match outcome {
            Outcome::Delivered(receipt) => delivered = Some(receipt),
            Outcome::Retry { after, why } => later = Some((after, format!("{to}: {why}"))),
            Outcome::Rewrite { why } | Outcome::Refused { why, .. }
                if delivered.is_some() || later.is_some() =>
            {
                failed.push(format!("{to}: {why}"));
            }
            other => {
                failed.extend(texts(&other).map(|why| format!("{to}: {why}")));
                refused = Some(other);
            }
        }
    }
    let failed = failed.join("; ");
    match (later, delivered, refused) {
        (Some((after, why)), ..) => Outcome::retry(after, why),
        (None, Some(receipt), _) if failed.is_empty() => Outcome::Delivered(receipt),
        (None, Some(Receipt { answer, handle }), _) => {
            Outcome::Delivered(Receipt { answer: format!("{answer}; not to {failed}"), handle })
        }
        (None, None, Some(refused)) => refused.map_text(|_| failed.clone()),
        // Everybody got it in an earlier try.
        (None, None, None) => Outcome::Delivered(Receipt::default()),
    }
}

fn texts(outcome: &Outcome) -> impl Iterator<Item = &str> {
    match outcome {
        Outcome::Refused { why, .. } | Outcome::Rewrite { why } => Some(why.as_str()),
        Outcome::Delivered(_) | Outcome::Retry { .. } => None,
    }
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{Fault, outcome::testing::brief};

    #[test]
    fn replies_are_later_refused_or_the_channels_fault() {
        let check = |code, ours| brief(&classify(code, ours, "x"));
        assert_eq!(check(Some(451), false), "retry Some(300s)");
        assert_eq!(check(Some(421), false), "retry None");
        assert_eq!(check(Some(550), false), "refused Message");
        assert_eq!(check(Some(535), false), "refused Channel");
        assert_eq!(
            (check(None, true), check(None, false)),
            ("refused Channel".to_owned(), "retry None".to_owned())
        );
    }

    #[test]
    fn one_bad_address_does_not_hide_that_others_were_reached() {
        let ok = || ("a@x".to_owned(), Outcome::delivered(b"250 ok", Some("<1@x>".to_owned())));
        let bad = || ("b@x".to_owned(), Outcome::refused("550 no such user"));
        let grey = || ("c@x".to_owned(), Outcome::retry(Some(GREYLIST_PAUSE), "451 later"));
        for order in [vec![ok(), bad()], vec![bad(), ok()]] {
            let Outcome::Delivered(receipt) = together(order) else { panic!("not delivered") };
            assert_eq!(receipt.answer, "250 ok; not to b@x: 550 no such user");
        }
        assert_eq!(
            together(vec![ok(), grey(), bad()]),
            Outcome::retry(Some(GREYLIST_PAUSE), "c@x: 451 later")
        );
        let none = together(vec![bad(), ("d@x".to_owned(), Outcome::refused("554 spam"))]);
        let why = "b@x: 550 no such user; d@x: 554 spam".to_owned();
        assert_eq!(none, Outcome::Refused { why, fault: Fault::Message });
        assert_eq!(brief(&together(Vec::new())), "delivered -");
    }

    #[test]
    fn ports_have_their_usual_protection() {
        assert_eq!(Protection::of_port(465), Protection::Implicit);
        assert_eq!(
            (Protection::of_port(587), Protection::of_port(2525)),
            (Protection::StartTls, Protection::StartTls)
        );
        assert_eq!(Protection::of_port(25), Protection::None);
    }
}
