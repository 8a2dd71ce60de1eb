//! Titles: a rule's template filled with what was seen.
//!
//! `{name}` is a value; a part in brackets is left out when a value inside it is unknown.

/// Longest title; channels cut longer ones anyway.
const MAX_TITLE: usize = 240;

/// Fills a template. Values are cleaned: log text must not bring control characters into a title.
pub(super) fn fill(template: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut title = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((plain, after)) = rest.split_once('[') {
        let (part, after) = after.split_once(']').unwrap_or((after, ""));
        title.push_str(&substitute(plain, value).0);
        let (part, is_complete) = substitute(part, value);
        if is_complete {
            title.push_str(&part);
        }
        rest = after;
    }
    title.push_str(&substitute(rest, value).0);
    title.truncate(title.floor_char_boundary(MAX_TITLE));
    title
}

/// Fills a longer text: values only, brackets stay.
pub(super) fn fill_text(template: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    substitute(template, value).0
}

fn substitute(text: &str, value: &dyn Fn(&str) -> Option<String>) -> (String, bool) {
    let (mut out, mut is_complete, mut rest) = (String::new(), true, text);
    while let Some((plain, after)) = rest.split_once('{') {
        out.push_str(plain);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        match value(name).filter(|value| !value.is_empty()) {
            Some(value) => out.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c })),
            None => {
                out.push('?');
                is_complete = false;
            }
        }
        rest = after;
    }
    out.push_str(rest);
    (out, is_complete)
}

/// A time span in words.
pub(super) fn span(secs: u64) -> String {
    match secs {
        0..=1 => "1 s".to_owned(),
        2..=119 => format!("{secs} s"),
        120..=7199 => format!("{} min", secs / 60),
        _ => format!("{} h", secs / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_parts_vanish_with_their_values_and_controls_become_blanks() {
        let value = |name: &str| (name == "a").then(|| "x\u{1b}y".to_owned());
        assert_eq!(fill("{a}: up[ by {b}][ on {a}]", &value), "x y: up on x y");
        assert_eq!(fill("{b} down", &value), "? down");
    }

    #[test]
    fn spans_read_in_the_unit_that_fits() {
        assert_eq!([span(0), span(90), span(240), span(7200)], ["1 s", "90 s", "4 min", "2 h"]);
    }
}
