//! The list of all keys, read off the sections' types themselves: no list to forget to extend.

use std::fmt;

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::section::Raw;

/// A key of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Dotted path; `[]` stands for any item of a list, `*` for any name.
    pub path: String,
}

impl Key {
    /// The environment variable that sets it; none for keys inside lists and named groups.
    pub fn variable(&self) -> Option<String> {
        let is_plain = !self.path.contains(['[', '*']);
        is_plain.then(|| format!("SIGYN_{}", self.path.to_uppercase().replace('.', "_")))
    }
}

/// Every key that takes a value, lists and named groups included.
pub fn all() -> Vec<Key> {
    let mut keys = Vec::new();
    // Tracing answers every question with a harmless value; it cannot fail on types that take any of these.
    let _ = Raw::deserialize(Tracer { path: String::new(), keys: &mut keys });
    keys
}

#[derive(Debug)]
struct TraceError;

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not traceable")
    }
}

impl std::error::Error for TraceError {}

impl de::Error for TraceError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        TraceError
    }
}

struct Tracer<'a> {
    path: String,
    keys: &'a mut Vec<Key>,
}

impl Tracer<'_> {
    fn note(&mut self) {
        self.keys.push(Key { path: self.path.clone() });
    }
}

impl<'de> de::Deserializer<'de> for Tracer<'_> {
    type Error = TraceError;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.note();
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.note();
        visitor.visit_bool(false)
    }

    fn deserialize_u64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.note();
        visitor.visit_u64(0)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.note();
        // Zero is a duration, a size and a text.
        visitor.visit_str("0")
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TraceError> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.note();
        visitor.visit_seq(Once { path: format!("{}[]", self.path), keys: Some(self.keys) })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.note();
        visitor.visit_map(Fields { path: self.path, rest: ["*"].iter(), current: "", keys: self.keys })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        visitor.visit_map(Fields { path: self.path, rest: fields.iter(), current: "", keys: self.keys })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        self.note();
        visitor.visit_enum(variants.first().copied().unwrap_or_default().into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct Once<'a> {
    path: String,
    keys: Option<&'a mut Vec<Key>>,
}

impl<'de> SeqAccess<'de> for Once<'_> {
    type Error = TraceError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, TraceError> {
        let Some(keys) = self.keys.take() else { return Ok(None) };
        seed.deserialize(Tracer { path: self.path.clone(), keys }).map(Some)
    }
}

struct Fields<'a> {
    path: String,
    rest: std::slice::Iter<'static, &'static str>,
    current: &'static str,
    keys: &'a mut Vec<Key>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = TraceError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TraceError> {
        let Some(field) = self.rest.next() else { return Ok(None) };
        self.current = field;
        seed.deserialize(self.current.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, TraceError> {
        let dot = if self.path.is_empty() { "" } else { "." };
        seed.deserialize(Tracer { path: format!("{}{dot}{}", self.path, self.current), keys: self.keys })
    }
}
