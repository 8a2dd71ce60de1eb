//! A message in words and in order, before any service's markup: every text tame, bounded and in the message's language.

use super::{
    Kind, Language, Link, Message, Template,
    message::EVIDENCE_MAX,
    text::{Role, Unit, as_is, cut, tame},
    wording::Words,
};
use crate::{
    model::{Severity, Timestamp},
    redact::Redacted,
};

/// Characters of a title.
const TITLE_MAX: usize = 200;
/// Characters of an explaining text.
const PROSE_MAX: usize = 2_000;
/// Characters of the names of one kind.
const NAMES_MAX_CHARS: usize = 200;
/// Characters of a quoted line.
const LINE_MAX: usize = 1_000;
/// Entries of a digest that are listed; more are counted.
const ITEMS_MAX: usize = 30;
/// Stands for a line end inside a quoted line.
const LINE_END: &str = " ⏎ ";

/// A label and what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// In the message's language.
    pub label: &'static str,
    /// One line.
    pub value: String,
}

/// What a message says.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// Severity, reason and title on one line.
    pub headline: String,
    /// Whether single-text channels begin with the headline: not when the operator's template says everything.
    pub shows_headline: bool,
    /// What it means.
    pub lead: String,
    /// Where, who, since when.
    pub facts: Vec<Fact>,
    /// What to do.
    pub advice: Option<Fact>,
    /// Log lines, or the entries of a digest.
    pub lines: Vec<String>,
    /// Which of both.
    pub lines_role: Role,
    /// Lines there are beside these.
    pub lines_left_out: usize,
    /// The page with everything.
    pub link: Option<Link>,
    /// How bad.
    pub severity: Severity,
    /// Why it is told.
    pub kind: Kind,
    language: Language,
}

impl Outline {
    /// Puts a message into words; a template replaces everything but the headline.
    pub fn of(message: &Message, template: Option<&Template>) -> Self {
        let words = message.language.words();
        let mut outline = Outline {
            headline: headline(message, words),
            shows_headline: true,
            lead: prose(&message.summary),
            facts: facts(message, words),
            advice: None,
            lines: lines(message, words),
            lines_role: if message.kind == Kind::Digest { Role::Prose } else { Role::Code },
            lines_left_out: all_lines(message).saturating_sub(listed_max(message)),
            link: message.link.clone(),
            severity: message.severity,
            kind: message.kind,
            language: message.language,
        };
        let advice = prose(&message.recommendation);
        if !advice.is_empty() && message.kind != Kind::Resolved {
            outline.advice = Some(Fact { label: words.advice, value: advice });
        }
        if let Some(template) = template {
            let text = template.fill(|name| outline.value(message, name), |value, out| out.push_str(value));
            return outline.says(text);
        }
        outline
    }

    /// The words of its language.
    pub fn words(&self) -> &'static Words {
        self.language.words()
    }

    /// Without headline, for services with a title.
    pub fn untitled(&self) -> Outline {
        Outline { shows_headline: false, ..self.clone() }
    }

    /// Without headline and facts, for services that have places of their own for them.
    pub fn body(&self) -> Outline {
        Outline { facts: Vec::new(), ..self.untitled() }
    }

    /// The line that says how many lines are not shown; none when all are.
    pub fn left_out(&self) -> Option<String> {
        (self.lines_left_out > 0).then(|| self.words().lines_left_out(self.lines_left_out))
    }

    /// The value of a template's placeholder, in one line but for `evidence`.
    pub fn value(&self, message: &Message, name: &str) -> String {
        match name {
            "headline" => self.headline.clone(),
            "title" => short(&message.title, TITLE_MAX),
            "summary" => self.lead.clone(),
            "recommendation" => prose(&message.recommendation),
            "severity" => message.severity.as_str().to_owned(),
            "category" => message.category.map_or("", |category| category.as_str()).to_owned(),
            "kind" => message.kind.as_str().to_owned(),
            "hosts" => names(&message.hosts, self.words()),
            "users" => names(&message.users, self.words()),
            "source_ips" => names(&message.source_ips, self.words()),
            "service" => {
                message.service.as_ref().map(|name| short(name, NAMES_MAX_CHARS)).unwrap_or_default()
            }
            "count" => message.count.to_string(),
            "first_seen" => clock_time(message.first_seen),
            "last_seen" => clock_time(message.last_seen),
            "evidence" => self.lines.join("\n"),
            "link" => self.link.as_ref().map_or("", Link::as_str).to_owned(),
            "tenant" => message.tenant.as_str().to_owned(),
            _ => String::new(),
        }
    }

    fn says(self, text: String) -> Outline {
        Outline {
            shows_headline: false,
            lead: text,
            facts: Vec::new(),
            advice: None,
            lines: Vec::new(),
            lines_left_out: 0,
            link: None,
            ..self
        }
    }
}

