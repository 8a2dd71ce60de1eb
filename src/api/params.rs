//! Query parameters, read one by one and strictly: what an endpoint did not ask for is refused by name, so that a
//! mistyped filter never silently shows everything.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};

use super::error::ApiError;
use crate::model::{Selector, Timestamp};

/// Parameters of one request, a URL may carry at most so many.
const MAX_PARAMETERS: usize = 64;

/// The parameters of a request, and which of them were asked for.
#[derive(Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    /// The value of a parameter that may be given once. An empty value counts as not given.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut values = self.take(name).into_iter();
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(bad(name, "given more than once")),
            (value, None) => Ok(value),
        }
    }

    /// A parameter read by `read`; `expected` says what it should have been.
    pub fn one<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        self.text(name)?.map(|text| read(&text).ok_or_else(|| refused(name, &text, expected))).transpose()
    }

    /// A parameter that may be given several times, or once with commas.
    pub fn many<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ApiError> {
        let values = self.take(name);
        let words = values.iter().flat_map(|value| value.split(',')).map(str::trim);
        words.map(|word| read(word).ok_or_else(|| refused(name, word, expected))).collect()
    }

    /// A time: RFC 3339 or nanoseconds since 1970.
    pub fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
        self.text(name)?
            .map(|text| Timestamp::from_str(&text).map_err(|error| bad(name, &error.to_string())))
            .transpose()
    }

    /// `from` and `to`, in order.
    pub fn range(&mut self) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
        let (from, to) = (self.time("from")?, self.time("to")?);
        match (from, to) {
            (Some(start), Some(end)) if end <= start => Err(bad("to", "must be after 'from'")),
            _ => Ok((from, to)),
        }
    }

    /// The parameter `selector`: a stream selector.
    pub fn selector(&mut self) -> Result<Option<Selector>, ApiError> {
        self.text("selector")?
            .map(|text| Selector::from_str(&text).map_err(|error| bad("selector", &error.to_string())))
            .transpose()
    }

    /// A whole number between 1 and `max`.
    pub fn count(&mut self, name: &'static str, default: usize, max: usize) -> Result<usize, ApiError> {
        let expected = format!("a whole number from 1 to {max}");
        let read = |text: &str| text.parse().ok().filter(|count| (1..=max).contains(count));
        Ok(self.one(name, &expected, read)?.unwrap_or(default))
    }

    /// Refuses whatever nobody asked for.
    pub fn end(self) -> Result<(), ApiError> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.pairs.iter().map(|(name, _)| format!("'{name}'")).collect();
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        Err(ApiError::UnknownParameters { names: names.join(", "), known })
    }

    fn take(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let (asked, rest) = std::mem::take(&mut self.pairs).into_iter().partition(|(n, _)| n == name);
        self.pairs = rest;
        let asked: Vec<(String, String)> = asked;
        asked.into_iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect()
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| ApiError::BadQueryString(error.body_text()))?;
        if pairs.len() > MAX_PARAMETERS {
            return Err(ApiError::BadQueryString(format!("more than {MAX_PARAMETERS} parameters")));
        }
        Ok(Params { pairs, known: Vec::new() })
    }
}

/// A parameter that is refused for `reason`.
pub fn bad(name: &str, reason: &str) -> ApiError {
    ApiError::BadParameter { name: name.to_owned(), reason: reason.to_owned() }
}

fn refused(name: &str, value: &str, expected: &str) -> ApiError {
    bad(name, &format!("'{value}' is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let uri = format!("/x?{query}").parse().unwrap();
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).unwrap();
        Params { pairs, known: Vec::new() }
    }

    #[test]
    fn what_nobody_asked_for_is_named() {
        let mut params = params("limit=5&sevrity=high&x=1");
        assert_eq!(params.count("limit", 10, 100).unwrap(), 5);
        assert_eq!(params.end().unwrap_err().to_string(), "unknown parameters 'sevrity', 'x'; known: limit");
    }

    #[test]
    fn a_list_may_be_repeated_or_written_with_commas() {
        let read = |text: &str| text.parse::<u8>().ok();
        assert_eq!(params("n=1,2&n=3").many("n", "a number", read).unwrap(), [1, 2, 3]);
        assert_eq!(
            params("n=1,x").many("n", "a number", read).unwrap_err().to_string(),
            "parameter 'n': 'x' is not a number"
        );
    }

    #[test]
    fn limits_and_ranges_are_bounded() {
        for text in ["limit=0", "limit=101", "limit=-1", "limit=1e3"] {
            assert!(params(text).count("limit", 10, 100).is_err(), "{text}");
        }
        assert!(params("from=10&to=10").range().is_err());
        assert!(params("from=2026-11-21T10:00:00Z&to=1").range().is_err());
        assert!(params("from=1&from=2").range().is_err());
        assert_eq!(params("from=1").range().unwrap(), (Some(Timestamp::from_nanos(1)), None));
    }
}
