//! A serde deserializer over the tree that finds every mistake: what cannot be read is noted with its place, taken
//! out of the tree, and the rest is read again.

use std::fmt;

use serde::{
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{
    mistake::Report,
    tree::{Node, Value},
};

/// Reads everything readable of the tree; the rest is noted.
pub(super) fn section<T: DeserializeOwned + Default>(root: &mut Node, report: &mut Report) -> T {
    // Every round takes one node out, so there are at most as many rounds as nodes.
    loop {
        let error = match T::deserialize(Reader(root)) {
            Ok(section) => return section,
            Err(error) => error,
        };
        let key = error.key();
        let (problem, mend) = error.problem.split_once("; ").unwrap_or((&error.problem, ""));
        report.at(root.origin_of(&key), &key, problem, mend);
        if !take_out(root, &error.path) {
            return T::default();
        }
    }
}

fn take_out(root: &mut Node, path: &[Step]) -> bool {
    let mut node = root;
    for step in path.iter().rev() {
        let next = match (&mut node.value, step) {
            (Value::Map(pairs), Step::Key(key)) => {
                pairs.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            (Value::List(items), Step::Index(at)) => items.get_mut(*at),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => return false,
        }
    }
    node.value = Value::Broken;
    !path.is_empty()
}

/// A step of a key, innermost first in an error's path.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

#[derive(Debug)]
struct ReadError {
    path: Vec<Step>,
    problem: String,
}

impl ReadError {
    fn inside(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    fn key(&self) -> String {
        let mut key = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(name) if key.is_empty() => key.push_str(name),
                Step::Key(name) => key.extend([".", name]),
                Step::Index(at) => key.push_str(&format!("[{at}]")),
            }
        }
        key
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        ReadError { path: Vec::new(), problem: problem.to_string() }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let near = expected.iter().find(|known| is_near(known, field));
        Self::custom(match near {
            Some(near) => format!("unknown key; did you mean '{near}'?"),
            None => format!(
                "unknown key; known here are {} of '{field}'s kind: {}",
                expected.len(),
                expected.join(", ")
            ),
        })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("unknown value '{variant}'; write one of: {}", expected.join(", ")))
    }
}

/// Whether two words differ by at most two letters (optimal string alignment would say the same for most typos).
fn is_near(left: &str, right: &str) -> bool {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, l) in left.chars().enumerate() {
        let mut next = vec![at + 1];
        for ((r, above), diagonal) in right.iter().zip(row.iter().skip(1)).zip(&row) {
            let before = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(l != *r)).min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().is_some_and(|&distance| distance <= 2)
}

struct Reader<'a>(&'a Node);

impl Reader<'_> {
    fn kind(&self) -> &'static str {
        match self.0.value {
            Value::Null | Value::Broken => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a group of keys",
        }
    }

    fn text(&self, wanted: &str) -> Result<&str, ReadError> {
        match &self.0.value {
            Value::Scalar(text) => Ok(text),
            _ => Err(de::Error::custom(format!("is {}; write {wanted}", self.kind()))),
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty, $wanted:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let text = self.text($wanted)?;
            let number: $kind = text.replace('_', "").parse().map_err(|_| {
                de::Error::custom(format!("not valid here: '{text}'; write {}", $wanted))
            }).map_err(|error: ReadError| error)?;
            visitor.$visit(number)
        }
    )+};
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::Null | Value::Broken => visitor.visit_unit(),
            Value::Scalar(text) => visitor.visit_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.text("true or false")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            text => Err(de::Error::custom(format!("not valid here: '{text}'; write true or false"))),
        }
    }

    numbers! {
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_str(self.text("text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0.value {
            Value::Null | Value::Broken => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            _ => Err(de::Error::custom(format!("is {}; write a list: [one, two]", self.kind()))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Value::Null => visitor.visit_map(Pairs { rest: [].iter(), current: None }),
            Value::Map(pairs) => visitor.visit_map(Pairs { rest: pairs.iter(), current: None }),
            _ => Err(de::Error::custom(format!("is {}; write keys below it, indented", self.kind()))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_enum(self.text("one word")?.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Node>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let next = self.0.find(|(_, node)| !matches!(node.value, Value::Broken));
        next.map(|(at, node)| seed.deserialize(Reader(node)).map_err(|e| e.inside(Step::Index(at))))
            .transpose()
    }
}

struct Pairs<'a> {
    rest: std::slice::Iter<'a, (String, Node)>,
    current: Option<&'a (String, Node)>,
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.current = self.rest.find(|(_, node)| !matches!(node.value, Value::Broken));
        let Some((key, _)) = self.current else { return Ok(None) };
        let read = seed.deserialize(key.as_str().into_deserializer());
        read.map(Some).map_err(|error: ReadError| error.inside(Step::Key(key.clone())))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ReadError> {
        let Some((key, node)) = self.current else {
            return Err(de::Error::custom("a value without a key"));
        };
        seed.deserialize(Reader(node)).map_err(|error| error.inside(Step::Key(key.clone())))
    }
}
