//! What a name says of its value: of a variable, a field, a query parameter.
//!
//! Owns the names and the rules over their words. Does not look at values; a name alone is never proof.

use alloc::vec::Vec;

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSays {
    /// A password: even a short or simple value is one.
    Password,
    /// A token or key.
    Secret,
    /// Perhaps a key; the value must look the part.
    Perhaps,
    /// Meant to be public, so only a value of a known secret form counts.
    Public,
    /// Known to be something else.
    Harmless,
    /// Nothing.
    Nothing,
}

/// Secret names that the rules below do not see. Sorted.
const EXACT: &[&str] = &[
    "ADAFRUIT_IO_KEY",
    "ANTHROPIC_KEY",
    "ARTIFACTS_CREDENTIALPROVIDER_FEED_ENDPOINTS",
    "AUTH_CLIENTSECRET",
    "AWS_ACCESS_KEY_ID",
    "AZURE_OPENAI_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_KEY",
    "B2_APPLICATION_KEY",
    "BLYNK_AUTH",
    "BW_CLIENTSECRET",
    "BW_SESSION",
    "COMPOSER_AUTH",
    "CONSUMER_KEY",
    "COSMOS_KEY",
    "CYPRESS_RECORD_KEY",
    "DATADOG_APPLICATION_KEY",
    "DD_APPLICATION_KEY",
    "DOCKER_AUTH_CONFIG",
    "DOTENV_KEY",
    "FAL_KEY",
    "FASTLANE_SESSION",
    "FASTLY_KEY",
    "FCM_SERVER_KEY",
    "GCLOUD_KEYFILE_JSON",
    "GCP_SA_KEY",
    "GITHUB_KEY",
    "GITLAB_KEY",
    "GOOGLE_CLOUD_KEYFILE_JSON",
    "HATCH_INDEX_AUTH",
    "HEROKU_KEY",
    "HUBSPOT_HAPIKEY",
    "JINA_KEY",
    "KAGGLE_KEY",
    "KUBECONFIG_DATA",
    "KUBE_CONFIG_DATA",
    "LAUNCHDARKLY_SDK_KEY",
    "LD_MOBILE_KEY",
    "LD_SDK_KEY",
    "MAILCHIMP_KEY",
    "MANDRILL_KEY",
    "MONGODB_PWD",
    "MYSQL_PWD",
    "NATS_NKEY",
    "NGROK_AUTHTOKEN",
    "OCP_APIM_SUBSCRIPTION_KEY",
    "OPENAI_KEY",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "PGPASSWORD",
    "PINECONE_KEY",
    "PUSHOVER_KEY",
    "RAILS_MASTER_KEY",
    "REDISCLI_AUTH",
    "REDIS_SENTINEL_AUTH",
    "SECRET_KEY_BASE",
    "SEGMENT_WRITE_KEY",
    "SHODAN_KEY",
    "SNOWSQL_PWD",
    "SNYK_KEY",
    "SOPS_AGE_KEY",
    "SSHPASS",
    "SSH_KEY",
    "STORAGE_ACCOUNT_KEY",
    "STRIPE_KEY",
    "STRIPE_RESTRICTED_KEY",
    "SUBSCRIPTION_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "SYSTEM_ACCESSTOKEN",
    "TELEGRAM_API_HASH",
    "TRELLO_KEY",
    "TWITTER_CONSUMER_KEY",
    "UNKEY_ROOT_KEY",
    "VAULT_SECRET_ID",
    "VSS_NUGET_EXTERNAL_FEED_ENDPOINTS",
    "XBOX_LIVE_KEY",
    "YARN_NPM_AUTH_IDENT",
];

/// Names that look secret to the rules and are not, and what every session has. Sorted.
const HARMLESS: &[&str] = &[
    "COLORTERM",
    "CREDENTIALS_DIRECTORY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DESKTOP_SESSION",
    "DISPLAY",
    "EDITOR",
    "GPG_AGENT_INFO",
    "GPG_TTY",
    "HISTFILE",
    "HOME",
    "HOSTNAME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LESSOPEN",
    "LOGNAME",
    "LS_COLORS",
    "OLDPWD",
    "PATH",
    "PWD",
    "SESSION_MANAGER",
    "SHELL",
    "SHLVL",
    "SSH_AGENT_PID",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TERM_SESSION_ID",
    "TMUX",
    "TMUX_PANE",
    "TOKENIZERS_PARALLELISM",
    "USER",
    "WINDOWID",
    "WT_PROFILE_ID",
    "WT_SESSION",
    "XAUTHORITY",
];

