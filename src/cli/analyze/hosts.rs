//! The label sets of the lines: what the command line says, the file's name, and the host that the line's head names.

use std::{collections::HashMap, rc::Rc};

use crate::{
    analyze::review::{Inspect, Review, StreamContext},
    model::Labels,
    wire::envelope,
};

/// Hosts told apart; lines of further ones are analysed together.
const MAX_HOSTS: usize = 1_024;
/// Contexts remembered; those of files that are read are made again.
const MAX_CONTEXTS: usize = 20_000;
/// Longest name taken for a host's: that of DNS.
const MAX_NAME: usize = 253;

/// Labels as written on the command line and in files' names.
pub(super) struct Hosts {
    given: Vec<(String, String)>,
    /// Whether lines are taken apart by what their heads say.
    reads_heads: bool,
    has_heads: bool,
    known: HashMap<(u32, Box<str>), Rc<StreamContext>>,
    names: HashMap<Box<str>, ()>,
    /// That of the last line: mostly the next one's, too.
    last: Option<(u32, Box<str>, Rc<StreamContext>)>,
}

impl Hosts {
    /// `grouping` are the labels that name a host; where one is given, lines' heads do not.
    pub fn new(given: Vec<(String, String)>, grouping: &[String], has_heads: bool) -> Self {
        let is_named = given.iter().any(|(name, _)| grouping.contains(name));
        let reads_heads = has_heads && !is_named && grouping.iter().any(|name| name == HOST);
        Hosts { given, reads_heads, has_heads, known: HashMap::new(), names: HashMap::new(), last: None }
    }

    /// What a line of a file has in common with others of its host.
    pub fn context<I: Inspect>(
        &mut self,
        file: (u32, &str),
        line: &[u8],
        review: &mut Review<I>,
    ) -> Rc<StreamContext> {
        let envelope = self.reads_heads.then(|| envelope::open(line));
        let host = envelope.as_ref().and_then(|envelope| envelope.host.as_deref()).unwrap_or_default();
        if let Some((number, name, context)) = &self.last
            && *number == file.0
            && **name == *host
        {
            return Rc::clone(context);
        }
        let host = self.bounded(host);
        let key = (file.0, Box::from(host));
        let context = match self.known.get(&key) {
            Some(context) => Rc::clone(context),
            None => {
                let mut context = review.context(self.labels(file.1, host));
                context.is_bare = !self.has_heads;
                let context = Rc::new(context);
                if self.known.len() >= MAX_CONTEXTS {
                    self.known.clear();
                }
                self.known.insert(key.clone(), Rc::clone(&context));
                context
            }
        };
        self.last = Some((key.0, key.1, Rc::clone(&context)));
        context
    }

    /// The host, unless it is one too many.
    fn bounded<'h>(&mut self, host: &'h str) -> &'h str {
        let is_known = self.names.contains_key(host);
        if is_known || host.is_empty() {
            return host;
        }
        if host.len() > MAX_NAME || self.names.len() >= MAX_HOSTS {
            return "";
        }
        self.names.insert(host.into(), ());
        host
    }

    fn labels(&self, file: &str, host: &str) -> Labels {
        let mut pairs: Vec<(&str, &str)> =
            self.given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, value) in [(HOST, host), (FILE, file)] {
            if !value.is_empty() && !pairs.iter().any(|(known, _)| *known == name) {
                pairs.push((name, value));
            }
        }
        Labels::from_pairs(pairs).unwrap_or_default()
    }
}

/// The label that names the host a line's head speaks of.
const HOST: &str = "host";
/// The label that Promtail gives to lines of files.
const FILE: &str = "filename";

/// Reads `name=value`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    match is_name && !value.is_empty() {
        true => Ok((name.to_owned(), value.to_owned())),
        false => Err("a name is letters, digits and _, and a value not empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_name_and_a_value() {
        assert_eq!(label("host=web-1"), Ok(("host".to_owned(), "web-1".to_owned())));
        assert_eq!(label("q=a=b"), Ok(("q".to_owned(), "a=b".to_owned())));
        for wrong in ["host", "=x", "host=", "ho-st=x", "1x=y"] {
            assert!(label(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn labels_are_those_given_then_the_host_of_the_head_then_the_file() {
        let labels = |given: &[&str], host: &str| {
            let given = given.iter().map(|text| label(text).unwrap()).collect();
            Hosts::new(given, &["host".to_owned()], true).labels("a.log", host).to_string()
        };
        assert_eq!(labels(&[], "web-1"), r#"{filename="a.log", host="web-1"}"#);
        assert_eq!(labels(&["host=b", "job=x"], "web-1"), r#"{filename="a.log", host="b", job="x"}"#);
        assert_eq!(labels(&["filename=b"], ""), r#"{filename="b"}"#);
    }
}
