//! The list of services: a new one is a folder and a line here.

use super::{
    Limits, Settings, alertmanager, apprise, dingtalk, discord, email, feishu, gotify, http::HttpService,
    ntfy, pagerduty, pushover, slack, teams, telegram, webhook, wecom,
};

/// How a channel is spoken to.
pub(super) enum Backend {
    /// Over HTTP.
    Http(Box<dyn HttpService>),
    /// Over SMTP.
    Mail(Box<email::Mailer>),
}

macro_rules! services {
    ($($(#[$doc:meta])* $variant:ident $module:ident $name:literal $burst:literal $per_minute:literal,)+) => {
        /// A service and its keys.
        #[derive(Clone, Debug)]
        pub enum Service {
            $($(#[$doc])* $variant($module::Settings),)+
        }

        impl Service {
            /// The names of all services, as configuration has them.
            pub const KINDS: &'static [&'static str] = &[$($name),+];

            /// The name used in configuration, the database and metrics.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Service::$variant(_) => $name,)+
                }
            }

            /// What the service allows, with room to spare.
            pub const fn limits(&self) -> Limits {
                match self {
                    $(Service::$variant(_) => Limits { burst: $burst, per_minute: $per_minute },)+
                }
            }

            pub(super) fn backend(&self, channel: &Settings) -> Backend {
                match self {
                    $(Service::$variant(settings) => $module::backend(settings, channel),)+
                }
            }
        }
    };
}

services! {
    /// A Telegram bot: 20 messages a minute into a group.
    Telegram telegram "telegram" 5 15,
    /// E-mail over SMTP.
    Email email "email" 10 20,
    /// A Slack incoming webhook: one a second.
    Slack slack "slack" 5 55,
    /// A Discord webhook: 30 a minute into a channel.
    Discord discord "discord" 5 25,
    /// A DingTalk robot: 20 a minute, then nothing for 10 minutes.
    DingTalk dingtalk "dingtalk" 5 15,
    /// A WeCom robot: 20 a minute.
    WeCom wecom "wecom" 5 15,
    /// A Feishu or Lark robot: 5 a second, 100 a minute.
    Feishu feishu "feishu" 5 90,
    /// A workflow of Microsoft Teams: 4 a second.
    Teams teams "teams" 4 60,
    /// ntfy: 60 at once, then one every 5 seconds.
    Ntfy ntfy "ntfy" 20 10,
    /// Gotify: one's own server.
    Gotify gotify "gotify" 30 60,
    /// Pushover: 10,000 a month.
    Pushover pushover "pushover" 10 10,
    /// PagerDuty events.
    PagerDuty pagerduty "pagerduty" 20 60,
    /// An existing Alertmanager.
    Alertmanager alertmanager "alertmanager" 60 600,
    /// Any receiver of signed JSON.
    Webhook webhook "webhook" 30 120,
    /// An Apprise API server.
    Apprise apprise "apprise" 10 30,
}
