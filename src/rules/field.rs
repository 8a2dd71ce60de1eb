//! The facts a rule may take out of a line: a closed list, each with the shape its text has.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Longest value that is kept; log text is hostile and values become keys.
const MAX_VALUE: usize = 200;

/// A named fact of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    Ip,
    User,
    Port,
    Proc,
    Pid,
    Dev,
    Path,
    Unit,
    N,
    Host,
    Service,
    Status,
    Command,
    Name,
    Uid,
    Reason,
    Upstream,
    Method,
    Agent,
    Program,
}

impl Field {
    /// Every field with its name and the regular expression of its text.
    const SHAPES: [(Field, &'static str, &'static str); 20] = [
        (Field::Ip, "ip", IP),
        (Field::User, "user", r#"(?P<user>[^\s'"<>()\[\],;]{0,128})"#),
        (Field::Port, "port", r"(?P<port>[0-9]{1,5})"),
        (Field::Proc, "proc", r"(?P<proc>[^\[\]()'\s][^\[\]()']{0,31})"),
        (Field::Pid, "pid", r"(?P<pid>[0-9]{1,10})"),
        (Field::Dev, "dev", r"(?P<dev>[A-Za-z0-9_/-]{1,64})"),
        (Field::Path, "path", r#"(?P<path>[^\s"',]{1,200})"#),
        (Field::Unit, "unit", r#"(?P<unit>[^\s:'",;)]{1,128})"#),
        (Field::N, "n", r"(?P<n>-?[0-9]{1,20})"),
        (Field::Host, "host", r"(?P<host>[^\s\[\]()<>,;]{1,128})"),
        (Field::Service, "service", r"(?P<service>[^\s:()\[\],;]{1,64})"),
        (Field::Status, "status", r"(?P<status>[A-Za-z0-9/_-]{1,40})"),
        (Field::Command, "command", r"(?P<command>.{1,200})"),
        (Field::Name, "name", r#"(?P<name>[^\s"',;()]{1,128})"#),
        (Field::Uid, "uid", r"(?P<uid>[0-9]{1,10})"),
        (Field::Reason, "reason", r"(?P<reason>.{1,200})"),
        (Field::Upstream, "upstream", r#"(?P<upstream>[^\s",]{1,200})"#),
        (Field::Method, "method", r"(?P<method>[A-Z]{3,10})"),
        (Field::Agent, "agent", r#"(?P<agent>[^"]{1,200})"#),
        (Field::Program, "program", r"(?P<program>[^\s:\[\]]{1,64})"),
    ];

    /// The field of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::SHAPES.iter().find(|(_, known, _)| *known == name).map(|(field, _, _)| *field)
    }

    /// The name used in rules and titles.
    pub fn as_str(self) -> &'static str {
        Self::SHAPES.iter().find(|(field, _, _)| *field == self).map_or("", |(_, name, _)| name)
    }

    /// The regular expression of the field's text, as a named group.
    pub(super) fn shape(self) -> &'static str {
        Self::SHAPES.iter().find(|(field, _, _)| *field == self).map_or("", |(_, _, shape)| shape)
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        Self::SHAPES.map(|(_, name, _)| name).join(", ")
    }
}

/// An address as daemons write it: IPv4 (also mapped into IPv6) or IPv6, bare or in brackets.
const IP: &str = concat!(
    r"\[?(?:::[fF]{4}:)?",
    r"(?P<ip>[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})\]?"
);

/// A source that may be an address or a host name; kept in the field `ip`.
pub(super) const ADDRESS: &str = r"\[?(?:::[fF]{4}:)?(?P<ip>[0-9A-Za-z_][0-9A-Za-z_.:%-]{0,127}|::1)\]?";

/// The facts of one line, in the order they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(SmallVec<[(Field, Box<str>); 4]>);

impl Fields {
    /// The value of a field.
    pub fn get(&self, field: Field) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == field).map(|(_, value)| value.as_ref())
    }

    /// Adds a value unless the field has one; empty values say nothing.
    pub fn add(&mut self, field: Field, value: &str) {
        let value = if field == Field::Ip { address(value) } else { value.trim() };
        if value.is_empty() || self.get(field).is_some() {
            return;
        }
        let cut = value.floor_char_boundary(MAX_VALUE);
        self.0.push((field, value.get(..cut).unwrap_or_default().into()));
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &str)> {
        self.0.iter().map(|(field, value)| (*field, value.as_ref()))
    }
}

/// An address without what daemons put around it: brackets, the mapping prefix, a port, a full stop.
fn address(text: &str) -> &str {
    let text = text.trim().trim_end_matches(['.', ':', ',']);
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let mapped = text.get(..7).filter(|start| start.eq_ignore_ascii_case("::ffff:"));
    let text = mapped.and_then(|_| text.get(7..)).filter(|rest| rest.contains('.')).unwrap_or(text);
    match text.rsplit_once(':') {
        Some((host, _port)) if !host.contains(':') && host.parse::<IpAddr>().is_ok() => host,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_brackets_mapping_and_port() {
        for (text, plain) in [
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("192.0.2.1:443", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("host.example.", "host.example"),
        ] {
            let mut fields = Fields::default();
            fields.add(Field::Ip, text);
            assert_eq!(fields.get(Field::Ip), Some(plain));
        }
    }

    #[test]
    fn the_first_value_stays_and_long_ones_are_cut_on_a_character() {
        let mut fields = Fields::default();
        fields.add(Field::User, &"ü".repeat(150));
        fields.add(Field::User, "second");
        assert_eq!(fields.get(Field::User).map(str::len), Some(200));
    }
}
