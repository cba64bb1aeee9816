//! A notice as Slack's incoming webhooks take it: blocks, with a plain text for notifications.

use serde_json::{Value as Json, json};

use super::message::Message;
use super::text::{slack_code as code, slack_plain};

/// A section of Slack's takes 3,000 characters; more is refused with the whole message.
const LONGEST_SECTION: usize = 2900;

/// The body of the request.
pub(super) fn body(message: &Message) -> Vec<u8> {
    let mut blocks = vec![section(&format!("*shieldrun: {}*", slack_plain(&message.summary)))];
    let mut rows = vec![
        format!("run {} on {}", code(&message.run_id), code(&message.host)),
        format!("in {}: {}", code(&message.workspace), code(&message.command.join(" "))),
    ];
    for leak in &message.leaks {
        rows.push(format!("{} ({}) to {}", code(&leak.name), code(&leak.encoding), code(&leak.place)));
    }
    blocks.push(section(&rows.join("\n")));
    let mut reasons: Vec<String> =
        message.reason_lines(code).iter().map(|line| format!("\u{2022} {line}")).collect();
    if reasons.is_empty() {
        reasons = message.held.iter().map(|file| format!("\u{2022} {}", code(file))).collect();
    }
    if !reasons.is_empty() {
        blocks.push(section(&fitting(&reasons)));
    }
    let mut ways = vec![format!("look at it: {}", code(&message.review))];
    ways.extend(message.approve.as_ref().map(|approve| format!("let it through: {}", code(approve))));
    blocks.push(section(&ways.join("\n")));
    let body = json!({"text": slack_plain(&format!("shieldrun: {}", message.summary)), "blocks": blocks});
    body.to_string().into_bytes()
}

fn section(text: &str) -> Json {
    let text: String = text.chars().take(LONGEST_SECTION).collect();
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

/// As many whole lines as fit: a line that is cut may end within its markup.
fn fitting(lines: &[String]) -> String {
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        if out.chars().count() + line.chars().count() > LONGEST_SECTION - 40 {
            out.push_str(&format!("and {} more", lines.len() - index));
            return out;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}
