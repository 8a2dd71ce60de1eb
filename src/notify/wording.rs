//! The fixed words of messages, and links into Sigyn's own pages.

use super::Kind;
use crate::model::Severity;

/// The language of the fixed words. What rules and models write is in theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

impl Language {
    /// Reads the name; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "en" => Some(Language::En),
            "zh" => Some(Language::Zh),
            _ => None,
        }
    }

    /// The words.
    pub(super) const fn words(self) -> &'static Words {
        match self {
            Language::En => &EN,
            Language::Zh => &ZH,
        }
    }
}

/// The address of a page of Sigyn's own: `http` or `https`, without anything that could end an attribute or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// Takes a URL; `None` when it is none that can be shown everywhere.
    pub fn parse(url: &str) -> Option<Self> {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"'<>`\\|()[]{}*^".contains(c);
        (is_web && url.chars().all(is_plain)).then(|| Link(url.to_owned()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Labels and little phrases in one language.
pub(super) struct Words {
    pub hosts: &'static str,
    pub users: &'static str,
    pub sources: &'static str,
    pub service: &'static str,
    pub category: &'static str,
    pub count: &'static str,
    pub first_seen: &'static str,
    pub last_seen: &'static str,
    pub tenant: &'static str,
    pub advice: &'static str,
    pub open: &'static str,
    more: [&'static str; 2],
    lines_left_out: [&'static str; 2],
    findings: [&'static str; 2],
    severities: [&'static str; 5],
    worse: &'static str,
    going_on: &'static str,
    still_open: &'static str,
    resolved: &'static str,
    test: &'static str,
}

impl Words {
    /// The severity's name.
    pub fn severity(&self, severity: Severity) -> &'static str {
        self.severities.get(usize::from(severity.rank())).copied().unwrap_or_default()
    }

    /// What stands before the title because of the reason of the message; nothing for what is new.
    pub fn reason(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::First | Kind::Digest => None,
            Kind::Worse => Some(self.worse),
            Kind::More => Some(self.going_on),
            Kind::Repeat => Some(self.still_open),
            Kind::Resolved => Some(self.resolved),
            Kind::Test => Some(self.test),
        }
    }

    /// How many lines are not shown.
    pub fn lines_left_out(&self, number: usize) -> String {
        counted(self.lines_left_out, number)
    }

    /// How many names are not shown.
    pub fn more(&self, number: usize) -> String {
        counted(self.more, number)
    }

    /// How many findings a digest tells of.
    pub fn findings(&self, number: usize) -> String {
        counted(self.findings, number)
    }
}

fn counted([one, many]: [&str; 2], number: usize) -> String {
    let phrase = if number == 1 { one } else { many };
    phrase.replace('#', &number.to_string())
}

const EN: Words = Words {
    hosts: "Hosts",
    users: "Users",
    sources: "From",
    service: "Service",
    category: "Category",
    count: "Count",
    first_seen: "Since",
    last_seen: "Last",
    tenant: "Tenant",
    advice: "What to do",
    open: "Open in Sigyn",
    more: ["# more", "# more"],
    lines_left_out: ["# line left out", "# lines left out"],
    findings: ["# finding", "# findings"],
    severities: ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"],
    worse: "Worse",
    going_on: "Going on",
    still_open: "Still open",
    resolved: "Resolved",
    test: "Test",
};

const ZH: Words = Words {
    hosts: "主机",
    users: "用户",
    sources: "来源",
    service: "服务",
    category: "类别",
    count: "次数",
    first_seen: "首次",
    last_seen: "最近",
    tenant: "租户",
    advice: "处理建议",
    open: "在 Sigyn 中查看",
    more: ["另有 # 个", "另有 # 个"],
    lines_left_out: ["省略 # 行", "省略 # 行"],
    findings: ["# 个问题", "# 个问题"],
    severities: ["信息", "低", "中", "高", "严重"],
    worse: "恶化",
    going_on: "持续",
    still_open: "仍未处理",
    resolved: "已恢复",
    test: "测试",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_their_phrase() {
        assert_eq!(EN.lines_left_out(1), "1 line left out");
        assert_eq!(EN.lines_left_out(12), "12 lines left out");
        assert_eq!(ZH.findings(3), "3 个问题");
        assert_eq!(Language::parse("zh").unwrap().words().severity(Severity::Critical), "严重");
    }

    #[test]
    fn a_link_is_a_web_address_that_ends_no_attribute() {
        assert!(Link::parse("https://sigyn.example:3100/findings/17?x=1").is_some());
        for bad in [
            "javascript:alert(1)",
            "https://x/\"onload=",
            "https://x/>",
            "https://x/ y",
            "ftp://x",
            "https://x/)",
        ] {
            assert_eq!(Link::parse(bad), None, "{bad}");
        }
    }
}
