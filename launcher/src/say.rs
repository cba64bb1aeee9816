//! Owns what shieldrun says: on stderr, prefixed, and with colour only on a terminal.

use std::error::Error;
use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Prints an error, its causes and a next step.
pub(crate) fn error(error: &dyn Error, hint: Option<&str>) {
    let mut text = format!("{}{error}\n", prefix("error"));
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!("  caused by: {inner}\n"));
        cause = inner.source();
    }
    if let Some(hint) = hint {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    write(&text);
}

/// Prints one line that something is wrong.
pub(crate) fn warning(message: impl Display) {
    write(&format!("{}{message}\n", prefix("warning")));
}

/// Prints one plain line.
pub(crate) fn line(message: impl Display) {
    write(&format!("shieldrun: {message}\n"));
}

/// Prints what is wrong with the command line.
pub(crate) fn usage(error: &clap::Error) {
    let text = error.render();
    let text = if is_colourful() { text.ansi().to_string() } else { text.to_string() };
    write(&format!("shieldrun: {text}"));
}

/// Ends a line that somebody else began.
pub(crate) fn blank() {
    write("\n");
}

fn prefix(word: &str) -> String {
    let colour = match word {
        "error" => "31",
        _ => "33",
    };
    if is_colourful() {
        format!("shieldrun: \x1b[{colour};1m{word}:\x1b[0m ")
    } else {
        format!("shieldrun: {word}: ")
    }
}

fn is_colourful() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// One write, so that lines of several processes do not mix; a stderr that is gone is nobody's fault.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