const PUBLIC_PREFIXES: &[&str] = &[
    "EXPO_PUBLIC_",
    "GATSBY_",
    "NEXT_PUBLIC_",
    "NUXT_PUBLIC_",
    "PUBLIC_",
    "REACT_APP_",
    "STORYBOOK_",
    "VITE_",
    "VUE_APP_",
];

/// Last words that make a name tell about a secret instead of holding it.
const ABOUT: &[&str] = &[
    "ALG",
    "ALGORITHM",
    "ARN",
    "AUDIENCE",
    "BUDGET",
    "BYTES",
    "CHARS",
    "CMD",
    "COMMAND",
    "COUNT",
    "DESCRIPTION",
    "DESCRIPTOR",
    "DIR",
    "DIRECTORY",
    "DOMAIN",
    "DURATION",
    "ENABLED",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRES",
    "EXPIRY",
    "FIELD",
    "FILE",
    "FILENAME",
    "FORMAT",
    "HEADER",
    "HELPER",
    "HOST",
    "INTERVAL",
    "ISSUER",
    "KIND",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "LOCATION",
    "MAX",
    "MIN",
    "MODE",
    "NAME",
    "NAMES",
    "PARALLELISM",
    "PATH",
    "POLICY",
    "PORT",
    "PREFIX",
    "PROVIDER",
    "REGION",
    "SIZE",
    "SOCK",
    "SOURCE",
    "STORE",
    "SUFFIX",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "USAGE",
    "USER",
    "USERNAME",
    "VERSION",
];

const KEY_BEFORE: &[&str] = &[
    "ACCESS",
    "ACCOUNT",
    "ADMIN",
    "API",
    "APP",
    "APPLICATION",
    "AUTH",
    "CLIENT",
    "CONSUMER",
    "DEPLOY",
    "ENCRYPTION",
    "HMAC",
    "INTEGRATION",
    "JWT",
    "LICENSE",
    "MASTER",
    "PRIVATE",
    "READ",
    "ROOT",
    "SDK",
    "SECRET",
    "SERVICE",
    "SESSION",
    "SHARED",
    "SIGNATURE",
    "SIGNING",
    "STORAGE",
    "SUBSCRIPTION",
    "WEBHOOK",
    "WRITE",
];

/// What this name says. Case, `-`, `.` and camelCase do not matter.
pub(crate) fn says(name: &[u8]) -> NameSays {
    if name.len() > 256 {
        return NameSays::Nothing;
    }
    let upper = normal(name);
    let text = core::str::from_utf8(&upper).unwrap_or("");
    if HARMLESS.binary_search(&text).is_ok() || text.starts_with("XDG_") || text.starts_with("DBUS_") {
        return NameSays::Harmless;
    }
    if EXACT.binary_search(&text).is_ok() {
        let password = text.ends_with("PWD") || text.ends_with("PASS") || text.ends_with("PASSWORD");
        return if password { NameSays::Password } else { NameSays::Secret };
    }
    let words: Vec<&str> = text.split('_').filter(|w| !w.is_empty()).collect();
    let public = PUBLIC_PREFIXES.iter().any(|p| text.starts_with(p))
        || words.ends_with(&["PUBLISHABLE", "KEY"])
        || words.ends_with(&["ANON", "KEY"])
        || words.ends_with(&["PUBLIC", "KEY"])
        || words.ends_with(&["PUB", "KEY"]);
    if public {
        return NameSays::Public;
    }
    by_words(text, &words)
}

