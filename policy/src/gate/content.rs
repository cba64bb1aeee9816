//! What the gate must know of a content, asked by the diff while it has it in its hands.

use serde_json::Value as Json;

/// Whether two `package.json` differ in what npm runs. One that cannot be read counts as different.
pub fn package_scripts_differ(before: Option<&[u8]>, after: &[u8]) -> bool {
    let runs = |bytes: &[u8]| {
        let json = serde_json::from_slice::<Json>(bytes).ok()?;
        // Tools keep hooks of their own in it, which run as scripts do.
        let keys = ["scripts", "husky", "pre-commit", "lint-staged", "simple-git-hooks", "gypfile"];
        Some(keys.map(|key| json.get(key).cloned()))
    };
    match (before.map(runs), runs(after)) {
        (_, None) => true,
        (None, Some(after)) => after.iter().any(Option::is_some),
        (Some(before), after) => before != after,
    }
}

#[cfg(test)]
mod tests {
    use super::package_scripts_differ;

    #[test]
    fn only_what_runs_counts() {
        let scripts = br#"{"name":"a","scripts":{"test":"x"}}"#;
        for (before, after, expected) in [
            (Some(&scripts[..]), &br#"{"name":"b","scripts":{"test":"x"}}"#[..], false),
            (Some(scripts), br#"{"name":"a","scripts":{"test":"y"}}"#, true),
            (Some(scripts), br#"{"name":"a"}"#, true),
            (None, br#"{"name":"a"}"#, false),
            (None, scripts, true),
            (Some(scripts), b"{", true),
            (Some(b"{"), scripts, true),
        ] {
            assert_eq!(package_scripts_differ(before, after), expected, "{}", String::from_utf8_lossy(after));
        }
    }
}