fn headline(message: &Message, words: &Words) -> String {
    let title = match message.kind {
        Kind::Digest => words.findings(message.items.len()),
        _ => short(&message.title, TITLE_MAX),
    };
    let tag = match message.kind {
        Kind::Resolved | Kind::Test => "",
        _ => words.severity(message.severity),
    };
    let parts = [tag, words.reason(message.kind).unwrap_or_default()];
    let tags: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("[{}] {title}", tags.join(" · "))
}

fn facts(message: &Message, words: &Words) -> Vec<Fact> {
    let lone =
        |name: &Option<Redacted>| name.as_ref().map(|name| short(name, NAMES_MAX_CHARS)).unwrap_or_default();
    let mut facts = vec![
        (words.hosts, names(&message.hosts, words)),
        (words.service, lone(&message.service)),
        (words.sources, names(&message.source_ips, words)),
        (words.users, names(&message.users, words)),
        (words.category, message.category.map_or("", |category| category.as_str()).to_owned()),
    ];
    if message.count > 1 {
        facts.push((words.count, message.count.to_string()));
    }
    facts.push((words.first_seen, clock_time(message.first_seen)));
    if message.last_seen > message.first_seen {
        facts.push((words.last_seen, clock_time(message.last_seen)));
    }
    if message.tenant.as_str() != "fake" {
        facts.push((words.tenant, message.tenant.as_str().to_owned()));
    }
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| Fact { label, value })
        .collect()
}

fn lines(message: &Message, words: &Words) -> Vec<String> {
    if message.kind != Kind::Digest {
        return message.evidence.iter().take(EVIDENCE_MAX).map(|line| short(line, LINE_MAX)).collect();
    }
    let entry = |item: &super::Item| {
        let times = if item.count > 1 { format!(" (×{})", item.count) } else { String::new() };
        format!("• [{}] {}{times}", words.severity(item.severity), short(&item.title, TITLE_MAX))
    };
    message.items.iter().take(ITEMS_MAX).map(entry).collect()
}

fn all_lines(message: &Message) -> usize {
    if message.kind == Kind::Digest { message.items.len() } else { message.evidence.len() }
}

fn listed_max(message: &Message) -> usize {
    if message.kind == Kind::Digest { ITEMS_MAX } else { EVIDENCE_MAX }
}

/// One tame line. Only as much is looked at as can be shown.
fn short(text: &Redacted, max: usize) -> String {
    cut(&tame(text.cut(max * 4 + 4).as_str(), LINE_END), as_is, Unit::Chars, max)
}

fn prose(text: &Redacted) -> String {
    cut(&tame(text.cut(PROSE_MAX * 4 + 4).as_str(), " "), as_is, Unit::Chars, PROSE_MAX)
}

/// Names in one line, whole ones only; what is left out is counted.
fn names(names: &[Redacted], words: &Words) -> String {
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        let name = short(name, NAMES_MAX_CHARS / 2);
        if text.chars().count() + name.chars().count() > NAMES_MAX_CHARS {
            text.push_str(&format!(", {}", words.more(names.len() - at)));
            break;
        }
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(&name);
    }
    text
}