fn by_words(text: &str, words: &[&str]) -> NameSays {
    let Some(last) = words.last() else { return NameSays::Nothing };
    if ABOUT.binary_search(last).is_ok()
        || *last == "TOKENS"
        || (words.contains(&"TOKENS") && words.contains(&"MAX"))
    {
        return NameSays::Harmless;
    }
    let password = ["PASS", "PASSWD", "PASSWORD", "PASSPHRASE", "PWD", "PASSWORDS", "PASSCODE", "PW"];
    // Glued together, as in `pgpassword`, `storePassword` or `dbpass`.
    let glued =
        ["PASSWORD", "PASSWD", "PASSPHRASE"].iter().any(|w| last.ends_with(w)) || last.ends_with("BPASS");
    if password.contains(last)
        || glued
        || words.iter().any(|w| *w == "PASSWORD" || *w == "PASSPHRASE")
        || text.contains("PASS_PHRASE")
    {
        return NameSays::Password;
    }
    if ["MNEMONIC", "SEED_PHRASE", "RECOVERY_PHRASE"].iter().any(|w| text.ends_with(w)) {
        return NameSays::Password;
    }
    let strong = [
        "SECRET",
        "SECRETS",
        "TOKEN",
        "PAT",
        "JWT",
        "BEARER",
        "CREDENTIAL",
        "CREDENTIALS",
        "CREDS",
        "MNEMONIC",
        "APIKEY",
        "AUTHTOKEN",
    ];
    let end = words.len().saturating_sub(1);
    let id = *last == "ID" || *last == "IDS" || *last == "SID";
    if id {
        return if words.ends_with(&["ACCESS", "KEY", "ID"]) || words.ends_with(&["SECRET", "ID"]) {
            NameSays::Perhaps
        } else {
            NameSays::Harmless
        };
    }
    if words.iter().any(|w| strong.contains(w))
        || ["SECRET", "TOKEN", "APIKEY", "SECRETKEY", "ACCESSKEY", "PRIVATEKEY"]
            .iter()
            .any(|w| last.ends_with(w))
    {
        return NameSays::Secret;
    }
    for (at, word) in words.iter().enumerate() {
        if *word == "KEY" && at > 0 && KEY_BEFORE.contains(&words[at - 1]) {
            return NameSays::Secret;
        }
    }
    if *last == "AUTH" || text == "AUTHORIZATION" || text == "COOKIE" || text == "IDENTITYTOKEN" {
        return NameSays::Secret;
    }
    let loose = [
        "KEY",
        "WEBHOOK",
        "DSN",
        "SEED",
        "SALT",
        "SIG",
        "SIGNATURE",
        "SESSION",
        "COOKIE",
        "KEYSTORE",
        "OTP",
        "PIN",
    ];
    let webhook = words.ends_with(&["WEBHOOK", "URL"])
        || text.contains("CONNECTION_STRING")
        || text.contains("CONN_STR")
        || text.starts_with("CONNECTION_STRINGS");
    if loose.contains(last)
        || webhook
        || (end > 0 && words[end - 1] == "KEY" && last.bytes().all(|b| b.is_ascii_digit()))
    {
        return NameSays::Perhaps;
    }
    NameSays::Nothing
}

/// `apiKey`, `api-key` and `api.key` as `API_KEY`.
fn normal(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 4);
    let camel = name.iter().any(u8::is_ascii_lowercase);
    let mut before = b'_';
    for &byte in name {
        if camel && byte.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            out.push(b'_');
        }
        out.push(match byte {
            b'a'..=b'z' => byte.to_ascii_uppercase(),
            b'A'..=b'Z' | b'0'..=b'9' => byte,
            _ => b'_',
        });
        before = byte;
    }
    let start = out.iter().position(|b| *b != b'_').unwrap_or(out.len());
    out.drain(..start);
    while out.last() == Some(&b'_') {
        out.pop();
    }
    out
}

/// `*` any run, `?` any byte; case matters not.
pub(crate) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(EXACT.is_sorted());
        assert!(HARMLESS.is_sorted());
        assert!(ABOUT.is_sorted());
    }

    #[test]
    fn names_say_what_they_hold() {
        use NameSays::*;
        for (name, says_what) in [
            ("GITHUB_TOKEN", Secret),
            ("DB_PASSWORD", Password),
            ("PGPASSWORD", Password),
            ("apiKey", Secret),
            ("aws_secret_access_key", Secret),
            ("MAX_TOKENS", Harmless),
            ("OPENAI_TOKEN_LIMIT", Harmless),
            ("SSH_AUTH_SOCK", Harmless),
            ("PATH", Harmless),
            ("PWD", Harmless),
            ("OLDPWD", Harmless),
            ("NEXT_PUBLIC_API_KEY", Public),
            ("STRIPE_PUBLISHABLE_KEY", Public),
            ("LANGUAGE", Nothing),
            ("FOO_KEY", Perhaps),
            ("SECRET_NAME", Harmless),
            ("_authToken", Secret),
            ("_password", Password),
            ("client-key-data", Secret),
            ("KEYBOARD", Nothing),
            ("AWS_ACCESS_KEY_ID", Secret),
        ] {
            assert_eq!(says(name.as_bytes()), says_what, "{name}");
        }
    }
}
