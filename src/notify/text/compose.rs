//! One text from an outline, within the limit: the heading and the link are always there, lines go first.

use super::{Escape, Unit, cut};
use crate::notify::outline::Outline;

/// What a stretch of text is, which decides how it is wrapped and escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notify) enum Role {
    /// The first line.
    Headline,
    /// What stands before a value.
    Label,
    /// A value: host, address, number.
    Value,
    /// Sentences.
    Prose,
    /// Log lines.
    Code,
    /// The label of the link; its target is the outline's.
    Link,
    /// Line ends and the like, of the program's own.
    Fixed,
}

/// Whether each line is wrapped, or all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notify) enum Lines {
    /// Each on its own.
    Each,
    /// All in one block.
    Block,
}

/// How a service wants its text.
#[derive(Clone, Copy)]
pub(in crate::notify) struct Style {
    /// What is counted.
    pub unit: Unit,
    /// How much there may be of it.
    pub max: usize,
    /// How characters of a role are escaped.
    pub escape: fn(Role) -> Escape,
    /// What stands before and after a stretch of a role.
    pub wrap: fn(Role) -> (&'static str, &'static str),
    /// Between paragraphs.
    pub newline: &'static str,
    /// How log lines are wrapped.
    pub lines: Lines,
}

/// A finished stretch: escaped, wrapped, within the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::notify) struct Run {
    /// What it is.
    pub role: Role,
    /// The text.
    pub text: String,
}

/// Shorter stretches say nothing: rather leave them out.
const SHORTEST: usize = 12;

/// The outline in the service's style, in stretches.
pub(in crate::notify) fn compose(outline: &Outline, style: &Style) -> Vec<Run> {
    let mut page = Page { style, runs: Vec::new(), left: style.max };
    let link = outline.link.as_ref().map(|link| link_text(outline.words().open, link.as_str(), style));
    let notice = outline.words().lines_left_out(usize::MAX);
    let reserved = link.as_ref().map_or(0, |text| style.unit.len(text) + style.unit.len(style.newline))
        + style.unit.len(&notice)
        + style.unit.len(style.newline);
    page.left = page.left.saturating_sub(reserved);
    if outline.shows_headline {
        page.put(Role::Headline, &outline.headline, style.max / 5);
    }
    page.paragraph(&[(Role::Prose, &outline.lead)], style.max * 2 / 5);
    for fact in &outline.facts {
        page.paragraph(&[(Role::Label, fact.label), (Role::Value, &fact.value)], style.max / 8);
    }
    if let Some(advice) = &outline.advice {
        page.paragraph(&[(Role::Label, advice.label), (Role::Prose, &advice.value)], style.max / 3);
    }
    let shown = page.lines(outline);
    page.left += reserved;
    let left_out = outline.lines.len() - shown + outline.lines_left_out;
    if left_out > 0 {
        page.paragraph(&[(Role::Prose, &outline.words().lines_left_out(left_out))], style.max);
    }
    if let Some(text) = link {
        page.newline();
        page.push(Role::Link, text);
    }
    page.runs
}

/// The stretches as one text.
pub(in crate::notify) fn joined(runs: &[Run]) -> String {
    runs.iter().map(|run| run.text.as_str()).collect()
}

/// A link in the style's wrapping, which may name the target as `URL`; without one, the bare URL.
fn link_text(label: &str, url: &str, style: &Style) -> String {
    match (style.wrap)(Role::Link) {
        ("", "") => url.to_owned(),
        (before, after) => format!("{}{label}{}", before.replace("URL", url), after.replace("URL", url)),
    }
}

struct Page<'s> {
    style: &'s Style,
    runs: Vec<Run>,
    left: usize,
}

