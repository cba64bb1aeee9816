use shieldrun_egress::HostName;
use shieldrun_policy::profiles::named;
use shieldrun_secrets::{Format, RunKey, edit, substitute_env};

use super::*;

/// A value of no form that is known.
const PLAIN: &str = "k3Jd8sLq0ZpXv7Rt2NwYb6Hm";

fn bound(profile: &str, registry: &Registry) -> Vec<String> {
    let profile = named(profile).expect("known");
    let hosts: Vec<&str> = registry
        .entries()
        .iter()
        .flat_map(|entry| of_entry(profile, entry, Some(Path::new("/h"))))
        .flat_map(|token| token.hosts.iter().copied())
        .collect();
    hosts.iter().map(ToString::to_string).collect()
}

fn registry() -> Registry {
    Registry::new(RunKey::from_bytes([7; 32]))
}

#[test]
fn a_key_is_for_its_own_host_by_the_name_of_its_variable() {
    let mut registry = registry();
    substitute_env(&mut registry, &[(b"DASHSCOPE_API_KEY".to_vec(), PLAIN.as_bytes().to_vec())]);
    assert!(bound("qwen", &registry).contains(&"dashscope.aliyuncs.com".to_owned()));
    assert!(bound("codex", &registry).is_empty());
}

#[test]
fn a_form_that_tells_its_host_is_stronger_than_the_name() {
    let mut registry = registry();
    let anthropic = format!("sk-ant-api03-{}AA", "aB3_".repeat(24).get(..93).expect("long"));
    substitute_env(&mut registry, &[(b"OPENAI_API_KEY".to_vec(), anthropic.into_bytes())]);
    assert_eq!(registry.entries()[0].host(), Some("api.anthropic.com"));
    assert!(bound("codex", &registry).is_empty());
}

#[test]
fn a_login_is_for_its_account_and_only_at_its_own_path() {
    let text = format!("{{\"claudeAiOauth\": {{\"refreshToken\": \"{PLAIN}\", \"other\": \"{PLAIN}x\"}}}}");
    for (path, is_bound) in
        [("/h/.claude/.credentials.json", true), ("/h/src/x/.claude/.credentials.json", false)]
    {
        let mut registry = registry();
        edit(&mut registry, Format::Json, path, text.as_bytes()).expect("JSON");
        let hosts = bound("claude", &registry);
        assert_eq!(hosts.iter().any(|host| host == "platform.claude.com"), is_bound, "{path}: {hosts:?}");
        assert!(bound("codex", &registry).is_empty());
    }
}

#[test]
fn a_key_of_one_provider_is_not_for_another() {
    let mut registry = registry();
    let text = format!("{{\"openrouter\": {{\"type\": \"api\", \"key\": \"{PLAIN}\"}}}}");
    edit(&mut registry, Format::Json, "/h/.local/share/opencode/auth.json", text.as_bytes()).expect("JSON");
    assert_eq!(bound("opencode", &registry), ["openrouter.ai"]);
    let hosts = Hosts::new(bound("opencode", &registry));
    assert!(!hosts.contains(&HostName::Name("api.anthropic.com".into())));
}
