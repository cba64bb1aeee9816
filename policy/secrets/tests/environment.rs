//! The environment: what is replaced, what is not, and what the replacements look like.

use shieldrun_secrets::*;

fn registry(key: u8) -> Registry {
    Registry::new(RunKey::from_bytes([key; 32]))
}

fn vars(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
}

fn one(name: &str, value: &str) -> (Registry, Option<String>) {
    let mut reg = registry(3);
    let out = substitute_env(&mut reg, &vars(&[(name, value)])).remove(0);
    let shown = match out {
        EnvOutcome::Replaced { value, .. } => Some(String::from_utf8(value).expect("text stays text")),
        _ => None,
    };
    (reg, shown)
}

#[test]
fn ordinary_variables_pass() {
    for (name, value) in [
        ("PATH", "/usr/bin:/bin"),
        ("PWD", "/home/u/secret-project"),
        ("OLDPWD", "/x"),
        ("SSH_AUTH_SOCK", "/tmp/ssh-XXXX/agent.1"),
        ("GPG_TTY", "/dev/pts/1"),
        ("LS_COLORS", "rs=0:di=01;34:ln=01;36"),
        ("MAX_TOKENS", "4096"),
        ("OPENAI_TOKEN_LIMIT", "100000"),
        ("XDG_SESSION_ID", "c2"),
        ("XDG_SESSION_TYPE", "tty"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus,guid=0123456789abcdef0123456789abcdef"),
        ("SESSION_MANAGER", "local/host:@/tmp/.ICE-unix/1234,unix/host:/tmp/.ICE-unix/1234"),
        ("SSL_CERT_FILE", "/etc/ssl/cert.pem"),
        ("USE_TOKEN", "true"),
        ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
        ("API_KEY", "changeme"),
        ("API_KEY", "${OTHER}"),
        ("DB_PASSWORD", ""),
        ("API_TOKEN", "xxxxxxxxxxxxxxxx"),
        ("EDITOR", "vim"),
        ("DATABASE_URL", "postgres://localhost/app"),
        ("INVOCATION_ID", "0f3a5b7c9d1e2f3a4b5c6d7e8f901234"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("NEXT_PUBLIC_API_KEY", "abc123def456"),
        ("AWS_REGION", "eu-central-1"),
        ("KEYCLOAK_HOME", "/opt/keycloak"),
        ("TOKENIZERS_CACHE", "/data/cache"),
        ("GIT_ASKPASS", "/usr/lib/git/askpass.sh"),
        ("WT_SESSION", "9d3c2f1e-5b7a-4c6d-8e9f-0a1b2c3d4e5f"),
        ("HOSTNAME", "build-7f9c"),
        ("KEYBOARD_LAYOUT", "de"),
        ("TOKEN_URL", "https://login.example.com/oauth/token"),
    ] {
        let (reg, shown) = one(name, value);
        assert_eq!(shown, None, "{name}={value}");
        assert!(reg.entries().is_empty());
    }
}

#[test]
fn bytes_that_are_no_text_pass() {
    let mut reg = registry(1);
    let odd = vec![(b"F\xffO".to_vec(), b"\xfe\xff\x00x".to_vec()), (b"NAME".to_vec(), b"caf\xe9".to_vec())];
    assert_eq!(substitute_env(&mut reg, &odd), [EnvOutcome::Unchanged, EnvOutcome::Unchanged]);
}

#[test]
fn pointers_are_told() {
    let mut reg = registry(1);
    let out = substitute_env(
        &mut reg,
        &vars(&[
            ("AWS_SHARED_CREDENTIALS_FILE", "/secure/aws"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/secure/gcp.json"),
            ("MY_SECRET_KEY", "./keys/dev.key"),
            ("TLS_KEY_FILE", "/tls/key.pem"),
        ]),
    );
    assert!(out.iter().all(|o| *o == EnvOutcome::Pointer), "{out:?}");
}

#[test]
fn credentials_are_replaced_in_their_form() {
    let alnum = "k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5Te1Qu8Wi3Oo7Pl2Kj6Mn0Bv4Cx9Zy5Sd1Ra3Ub8Vc7Wd2Xe6Yf0Zg4";
    let cases: Vec<(&str, String, &str)> = vec![
        ("GITHUB_TOKEN", format!("ghp{}{}", "_", &alnum[..36]), "github-token"),
        ("SOMETHING", format!("npm{}{}", "_", &alnum[..36]), "npm-token"),
        (
            "OPENAI_API_KEY",
            format!("sk-proj-{}T3Blbk{}{}", &alnum[..74], "FJ", &alnum[..74]),
            "openai-api-key",
        ),
        (
            "ANTHROPIC_API_KEY",
            format!("sk-ant-{}{}AA", "api03-", &format!("{alnum}{alnum}")[..93]),
            "anthropic-api-key",
        ),
        ("AWS_ACCESS_KEY_ID", format!("AKIA{}", "ABCDEFGH2345ABCD"), "aws-access-key-id"),
        ("AWS_SECRET_ACCESS_KEY", alnum[..40].to_string(), "aws-secret-access-key"),
        ("SLACK", format!("xox{}-123456789012-123456789012-{}", "b", &alnum[..24]), "slack-bot-token"),
        ("STRIPE_SECRET_KEY", format!("sk{}live_{}", "_", &alnum[..24]), "stripe-secret-key"),
        ("DB_PASSWORD", "hunter2".to_string(), "password"),
        ("FOO_TOKEN", alnum[..32].to_string(), "generic-secret"),
        ("ANYTHING", alnum[..44].to_string(), "high-entropy-string"),
    ];
    for (name, value, kind) in cases {
        let (reg, shown) = one(name, &value);
        let shown = shown.unwrap_or_else(|| panic!("{name} was not replaced"));
        assert_eq!(reg.entries()[0].kind, kind, "{name}");
        assert_eq!(shown.len(), value.len(), "{name}");
        assert_ne!(shown, value, "{name}");
    }
}

#[test]
fn only_the_password_of_a_url_is_replaced() {
    let (_, shown) = one("DATABASE_URL", "postgres://app:p%40ss-w0rd@db.internal:5432/app?sslmode=require");
    let shown = shown.expect("replaced");
    assert!(
        shown.starts_with("postgres://app:") && shown.ends_with("@db.internal:5432/app?sslmode=require"),
        "{shown}"
    );
    let password =
        &shown["postgres://app:".len()..shown.len() - "@db.internal:5432/app?sslmode=require".len()];
    assert!(password.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{password}");
}

#[test]
fn same_value_same_synthetic_and_another_in_the_next_run() {
    let value = "k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5T";
    let shown = |key| {
        let mut reg = registry(key);
        let out = substitute_env(&mut reg, &vars(&[("A_TOKEN", value), ("B_TOKEN", value)]));
        assert_eq!(out[0], out[1]);
        assert_eq!(reg.entries().len(), 1);
        out[0].clone()
    };
    assert_eq!(shown(1), shown(1));
    assert_ne!(shown(1), shown(2));
}

#[test]
fn known_values_are_replaced_elsewhere() {
    let mut reg = registry(9);
    let value = "k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5T";
    substitute_env(&mut reg, &vars(&[("A_TOKEN", value)]));
    let word = format!("Authorization: Bearer {value}!");
    let replaced = reg.replace_known(word.as_bytes()).expect("known");
    let expected =
        format!("Authorization: Bearer {}!", String::from_utf8_lossy(reg.entries()[0].synthetic()));
    assert_eq!(replaced.bytes, expected.as_bytes());
    assert!(reg.replace_known(b"nothing to see here").is_none());
}

#[test]
fn a_policy_forces_allows_and_blocks() {
    let mut reg = registry(1);
    let vars = vars(&[("PLAIN_THING", "plain"), ("MY_TOKEN", "abcdefgh12345678"), ("API_KEY", "changeme")]);
    let options = EnvOptions { secret: &["plain_*", "API_*"], allow: &["MY_*"], mode: EnvMode::Synthetic };
    let out = substitute_env_with(&mut reg, &vars, &options);
    assert!(matches!(&out[0], EnvOutcome::Replaced { value, .. } if value.len() == 5 && value != b"plain"));
    assert_eq!(out[1], EnvOutcome::Unchanged);
    assert!(matches!(&out[2], EnvOutcome::Replaced { .. }));
    let blocked = EnvOptions { mode: EnvMode::Block, ..EnvOptions::default() };
    assert!(
        matches!(&substitute_env_with(&mut reg, &vars, &blocked)[1], EnvOutcome::Removed { ids } if ids.len() == 1)
    );
}

#[test]
fn a_pair_belongs_together() {
    let mut reg = registry(1);
    let secret = "k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5Te1Qu8Wi3";
    substitute_env(
        &mut reg,
        &vars(&[
            ("AWS_ACCESS_KEY_ID", "AKIAABCDEFGH2345ABCD"),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("X_TOKEN", "zzzz1111yyyy2222xxxx"),
        ]),
    );
    let groups: Vec<_> = reg.entries().iter().map(|e| e.group).collect();
    assert!(groups[0].is_some() && groups[0] == groups[1] && groups[2].is_none(), "{groups:?}");
    assert_eq!(reg.entries()[0].host(), Some("amazonaws.com"));
}

#[test]
fn debug_shows_no_real_value() {
    let mut reg = registry(9);
    substitute_env(&mut reg, &vars(&[("A_TOKEN", "k3Jd8sLq0ZpXv7Rt2NwYb6Hm4Gc9Fa5T")]));
    let text = format!("{reg:?} {:?} {:?}", reg.entries()[0], reg.scanner());
    assert!(!text.contains("k3Jd8sLq"), "{text}");
}

/// One AWS secret in 64 begins with a slash, and some of those have their slashes as a path would.
#[test]
fn a_drawn_value_with_slashes_is_no_path() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ALPHABET[(state >> 20) as usize % ALPHABET.len()]
    };
    let mut steps = 0;
    for _ in 0..40_000 {
        let value = [vec![b'/'], (1..40).map(|_| next()).collect()].concat();
        steps += usize::from(value.split(|byte| *byte == b'/').all(|step| step.len() < 16));
        let value = String::from_utf8(value).expect("text");
        let (_, shown) = one("AWS_SECRET_ACCESS_KEY", &value);
        assert!(shown.is_some_and(|shown| shown != value), "{value} passed");
    }
    assert!(steps > 100, "only {steps} looked like a path");
    for path in
        ["/data/secrets/key", "/some/where/else/Or/Other", "/Users/JohnDoe/MyProject/KeyStore2/Api", "/a/b"]
    {
        assert_eq!(one("SIGNING_SECRET", path).1, None, "{path}");
    }
}
