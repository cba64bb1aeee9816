use std::path::Path;

use crate::schema::{FileMode, Layer, NetworkMode, Overrides, Policy, Source, load};

fn run(user: &str, project: &str, network: Option<NetworkMode>) -> Result<Policy, String> {
    let source =
        |layer, text: &str| Source { name: "policy".to_owned(), text: text.as_bytes().to_vec(), layer };
    let mut overrides = Overrides::default();
    overrides.command = vec![b"claude".to_vec()];
    overrides.workspace = b"/w".to_vec();
    overrides.network = network;
    load(&[source(Layer::User, user), source(Layer::Project, project)], &overrides)
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

#[test]
fn the_command_brings_its_profile_and_none_takes_it_away() {
    let policy = run("", "", None).expect("valid");
    assert_eq!(policy.profile.map(|profile| profile.name), Some("claude"));
    assert_eq!(policy.files.persist, ["~/.claude/projects/-w"]);
    assert_eq!(policy.origin("files.persist").map(|origin| origin.layer), Some(Layer::Profile));
    for (user, project) in [("profile: none", ""), ("", "profile: none")] {
        let policy = run(user, project, None).expect("valid");
        assert_eq!(policy.profile, None);
        assert!(policy.files.persist.is_empty() && policy.files.visible.is_empty());
    }
}

#[test]
fn a_project_chooses_no_profile() {
    for project in ["profile: codex", "profile: amp", "profile: auto"] {
        let user = if project.ends_with("auto") { "profile: none" } else { "" };
        assert!(run(user, project, None).expect_err("refused").contains("loosens"), "{project}");
    }
    assert!(run("profile: claud", "", None).expect_err("refused").contains("did you mean `claude`?"));
}

#[test]
fn hosts_count_only_where_a_person_chose_the_allowlist() {
    let table = [
        ("", "", None, false),
        ("network: allowlist", "", None, true),
        ("", "", Some(NetworkMode::Allowlist), true),
        ("network: open", "network: allowlist", None, false),
        ("network: allowlist", "network: none", None, false),
        ("network: open", "", None, false),
    ];
    for (user, project, flag, counts) in table {
        let policy = run(user, project, flag).expect("valid");
        let has = policy.network.allow.iter().any(|host| host == "api.anthropic.com");
        assert_eq!(has, counts, "{user} / {project} / {flag:?}");
    }
}

#[test]
fn a_project_can_take_a_grant_of_the_profile_away() {
    let policy = run("", "files: {persist: []}", None).expect("valid");
    assert!(policy.files.persist.is_empty());
}

#[test]
fn a_login_is_at_least_synthetic_where_no_person_said_otherwise() {
    let login = Path::new("/h/.claude/.credentials.json");
    let table = [
        ("", None, Some(FileMode::Synthetic)),
        ("", Some(FileMode::Block), Some(FileMode::Block)),
        ("secrets: {files: {\"~/.claude\": allow}}", None, Some(FileMode::Allow)),
        ("secrets: {files: {\"~/.claude\": block}}", None, Some(FileMode::Block)),
    ];
    for (user, own, expected) in table {
        let policy = run(user, "", None).expect("valid");
        let mode = policy.secrets.file_mode(login, Path::new("/h"), Path::new("/w"), own);
        assert_eq!(mode, expected, "{user} {own:?}");
    }
}
