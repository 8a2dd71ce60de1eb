//! A stream's label set: sorted by name, unique, without empty values.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

/// A label set. Cheap to clone; equality and hash are those of the sorted pairs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(Arc<[(Box<str>, Box<str>)]>);

/// The same name occurs twice in one label set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("duplicate label name: '{0}'")]
pub struct DuplicateLabel(pub String);

impl Labels {
    /// Sorts the pairs and drops those with empty values, as Loki does.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, DuplicateLabel>
    where
        N: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        let mut sorted: Vec<(Box<str>, Box<str>)> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        for (left, right) in sorted.iter().zip(sorted.iter().skip(1)) {
            if left.0 == right.0 {
                return Err(DuplicateLabel(left.0.to_string()));
            }
        }
        sorted.retain(|(_, value)| !value.is_empty());
        Ok(Labels(sorted.into()))
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(n, _)| n.as_ref().cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value.as_ref())
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Labels {
    /// Loki's text form: `{a="b", c="d"}` with values quoted as in Go.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&LabelPairs(&self.0), f)
    }
}

/// Shows pairs that need not be a valid label set (duplicates, odd names) in the same text form, in their order.
pub struct LabelPairs<'a, N, V>(pub &'a [(N, V)]);

impl<N: AsRef<str>, V: AsRef<str>> fmt::Display for LabelPairs<'_, N, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}=\"", name.as_ref())?;
            for c in value.as_ref().chars() {
                match c {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if (c as u32) < 0x20 || c as u32 == 0x7f => write!(f, "\\x{:02x}", c as u32)?,
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str("\"")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Collects pairs as they come: ten thousand label sets are read at every start.
struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of label names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(16);
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Labels::from_pairs(pairs).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_sorted_quoted_and_without_empty_values() {
        let labels = Labels::from_pairs([("b", "x\"\n"), ("a", "1"), ("c", "")]).unwrap();
        assert_eq!(labels.to_string(), r#"{a="1", b="x\"\n"}"#);
        assert_eq!(labels.get("b"), Some("x\"\n"));
        assert_eq!(labels.get("c"), None);
    }

    #[test]
    fn json_comes_back_and_doubled_names_do_not() {
        let labels = Labels::from_pairs([("b", "x\"\n"), ("a", "1")]).unwrap();
        let json = serde_json::to_string(&labels).unwrap();
        assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), labels);
        assert!(serde_json::from_str::<Labels>(r#"{"a": "1", "a": "2"}"#).is_err());
    }

    #[test]
    fn a_name_may_occur_once() {
        assert_eq!(Labels::from_pairs([("a", "1"), ("a", "2")]), Err(DuplicateLabel("a".into())));
    }
}
