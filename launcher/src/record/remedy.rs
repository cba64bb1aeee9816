//! What to do about a denial, in one sentence: which key of whose policy, or that there is none.

use serde_json::Value as Json;

use super::past::plain;

/// Calls that a sandbox of an agent's own needs.
const NESTING: &[&str] =
    &["unshare", "clone", "clone3", "setns", "mount", "umount2", "pivot_root", "move_mount"];

/// The next step for whoever finds this in a trace.
pub(super) fn remedy(action: &str, event: &Json) -> Option<String> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).map(plain);
    let run = || text("/shieldrun/run_id").unwrap_or_default();
    let rule = text("/rule/name").unwrap_or_default();
    Some(match action {
        "secret-file-denied" | "secret-file-read" => match rule.strip_prefix("secrets.files.") {
            Some(path) if rule != "secrets.files.git" && rule != "secrets.files.unreadable" => {
                format!("to show synthetic values there: `secrets: {{files: {{\"{path}\": synthetic}}}}` in your own policy")
            }
            _ => "`shieldrun policy explain` shows the rule and where it comes from".to_owned(),
        },
        "command-blocked" => {
            "`shieldrun policy explain` shows which policy has the pattern in `blocked_patterns`; `in:` limits where it counts".to_owned()
        }
        "syscall-denied" => match text("/shieldrun/syscall") {
            Some(call) if NESTING.contains(&call.as_str()) => {
                "an agent with a sandbox of its own needs `isolation: {nested: true}` in your own policy".to_owned()
            }
            _ => "no policy allows this call: the walls rest on it".to_owned(),
        },
        "connection-denied" | "name-denied" => {
            let host = text("/destination/domain").or_else(|| text("/destination/address"));
            let host = host.unwrap_or_else(|| "HOST".to_owned());
            match rule.as_str() {
                // Its name may well be listed.
                "network.address" => format!("to allow it, list the address itself, as `getent hosts {host}` shows it: `network: {{mode: allowlist, allow: [\"{host}\", \"ADDRESS\"]}}` in your own policy"),
                "network.reach" => "no policy keeps it back: it is down, or this machine does not reach it either".to_owned(),
                "network.form" => "no policy allows this: a host and we could take it for two different things".to_owned(),
                "network.limit" => "fewer at one time".to_owned(),
                "secrets" => "`secrets: {bindings: {NAME: [HOST]}}` in your own policy says where a credential belongs".to_owned(),
                _ => format!("to allow it: `network: {{mode: allowlist, allow: [\"{host}\"]}}` in your own policy"),
            }
        }
        "limit-reached" => format!("to raise it: `{}` in your own policy", text("/shieldrun/limit")?),
        "timed-out" => "to give it longer: `--timeout SECONDS`, or `limits.timeout_seconds` in your own policy".to_owned(),
        "leak-stopped" => "no policy lets a real value out: see above who had it, and how it came in".to_owned(),
        "change-refused" => format!("`shieldrun review {}` shows the line; change it and run again", run()),
        "change-held" => format!("`shieldrun review {0}` shows it, `shieldrun approve {0}` lets it through", run()),
        "promotion-conflict" => format!("`shieldrun approve {}` once the file is as it was", run()),
        _ => return None,
    })
}
