//! The mail: text and HTML, one thread for one trouble. Nothing of a log becomes a header line or a tag.

use std::time::{Duration, SystemTime};

use lettre::message::{
    MultiPart,
    header::{HeaderName, HeaderValue},
};

use super::Settings;
use crate::{
    model::{Severity, Timestamp},
    notify::{
        Kind, Message,
        outline::Outline,
        text::{Lines, Role, Style, Unit, as_is, compose, cut, html, joined, plain_style},
    },
};

/// Characters of a subject.
const SUBJECT_MAX: usize = 150;
/// Bytes of a part.
const PART_MAX: usize = 60_000;

/// The mail's bytes and its id.
pub(super) fn mail(
    settings: &Settings,
    message: &Message,
    outline: &Outline,
    thread: Option<&str>,
    now: Timestamp,
) -> Result<(Vec<u8>, String), String> {
    let id = format!("<{}@{}>", message.id.simple(), settings.from.email.domain());
    let since = Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or(0));
    let mut builder = lettre::Message::builder()
        .from(settings.from.clone())
        .subject(cut(&outline.headline, as_is, Unit::Chars, SUBJECT_MAX))
        .date(SystemTime::UNIX_EPOCH + since)
        .message_id(Some(id.clone()))
        .raw_header(own_header("Auto-Submitted", "auto-generated"))
        .raw_header(own_header("X-Sigyn-Severity", message.severity.as_str()));
    for to in &settings.to {
        builder = builder.to(to.clone());
    }
    if let Some(thread) = thread {
        builder = builder.in_reply_to(thread.to_owned()).references(thread.to_owned());
    }
    let text = joined(&compose(outline, &plain_style(Unit::Bytes, PART_MAX)));
    let parts = MultiPart::alternative_plain_html(text, html_part(message, outline));
    let mail = builder.multipart(parts).map_err(|error| error.to_string())?;
    Ok((mail.formatted(), id))
}

fn own_header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn html_part(message: &Message, outline: &Outline) -> String {
    let style = Style {
        unit: Unit::Bytes,
        max: PART_MAX,
        escape: |_| in_html,
        wrap: |role| match role {
            Role::Headline => ("<h2 style=\"margin:0 0 8px\">", "</h2>"),
            Role::Label => ("<b>", "</b>"),
            Role::Code => ("<pre style=\"background:#f4f4f4;padding:8px;white-space:pre-wrap\">", "</pre>"),
            Role::Link => ("<a href=\"URL\">", "</a>"),
            _ => ("", ""),
        },
        newline: "<br>\n",
        lines: Lines::Block,
    };
    let inside = joined(&compose(outline, &style));
    let colour = colour(message);
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head><body style=\"font-family:sans-serif\">\n\
         <div style=\"border-left:6px solid {colour};padding-left:12px\">\n{inside}\n</div>\n</body></html>\n"
    )
}

fn in_html(char: char, out: &mut String) {
    if char == '\n' { out.push_str("<br>\n") } else { html(char, out) }
}

fn colour(message: &Message) -> &'static str {
    match (message.kind, message.severity) {
        (Kind::Resolved, _) => "#2ea043",
        (_, Severity::Critical) => "#b60205",
        (_, Severity::High) => "#d96b0b",
        (_, Severity::Medium) => "#e3b341",
        (_, Severity::Low) => "#1f6feb",
        (_, Severity::Info) => "#8b949e",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        email::{Protection, parse_mailbox},
        http::testing::{NOW, messages},
        outline::testing::{hostile, message},
    };

    fn settings() -> Settings {
        Settings {
            server: "mail.example".to_owned(),
            port: 465,
            protection: Protection::Implicit,
            login: None,
            from: parse_mailbox("Sigyn <sigyn@example.org>").unwrap(),
            to: vec![parse_mailbox("ops@example.org").unwrap()],
        }
    }

    fn raw(message: &Message, thread: Option<&str>) -> String {
        let outline = Outline::of(message, None);
        String::from_utf8(mail(&settings(), message, &outline, thread, NOW).unwrap().0).unwrap()
    }

    #[test]
    fn headers_name_the_thread_and_say_that_a_machine_wrote() {
        let text = raw(&message(), None);
        for line in [
            "From: Sigyn <sigyn@example.org>\r\n",
            "To: ops@example.org\r\n",
            "Subject: [HIGH] SSH brute force from 203.0.113.7\r\n",
            "Date: Sat, 21 Nov 2026 00:03:20 +0000\r\n",
            "Message-ID: <00000000000000000000000000000007@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: multipart/alternative;",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let later = raw(&message(), Some("<1@example.org>"));
        assert!(
            later.contains("In-Reply-To: <1@example.org>\r\n")
                && later.contains("References: <1@example.org>\r\n")
        );
    }

    #[test]
    fn no_line_of_a_log_becomes_a_header_or_a_tag() {
        let nasty = Message { title: hostile().evidence[0].clone(), ..hostile() };
        let head = raw(&nasty, None);
        let head = head.split("\r\n\r\n").next().unwrap();
        for line in head.split("\r\n") {
            let is_own = line.starts_with([' ', '\t']) || line.split_once(": ").is_some();
            assert!(is_own && !line.contains('\n'), "{line}");
        }
        let page = html_part(&nasty, &Outline::of(&nasty, None));
        assert!(page.contains("<a href=\"https://sigyn.example/findings/1\">Open in Sigyn</a>"), "{page}");
        assert!(!page.contains("<b>x</b>") && page.contains("&lt;b&gt;x&lt;/b&gt;") && !page.contains("<at"));
        for message in messages() {
            let page = html_part(&message, &Outline::of(&message, None));
            assert!(
                page.matches("<pre").count() == page.matches("</pre>").count() && page.len() < PART_MAX + 500
            );
        }
    }
}
