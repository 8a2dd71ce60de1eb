//! Names of metadata and labels as LogQL can say them.

use std::borrow::Cow;

/// A name of which nothing is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It was empty.
    #[error("label name is empty")]
    Empty,
    /// It has no legal character.
    #[error("normalization for label name {name:?} resulted in invalid name {normalised:?}")]
    Nothing {
        /// As sent.
        name: String,
        /// Only `_`.
        normalised: String,
    },
}

/// What is no ASCII letter, digit or `_` becomes `_`; a digit in front gets `key_` before it.
pub fn legal(name: &[u8]) -> Result<Cow<'_, [u8]>, BadName> {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let starts_with_digit = name.first().ok_or(BadName::Empty)?.is_ascii_digit();
    if name.iter().all(is_legal) && !starts_with_digit {
        return Ok(Cow::Borrowed(name));
    }
    let text = String::from_utf8_lossy(name);
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut normalised: String = text.chars().map(legal).collect();
    if normalised.chars().all(|c| c == '_') {
        return Err(BadName::Nothing { name: text.into_owned(), normalised });
    }
    if starts_with_digit {
        normalised.insert_str(0, "key_");
    }
    Ok(Cow::Owned(normalised.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mended_character_by_character() {
        for (name, expected) in
            [("a_1", "a_1"), ("k8s.pod-name", "k8s_pod_name"), ("1a", "key_1a"), ("größe", "gr__e")]
        {
            assert_eq!(legal(name.as_bytes()).as_deref(), Ok(expected.as_bytes()));
        }
        assert_eq!(legal(b""), Err(BadName::Empty));
        assert!(matches!(legal(b"..."), Err(BadName::Nothing { .. })));
    }
}
