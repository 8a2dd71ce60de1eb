//! A value of any kind as text: strings as they are, lists and maps as JSON, in no more than the bytes that are left.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
};

use base64::{Engine, display::Base64Display, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::message::{AnyValue, any_value::Value};

/// The text would be longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Shows a value in at most `max` bytes.
pub(super) fn text(value: Option<Value>, max: usize) -> Result<Bytes, TooLong> {
    let text = match value {
        None => Bytes::new(),
        Some(Value::String(text)) => text,
        Some(Value::Bool(yes)) => Bytes::from_static(if yes { b"true" } else { b"false" }),
        Some(Value::Int(number)) => number.to_string().into(),
        Some(Value::Double(number)) => Double(number).to_string().into(),
        Some(Value::Bytes(bytes)) if bytes.len() > max => return Err(TooLong),
        Some(Value::Bytes(bytes)) => BASE64.encode(bytes).into(),
        Some(nested @ (Value::Array(_) | Value::Kvlist(_))) => {
            let mut text = Capped { text: Vec::new(), max };
            serde_json::to_writer(&mut text, &Json(Some(&nested))).map_err(|_| TooLong)?;
            text.text.into()
        }
    };
    if text.len() > max { Err(TooLong) } else { Ok(text) }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> Bytes {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// Text with everything that is no UTF-8 replaced, without a copy of it.
struct Lossy<'a>(&'a [u8]);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// A number as JavaScript writes it.
struct Double(f64);

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Double(number) = *self;
        if number.is_infinite() {
            f.write_str(if number > 0.0 { "Infinity" } else { "-Infinity" })
        } else if number == 0.0 || number.is_nan() || (1e-6..1e21).contains(&number.abs()) {
            write!(f, "{number}")
        } else {
            write!(f, "{number:e}")
        }
    }
}

/// A value as JSON.
struct Json<'a>(Option<&'a Value>);

impl Json<'_> {
    fn of(value: &AnyValue) -> Json<'_> {
        Json(value.value.as_ref())
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_unit(),
            Some(Value::String(text)) => serializer.collect_str(&Lossy(text)),
            Some(Value::Bool(yes)) => serializer.serialize_bool(*yes),
            Some(Value::Int(number)) => serializer.serialize_i64(*number),
            Some(Value::Double(number)) if number.is_finite() => serializer.serialize_f64(*number),
            Some(Value::Double(number)) => serializer.collect_str(&Double(*number)),
            Some(Value::Bytes(bytes)) => serializer.collect_str(&Base64Display::new(bytes, &BASE64)),
            Some(Value::Array(array)) => serializer.collect_seq(array.values.iter().map(Json::of)),
            Some(Value::Kvlist(list)) => serializer.collect_map(list.values.iter().map(|pair| {
                let value = pair.value.as_ref().map_or(Json(None), Json::of);
                (Key(&pair.key), value)
            })),
        }
    }
}

/// A key of a JSON object.
struct Key<'a>(&'a [u8]);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Lossy(self.0))
    }
}

/// Ends the writing when the text becomes too long.
struct Capped {
    text: Vec<u8>,
    max: usize,
}

impl Write for Capped {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if part.len() > self.max - self.text.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::message::{ArrayValue, KeyValue, KeyValueList},
        *,
    };

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn nested() -> Value {
        let pair = |key: &'static str, value| KeyValue { key: key.into(), value };
        let list = vec![any(Value::Int(-1)), any(Value::Double(1.5)), AnyValue { value: None }];
        Value::Kvlist(KeyValueList {
            values: vec![
                pair("a\"", Some(any(Value::String(Bytes::from_static(b"x\xff\n"))))),
                pair("list", Some(any(Value::Array(ArrayValue { values: list })))),
                pair("raw", Some(any(Value::Bytes(Bytes::from_static(b"\x00\x01"))))),
                pair("nan", Some(any(Value::Double(f64::NAN)))),
                pair("none", None),
            ],
        })
    }

    #[test]
    fn lists_and_maps_are_json_and_everything_else_is_itself() {
        let expected = r#"{"a\"":"x�\n","list":[-1,1.5,null],"raw":"AAE=","nan":"NaN","none":null}"#;
        assert_eq!(text(Some(nested()), 1_000).unwrap(), expected);
        for (value, expected) in [
            (Value::String(Bytes::from_static(b"as it \xff is")), b"as it \xff is".as_slice()),
            (Value::Bool(true), b"true"),
            (Value::Int(i64::MIN), b"-9223372036854775808"),
            (Value::Double(2.0), b"2"),
            (Value::Double(-0.25), b"-0.25"),
            (Value::Double(1e300), b"1e300"),
            (Value::Double(f64::NEG_INFINITY), b"-Infinity"),
            (Value::Bytes(Bytes::from_static(b"\x00\x01")), b"AAE="),
        ] {
            assert_eq!(text(Some(value), 1_000).unwrap(), expected);
        }
        assert_eq!(text(None, 0).unwrap(), "");
    }

    #[test]
    fn no_text_is_longer_than_its_limit() {
        let long = text(Some(nested()), 1_000).unwrap().len();
        assert!(text(Some(nested()), long).is_ok());
        assert_eq!(text(Some(nested()), long - 1), Err(TooLong));
        assert_eq!(text(Some(Value::Bytes(Bytes::from_static(b"abc"))), 3), Err(TooLong));
        assert_eq!(text(Some(Value::String(Bytes::from_static(b"abc"))), 2), Err(TooLong));
    }

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa0]), "000fa0");
    }
}
