use super::*;

fn told(command: &[&str]) -> Option<&'static str> {
    let command: Vec<Vec<u8>> = command.iter().map(|word| word.as_bytes().to_vec()).collect();
    Choice::Auto.of(&command).map(|profile| profile.name)
}

#[test]
fn the_command_tells_the_agent() {
    let table: &[(&[&str], Option<&str>)] = &[
        (&["claude"], Some("claude")),
        (&["/opt/bin/claude", "-p", "hello"], Some("claude")),
        (&["mini"], Some("mini-swe-agent")),
        (&["npx", "-y", "@openai/codex@0.171.0", "exec"], Some("codex")),
        (&["npx", "--package", "@google/gemini-cli", "gemini"], Some("gemini")),
        (&["npx", "--package=opencode-ai", "opencode"], Some("opencode")),
        (&["npm", "exec", "--", "@qwen-code/qwen-code"], Some("qwen")),
        (&["npm", "install", "@qwen-code/qwen-code"], None),
        (&["uvx", "--python", "3.12", "--from", "aider-chat==0.86", "aider"], Some("aider")),
        (&["uvx", "mini-swe-agent[full]"], Some("mini-swe-agent")),
        (&["uv", "run", "aider"], Some("aider")),
        (&["pipx", "run", "aider-chat"], Some("aider")),
        (&["bun", "x", "cline"], Some("cline")),
        (&["node", "--no-warnings", "/x/node_modules/@google/gemini-cli/dist/index.js"], Some("gemini")),
        (&["node", "-r", "claude", "/x/server.js"], None),
        (&["node", "/x/node_modules/@google/gemini-cli-other/index.js"], None),
        (&["node", "/usr/local/bin/copilot"], Some("copilot")),
        (&["python3", "-m", "aider"], Some("aider")),
        (&["python3", "-m", "minisweagent.run.mini"], Some("mini-swe-agent")),
        (&["python3", "claude.py"], None),
        (&["echo", "claude"], None),
        (&["sh", "-c", "claude"], None),
        (&["npx"], None),
        (&[], None),
    ];
    for (command, expected) in table {
        assert_eq!(told(command), *expected, "{command:?}");
    }
    assert_eq!(Choice::Auto.of(&[vec![0xff]]), None);
}

#[test]
fn a_choice_is_stronger_than_the_command() {
    let command = [b"claude".to_vec()];
    assert_eq!(Choice::None.of(&command), None);
    assert_eq!(Choice::Named(named("codex").expect("known")).of(&command).map(|p| p.name), Some("codex"));
    for word in WORDS {
        assert_eq!(Choice::from_word(word.word).map(Choice::word), Some(word.word));
    }
    let error = "claud".parse::<Choice>().expect_err("no such agent").to_string();
    assert!(error.contains("did you mean `claude`?"), "{error}");
}

#[test]
fn no_two_agents_share_a_name() {
    let mut names: Vec<&str> = PROFILES
        .iter()
        .flat_map(|profile| {
            profile
                .commands
                .iter()
                .chain(profile.packages)
                .copied()
                .filter(|n| *n != profile.name)
                .chain([profile.name])
        })
        .collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn every_secret_is_for_hosts_that_the_agent_reaches() {
    for profile in PROFILES {
        let tokens = profile.keys.iter().chain(profile.logins.iter().flat_map(|login| login.tokens));
        for token in tokens {
            assert!(!token.hosts.is_empty(), "{}", token.name);
            for host in token.hosts {
                assert!(profile.hosts.contains(host), "{}: `{}` is for `{host}`", profile.name, token.name);
            }
        }
    }
}

#[test]
fn a_key_is_for_the_same_hosts_whoever_uses_it() {
    let keys = || PROFILES.iter().flat_map(|profile| profile.keys);
    for key in keys() {
        assert!(keys().filter(|other| other.name == key.name).all(|other| other == key), "{}", key.name);
    }
}

#[test]
fn paths_lie_in_the_home_and_no_login_is_shown_or_kept() {
    for profile in PROFILES {
        let logins: Vec<&str> = profile.logins.iter().map(|file| file.path).collect();
        for path in profile.visible.iter().chain(profile.persist) {
            assert!(path.starts_with("~/") && !path.contains("..") && !path.ends_with('/'), "{path}");
            assert!(!logins.iter().any(|login| login.starts_with(*path)), "{path}");
        }
        // What is kept is the host's own: it must not be what an agent takes commands from.
        for path in profile.persist {
            assert!(path.matches('/').count() >= 2, "{path} is a whole directory of settings");
            for word in ["settings", "config", "hooks", "plugins", "commands", "skills", "mcp", "snapshots"] {
                assert!(!path.contains(word), "{path}");
            }
        }
    }
}

#[test]
fn sessions_are_those_of_the_workspace() {
    let claude = named("claude").expect("known");
    assert_eq!(claude.kept_in(b"/home/ada/src/a.b"), ["~/.claude/projects/-home-ada-src-a-b"]);
    assert!(claude.kept_in(b"").is_empty());
    assert!(claude.kept_in(b"/\xff").is_empty());
}