/// Whole seconds in UTC.
fn clock_time(time: Timestamp) -> String {
    Timestamp::from_secs(time.as_secs()).to_string().replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::{
        model::{Category, TenantId},
        notify::DedupKey,
        redact::{Redactor, Settings},
    };

    pub fn redacted(text: &str) -> Redacted {
        Redactor::new(Settings { pseudonymise_ips: false }).redact(text)
    }

    /// A small outline for tests of layout.
    pub fn outline() -> Outline {
        Outline {
            headline: "[HIGH] Brute force".to_owned(),
            shows_headline: true,
            lead: "Many tries.".to_owned(),
            facts: vec![Fact { label: "Hosts", value: "web-1".to_owned() }],
            advice: Some(Fact { label: "What to do", value: "Block it.".to_owned() }),
            lines: vec!["line one".to_owned(), "line two".to_owned()],
            lines_role: Role::Code,
            lines_left_out: 7,
            link: Link::parse("https://s.example/f/1"),
            severity: Severity::High,
            kind: Kind::First,
            language: Language::En,
        }
    }

    /// A message with everything in it.
    pub fn message() -> Message {
        let tenant = TenantId::single();
        Message {
            id: uuid::Uuid::from_u128(7),
            kind: Kind::First,
            severity: Severity::High,
            category: Some(Category::BruteForce),
            title: redacted("SSH brute force from 203.0.113.7"),
            summary: redacted("40 failed logins in 2 minutes."),
            recommendation: redacted("Block the address."),
            hosts: vec![redacted("web-1")],
            users: vec![redacted("root"), redacted("admin")],
            source_ips: vec![redacted("203.0.113.7")],
            service: Some(redacted("sshd")),
            first_seen: Timestamp::from_secs(1_795_219_200),
            last_seen: Timestamp::from_secs(1_795_219_320),
            count: 40,
            evidence: vec![redacted("Failed password for root from 203.0.113.7 port 4711 ssh2")],
            link: Link::parse("https://sigyn.example/findings/1"),
            key: DedupKey::of(&tenant, "ssh"),
            tenant,
            language: Language::En,
            items: Vec::new(),
        }
    }

    /// The same with everything a log could bring.
    pub fn hostile() -> Message {
        let nasty = "@everyone <!channel> <@U123> <b>x</b> **bold** [a](http://e.example) `c` ``` ; rm -rf / \u{202e}txt\r\n\x1b[2J 'q\" \\ <at user_id=\"all\">";
        Message {
            title: redacted(nasty),
            summary: redacted(&nasty.repeat(200)),
            recommendation: redacted(&nasty.repeat(200)),
            hosts: vec![redacted(nasty); 40],
            users: vec![redacted(nasty); 40],
            service: Some(redacted(nasty)),
            evidence: vec![redacted(&nasty.repeat(1_000)); 9],
            ..message()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{message, redacted};
    use super::*;

    #[test]
    fn the_headline_says_how_bad_why_and_what() {
        let of = |kind| Outline::of(&Message { kind, ..message() }, None).headline;
        assert_eq!(of(Kind::First), "[HIGH] SSH brute force from 203.0.113.7");
        assert_eq!(of(Kind::Worse), "[HIGH · Worse] SSH brute force from 203.0.113.7");
        assert_eq!(of(Kind::Resolved), "[Resolved] SSH brute force from 203.0.113.7");
        let zh = Message { language: Language::Zh, kind: Kind::Repeat, ..message() };
        assert_eq!(Outline::of(&zh, None).headline, "[高 · 仍未处理] SSH brute force from 203.0.113.7");
    }

    #[test]
    fn facts_are_in_order_and_only_those_known() {
        let outline = Outline::of(&message(), None);
        let facts: Vec<String> = outline.facts.iter().map(|f| format!("{}={}", f.label, f.value)).collect();
        assert_eq!(
            facts,
            [
                "Hosts=web-1",
                "Service=sshd",
                "From=203.0.113.7",
                "Users=root, admin",
                "Category=brute_force",
                "Count=40",
                "Since=2026-11-21 00:00:00 UTC",
                "Last=2026-11-21 00:02:00 UTC"
            ]
        );
    }

    #[test]
    fn five_lines_are_quoted_and_the_others_counted() {
        let line = redacted("a\nb\u{202e}");
        let outline = Outline::of(&Message { evidence: vec![line; 8], ..message() }, None);
        assert_eq!(outline.lines, ["a ⏎ b"; 5].map(str::to_owned));
        assert_eq!(outline.left_out().as_deref(), Some("3 lines left out"));
    }

    #[test]
    fn many_names_are_cut_between_names() {
        let hosts: Vec<Redacted> = (0..40).map(|n| redacted(&format!("host-{n}.example.org"))).collect();
        let outline = Outline::of(&Message { hosts, ..message() }, None);
        let value = &outline.facts[0].value;
        assert!(value.ends_with(" more") && value.starts_with("host-0.example.org, host-1"), "{value}");
    }

    #[test]
    fn a_template_replaces_the_body() {
        let template = Template::parse("{severity}: {title}\n{evidence}\n{unknown}").unwrap_err().to_string();
        assert!(template.contains("{unknown}"), "{template}");
        let template = Template::parse("{severity}: {title} on {hosts}\n{evidence}").unwrap();
        let outline = Outline::of(&message(), Some(&template));
        assert_eq!(
            outline.lead,
            "high: SSH brute force from 203.0.113.7 on web-1\nFailed password for root from 203.0.113.7 port 4711 ssh2"
        );
        assert!(!outline.shows_headline && outline.lines.is_empty() && outline.advice.is_none());
    }
}
