//! YAML as a tree in which every node knows where it was written. Bounded; anchors and aliases are refused, so that
//! a small file cannot become a large tree.

use std::{fmt, path::Path};

use serde_saphyr::granit_parser::{Event, Parser, Span};

use super::mistake::Report;

/// Largest configuration file; real ones have a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Deepest nesting; the settings use five levels.
const DEPTH_MAX: usize = 16;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nowhere.
    Default,
    /// A line of a file.
    File(String, usize),
    /// An environment variable, possibly of a `.env` file.
    Variable(String),
    /// A flag on the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("settings"),
            Origin::File(path, 0) => f.write_str(path),
            Origin::File(path, line) => write!(f, "{path}:{line}"),
            Origin::Variable(name) => write!(f, "environment {name}"),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A value with its origin.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// What a node holds. Scalars stay text: the key's type decides what they mean.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// Found unreadable and noted; skipped from then on.
    Broken,
}

impl Node {
    /// A tree without keys.
    pub(super) fn empty() -> Self {
        Node { origin: Origin::Default, value: Value::Map(Vec::new()) }
    }

    /// A scalar.
    pub(super) fn scalar(text: &str, origin: Origin) -> Self {
        Node { origin, value: Value::Scalar(text.to_owned()) }
    }

    /// Sets the value of a dotted key, making the maps on the way.
    pub(super) fn set(&mut self, key: &str, node: Node) {
        let (head, rest) = key.split_once('.').map_or((key, None), |(head, rest)| (head, Some(rest)));
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(pairs) = &mut self.value else { return };
        let at = pairs.iter().position(|(name, _)| name == head).unwrap_or(pairs.len());
        if at == pairs.len() {
            pairs.push((head.to_owned(), Node { origin: node.origin.clone(), value: Value::Null }));
        }
        let Some((_, slot)) = pairs.get_mut(at) else { return };
        match rest {
            Some(rest) => slot.set(rest, node),
            None => *slot = node,
        }
    }

    /// Whether the dotted key was written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).1
    }

    /// Where the dotted key (`a.b[0].c`) was written, or the nearest part of it.
    pub(super) fn origin_of(&self, key: &str) -> &Origin {
        self.find(key).0
    }

    fn find(&self, key: &str) -> (&Origin, bool) {
        let mut node = self;
        for step in key.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let next = match &node.value {
                Value::Map(pairs) => pairs.iter().find(|(name, _)| name == step).map(|(_, node)| node),
                Value::List(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return (&node.origin, false),
            }
        }
        (&node.origin, true)
    }
}

/// Reads a file; what cannot be read is noted and counts as empty.
pub(super) fn read_file(path: &Path, report: &mut Report) -> Node {
    let name = path.display().to_string();
    let whole = Origin::File(name.clone(), 0);
    let read = std::fs::metadata(path).and_then(|about| {
        if about.len() > FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        std::fs::read_to_string(path)
    });
    match read {
        Ok(text) => parse(&text, |line| Origin::File(name.clone(), line), report),
        Err(error) => {
            report.at(&whole, "", format!("cannot read the file: {error}"), "check --config");
            Node::empty()
        }
    }
}

/// Parses YAML text; a mistake in its grammar is noted and counts as empty.
pub(super) fn parse(text: &str, origin: impl Fn(usize) -> Origin, report: &mut Report) -> Node {
    let mut builder = Builder { origin: &origin, open: Vec::new(), done: None };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err((error.marker().line(), error.info())),
        };
        if let Err((line, problem)) = step {
            report.at(&origin(line), "", format!("not valid YAML: {problem}"), "mind indentation and quotes");
            return Node::empty();
        }
    }
    match builder.done {
        Some(Node { value: Value::Null, .. }) | None => Node::empty(),
        Some(node) => node,
    }
}

struct Builder<'a, F> {
    origin: &'a F,
    open: Vec<Open>,
    done: Option<Node>,
}

struct Open {
    node: Node,
    key: Option<String>,
}

impl<F: Fn(usize) -> Origin> Builder<'_, F> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), (usize, String)> {
        let line = span.start.line();
        let origin = (self.origin)(line);
        match event {
            Event::Scalar(text, style, _, _) => {
                let is_plain = matches!(style, serde_saphyr::granit_parser::ScalarStyle::Plain);
                let is_key = self.open.last().is_some_and(Open::wants_key);
                let is_null = is_plain && !is_key && matches!(&*text, "" | "~" | "null");
                let value = if is_null { Value::Null } else { Value::Scalar(text.into_owned()) };
                self.put(Node { origin, value }, line)
            }
            Event::SequenceStart(..) => self.begin(Node { origin, value: Value::List(Vec::new()) }, line),
            Event::MappingStart(..) => self.begin(Node { origin, value: Value::Map(Vec::new()) }, line),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.put(open.node, line),
                None => Ok(()),
            },
            Event::Alias(_) => Err((line, "anchors and aliases are not supported".to_owned())),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, node: Node, line: usize) -> Result<(), (usize, String)> {
        if self.open.len() >= DEPTH_MAX {
            return Err((line, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(Open { node, key: None });
        Ok(())
    }

    fn put(&mut self, node: Node, line: usize) -> Result<(), (usize, String)> {
        let Some(open) = self.open.last_mut() else {
            if self.done.is_some() {
                return Err((line, "more than one document".to_owned()));
            }
            self.done = Some(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take(), node.value) {
            (Value::List(items), _, value) => items.push(Node { origin: node.origin, value }),
            (Value::Map(pairs), None, Value::Scalar(key)) => {
                if pairs.iter().any(|(known, _)| *known == key) {
                    return Err((line, format!("key '{key}' is written twice")));
                }
                open.key = Some(key);
            }
            (Value::Map(pairs), Some(key), value) => pairs.push((key, Node { origin: node.origin, value })),
            _ => return Err((line, "a key must be plain text".to_owned())),
        }
        Ok(())
    }
}

impl Open {
    fn wants_key(&self) -> bool {
        matches!(self.node.value, Value::Map(_)) && self.key.is_none()
    }
}
