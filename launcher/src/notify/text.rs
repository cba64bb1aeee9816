//! Text from inside in other people's markup: nothing in it is a link, a mention or a line of its own.

use shieldrun_secrets::Redactor;

/// A name is not longer than this in a notice.
const LONGEST: usize = 400;

/// The text with every part of a real value painted over.
pub(super) fn painted(redactor: &Redactor<'_>, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    redactor.paint_over(&mut bytes);
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// One line of bounded length: no control characters, none that turn the direction of writing.
pub(super) fn line(text: &str) -> String {
    let mut out: String =
        text.chars().take(LONGEST).map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A code span of Markdown: fenced by more backticks than are in it.
pub(super) fn code(text: &str) -> String {
    let text = line(text);
    if text.trim().is_empty() {
        return "(nothing)".to_owned();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A space inside the fence is taken away again, and keeps a backtick at the edge apart from it.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code span of Slack's mrkdwn, which knows one fence only; `<`, `>` and `&` are its markup everywhere.
pub(super) fn slack_code(text: &str) -> String {
    let text = line(text);
    if text.trim().is_empty() {
        return "(nothing)".to_owned();
    }
    format!("`{}`", slack_plain(&text).replace('`', "\u{2bc}"))
}

/// Text of Slack's mrkdwn without its markup.
pub(super) fn slack_plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_inside_leaves_its_code_span() {
        for (text, markdown, slack) in [
            ("app.py", "`app.py`", "`app.py`"),
            ("a`b", "``a`b``", "`a\u{2bc}b`"),
            ("``", "``` `` ```", "`\u{2bc}\u{2bc}`"),
            ("<!channel>", "`<!channel>`", "`&lt;!channel&gt;`"),
            ("a\nb\u{202e}", "`a\u{fffd}b\u{fffd}`", "`a\u{fffd}b\u{fffd}`"),
            ("[x](http://h)", "`[x](http://h)`", "`[x](http://h)`"),
            (" ", "(nothing)", "(nothing)"),
            ("a&b", "`a&b`", "`a&amp;b`"),
        ] {
            assert_eq!((code(text).as_str(), slack_code(text).as_str()), (markdown, slack), "{text:?}");
        }
        assert!(line(&"x".repeat(5000)).chars().count() <= LONGEST + 1);
    }
}