impl Page<'_> {
    fn push(&mut self, role: Role, text: String) {
        self.left = self.left.saturating_sub(self.style.unit.len(&text));
        self.runs.push(Run { role, text });
    }

    fn newline(&mut self) {
        if !self.runs.is_empty() {
            self.push(Role::Fixed, self.style.newline.to_owned());
        }
    }

    /// Puts a stretch of at most `max` units; too little room leaves it out.
    fn put(&mut self, role: Role, text: &str, max: usize) -> bool {
        let (before, after) = (self.style.wrap)(role);
        let around = self.style.unit.len(before) + self.style.unit.len(after);
        let Some(room) = max.min(self.left).checked_sub(around) else { return false };
        let inside = cut(text, (self.style.escape)(role), self.style.unit, room);
        let is_stump = room < SHORTEST && self.style.unit.len(&inside) >= room;
        if inside.is_empty() || is_stump {
            return false;
        }
        self.push(role, format!("{before}{inside}{after}"));
        true
    }

    /// Puts a line of stretches; all but the last are short labels.
    fn paragraph(&mut self, parts: &[(Role, &str)], max: usize) {
        let Some(((role, text), labels)) = parts.split_last() else { return };
        if text.is_empty() || self.left <= self.style.unit.len(self.style.newline) + SHORTEST {
            return;
        }
        let (runs, left) = (self.runs.len(), self.left);
        self.newline();
        for (role, label) in labels {
            self.put(*role, label, max);
            self.push(Role::Fixed, ": ".to_owned());
        }
        if !self.put(*role, text, max) {
            // A label without its value says nothing.
            self.runs.truncate(runs);
            self.left = left;
        }
    }

    /// Puts as many log lines as there is room for; says how many.
    fn lines(&mut self, outline: &Outline) -> usize {
        let role = outline.lines_role;
        let unit = self.style.unit;
        let newline = unit.len(self.style.newline);
        let is_block = self.style.lines == Lines::Block && role == Role::Code;
        let (before, after) = if is_block { (self.style.wrap)(role) } else { ("", "") };
        let mut texts: Vec<String> = Vec::new();
        let mut room = self.left.saturating_sub(newline + unit.len(before) + unit.len(after));
        for (at, line) in outline.lines.iter().enumerate() {
            let share = room / (outline.lines.len() - at);
            let (open, close) = if is_block { ("", "") } else { (self.style.wrap)(role) };
            let around = newline.max(1) + unit.len(open) + unit.len(close);
            let Some(inside) = share.checked_sub(around).filter(|&inside| inside >= SHORTEST) else { break };
            let text = cut(line, (self.style.escape)(role), unit, inside);
            room -= unit.len(&text) + around;
            texts.push(format!("{open}{text}{close}"));
        }
        if texts.is_empty() {
            return 0;
        }
        self.newline();
        let between = if is_block { "\n" } else { self.style.newline };
        self.push(role, format!("{before}{}{after}", texts.join(between)));
        texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{
        outline,
        text::{as_is, html, plain_style},
    };

    fn style(max: usize) -> Style {
        Style {
            unit: Unit::Bytes,
            max,
            escape: |_| html,
            wrap: |role| match role {
                Role::Headline => ("<b>", "</b>"),
                Role::Code => ("<pre>", "</pre>"),
                Role::Link => ("<a href='URL'>", "</a>"),
                _ => ("", ""),
            },
            newline: "\n",
            lines: Lines::Block,
        }
    }

    #[test]
    fn the_parts_stand_in_their_order() {
        let text = joined(&compose(&outline::testing::outline(), &plain_style(Unit::Chars, 4_000)));
        assert_eq!(
            text,
            "[HIGH] Brute force\nMany tries.\nHosts: web-1\nWhat to do: Block it.\nline one\nline two\n7 lines left out\nhttps://s.example/f/1"
        );
    }

    #[test]
    fn at_any_limit_tags_are_closed_and_the_link_stays() {
        let mut outline = outline::testing::outline();
        outline.lines = vec!["<script>".repeat(1_000); 5];
        outline.lead = "& ".repeat(500);
        for max in (130..2_000).step_by(11) {
            let text = joined(&compose(&outline, &style(max)));
            assert!(text.len() <= max, "{} > {max}", text.len());
            assert!(
                text.contains("<b>") && text.ends_with("<a href='https://s.example/f/1'>Open in Sigyn</a>"),
                "{max}: {text}"
            );
            assert_eq!(text.matches("<pre>").count(), text.matches("</pre>").count());
            let words =
                text.replace("<b>", "").replace("</b>", "").replace("<pre>", "").replace("</pre>", "");
            assert!(words.matches('<').count() == 2, "{words}");
        }
    }

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let mut outline = outline::testing::outline();
        outline.lines = vec!["x".repeat(400); 5];
        let text = joined(&compose(&outline, &plain_style(Unit::Chars, 190)));
        assert!(text.contains("lines left out") && text.chars().count() <= 190, "{text}");
        let number: usize =
            text.lines().find_map(|line| line.strip_suffix(" lines left out")).unwrap().parse().unwrap();
        let shown = text.lines().filter(|line| line.starts_with("xx")).count();
        assert_eq!(number, 5 - shown + 7);
    }

    #[test]
    fn a_value_without_room_takes_its_label_along() {
        let mut outline = outline::testing::outline();
        outline.facts.iter_mut().for_each(|fact| fact.value = "v".repeat(100));
        outline.link = None;
        let text = joined(&compose(&outline, &Style { escape: |_| as_is, ..plain_style(Unit::Chars, 60) }));
        assert!(!text.contains("Hosts: \n") && !text.ends_with("Hosts: "), "{text}");
    }
}
