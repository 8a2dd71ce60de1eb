//! What each markup needs so that a character means itself. All work on single characters: a cut never splits an escape.

use super::{Lines, Role, Style, Unit};

/// Comes after an `@`, so that it begins no mention; invisible, without width.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// No markup at all.
pub(in crate::notify) fn as_is(char: char, out: &mut String) {
    out.push(char);
}

/// HTML text and attribute values.
pub(in crate::notify) fn html(char: char, out: &mut String) {
    match char {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        c => out.push(c),
    }
}

/// Slack's mrkdwn inside a code block: `<` would begin a mention or a link, a backtick could end the block.
pub(in crate::notify) fn mrkdwn(char: char, out: &mut String) {
    match char {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '`' => out.push('ˋ'),
        c => out.push(c),
    }
}

/// Telegram text outside of code: no parse mode is used, but `@name` would still call somebody.
pub(in crate::notify) fn telegram(char: char, out: &mut String) {
    out.push(char);
    if char == '@' {
        out.push(ZERO_WIDTH_SPACE);
    }
}

/// Discord's Markdown.
pub(in crate::notify) fn discord(char: char, out: &mut String) {
    if "\\*_~`|>#-[]<".contains(char) {
        out.push('\\');
    }
    telegram(char, out);
}

/// Markdown of services that document no escape: what could begin markup or a mention is shown by its look-alike.
pub(in crate::notify) fn wide_markdown(char: char, out: &mut String) {
    match char {
        '`' => out.push('ˋ'),
        '*' => out.push('∗'),
        '_' => out.push('＿'),
        '[' => out.push('［'),
        ']' => out.push('］'),
        '~' => out.push('～'),
        '#' => out.push('＃'),
        c => angle(c, out),
    }
}

/// Text of services that read tags such as `<at …>` or `<@…>` in it and document no escape.
pub(in crate::notify) fn angle(char: char, out: &mut String) {
    match char {
        '<' => out.push('＜'),
        '>' => out.push('＞'),
        c => telegram(c, out),
    }
}

/// Nothing around anything.
pub(in crate::notify) const NO_WRAP: fn(Role) -> (&'static str, &'static str) = |_| ("", "");

/// Text without markup.
pub(in crate::notify) const fn plain_style(unit: Unit, max: usize) -> Style {
    Style { unit, max, escape: |_| as_is, wrap: NO_WRAP, newline: "\n", lines: Lines::Each }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::text::{Escape, cut};

    #[track_caller]
    fn check(escape: Escape, text: &str, expected: &str) {
        assert_eq!(cut(text, escape, Unit::Chars, 1_000), expected);
    }

    #[test]
    fn every_markup_shows_the_characters_themselves() {
        check(html, r#"<a href="x">&'"#, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        check(mrkdwn, "<!channel> & ```", "&lt;!channel&gt; &amp; ˋˋˋ");
        check(discord, "**a** <@1> :x: @everyone", "\\*\\*a\\*\\* \\<@\u{200b}1\\> :x: @\u{200b}everyone");
        check(wide_markdown, "![a](b) <@all> `x_y`", "!［a］(b) ＜@\u{200b}all＞ ˋx＿yˋ");
        check(angle, r#"<at user_id="all">"#, r#"＜at user_id="all"＞"#);
        check(telegram, "hi @admin", "hi @\u{200b}admin");
    }
}
