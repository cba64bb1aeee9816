//! File names in a workspace that tell of secrets. Asked for every file of a walk, so a miss must cost a few
//! nanoseconds: the first byte and the last two decide for nearly all.

use super::{Handling, KnownPlace, Scope};
use crate::edit::Format;

const fn shown(pattern: &'static str, format: Format, tool: &'static str) -> KnownPlace {
    KnownPlace {
        pattern,
        scope: Scope::Workspace,
        format,
        handling: Handling::Synthetic,
        directory: false,
        tool,
    }
}

const fn block(pattern: &'static str, format: Format, tool: &'static str) -> KnownPlace {
    KnownPlace { pattern, scope: Scope::Workspace, format, handling: Handling::Block, directory: false, tool }
}

static ENV: KnownPlace = shown(".env.*", Format::Dotenv, "dotenv");
static ENV_SUFFIX: KnownPlace = shown("*.env", Format::Dotenv, "dotenv");
static TFVARS: KnownPlace = shown("*.tfvars", Format::Hcl, "Terraform");
static TFVARS_JSON: KnownPlace = shown("*.tfvars.json", Format::Json, "Terraform");
static TFSTATE: KnownPlace = shown("*.tfstate", Format::Tfstate, "Terraform");
static GCP: KnownPlace = shown("*service-account*.json", Format::GcpJson, "Google Cloud");
static CLIENT_SECRET: KnownPlace = shown("client_secret*.json", Format::Json, "Google OAuth");
static APPSETTINGS: KnownPlace = shown("appsettings*.json", Format::Json, ".NET");
static GIT_CONFIG: KnownPlace = shown("config", Format::GitConfig, "git");
static DOCKER: KnownPlace = shown("config.json", Format::DockerConfig, "Docker");
static CURSOR: KnownPlace = shown("mcp.json", Format::Json, "MCP");
static CLAUDE: KnownPlace = shown("settings.local.json", Format::Json, "Claude Code");
static STREAMLIT: KnownPlace = shown("secrets.toml", Format::Toml, "Streamlit");
static RAILS_KEY: KnownPlace = shown("master.key", Format::PlainToken, "Rails");
static RAILS_DATABASE: KnownPlace = shown("database.yml", Format::Yaml, "Rails");
static RAILS_SECRETS: KnownPlace = shown("secrets.yml", Format::Yaml, "Rails");
static SETTINGS_XML: KnownPlace = shown("settings.xml", Format::Xml, "Maven");

/// Names that stand for themselves. Sorted.
static EXACT: &[(&str, KnownPlace)] = &[
    (".dev.vars", shown(".dev.vars", Format::Dotenv, "wrangler")),
    (".env", shown(".env", Format::Dotenv, "dotenv")),
    (".envrc", shown(".envrc", Format::Shell, "direnv")),
    (".flaskenv", shown(".flaskenv", Format::Dotenv, "Flask")),
    (".git-credentials", shown(".git-credentials", Format::GitCredentials, "git")),
    (".htpasswd", block(".htpasswd", Format::Opaque, "htpasswd")),
    (".mcp.json", shown(".mcp.json", Format::Json, "MCP")),
    (".netrc", shown(".netrc", Format::Netrc, "netrc")),
    (".npmrc", shown(".npmrc", Format::Npmrc, "npm")),
    (".pgpass", shown(".pgpass", Format::Pgpass, "PostgreSQL")),
    (".pypirc", shown(".pypirc", Format::Ini, "twine")),
    (".sentryclirc", shown(".sentryclirc", Format::Ini, "sentry-cli")),
    (".vault-password", shown(".vault-password", Format::PlainToken, "Ansible")),
    (".vault_pass", shown(".vault_pass", Format::PlainToken, "Ansible")),
    (".yarnrc.yml", shown(".yarnrc.yml", Format::Yaml, "Yarn")),
    ("NuGet.Config", shown("NuGet.Config", Format::Xml, "NuGet")),
    ("auth.json", shown("auth.json", Format::Json, "Composer")),
    ("bunfig.toml", shown("bunfig.toml", Format::Toml, "Bun")),
    ("cosign.key", block("cosign.key", Format::Pem, "cosign")),
    ("credentials.json", shown("credentials.json", Format::Json, "Google OAuth")),
    ("gradle.properties", shown("gradle.properties", Format::Properties, "Gradle")),
    ("id_dsa", block("id_dsa", Format::Pem, "OpenSSH")),
    ("id_ecdsa", block("id_ecdsa", Format::Pem, "OpenSSH")),
    ("id_ed25519", block("id_ed25519", Format::Pem, "OpenSSH")),
    ("id_rsa", block("id_rsa", Format::Pem, "OpenSSH")),
    ("kubeconfig", shown("kubeconfig", Format::Kubeconfig, "kubectl")),
    ("local.properties", shown("local.properties", Format::Properties, "Gradle")),
    ("secrets.json", shown("secrets.json", Format::Json, ".NET")),
    ("sonar-project.properties", shown("sonar-project.properties", Format::Properties, "Sonar")),
    ("token.json", shown("token.json", Format::Json, "Google OAuth")),
    ("vault_pass.txt", shown("vault_pass.txt", Format::PlainToken, "Ansible")),
];

/// By extension.
static EXTENSIONS: &[(&[u8], KnownPlace)] = &[
    (b".pem", shown("*.pem", Format::Pem, "TLS")),
    (b".key", shown("*.key", Format::Pem, "TLS")),
    (b".p8", shown("*.p8", Format::Pem, "code signing")),
    (b".p12", block("*.p12", Format::Opaque, "PKCS 12")),
    (b".pfx", block("*.pfx", Format::Opaque, "PKCS 12")),
    (b".jks", block("*.jks", Format::Opaque, "Java")),
    (b".keystore", block("*.keystore", Format::Opaque, "Java")),
    (b".ppk", block("*.ppk", Format::Opaque, "PuTTY")),
    (b".kdbx", block("*.kdbx", Format::Opaque, "KeePass")),
    (b".kubeconfig", shown("*.kubeconfig", Format::Kubeconfig, "kubectl")),
    (b".nk", block("*.nk", Format::Opaque, "NATS")),
];

/// Which first bytes an exact name has, and the last bytes of names that end tellingly.
const FIRST: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < EXACT.len() {
        table[EXACT[at].0.as_bytes()[0] as usize] = true;
        at += 1;
    }
    table
};

/// The known place that a file of this name is, in a directory of that name.
///
/// ```
/// use shieldrun_secrets::workspace_place;
/// assert_eq!(workspace_place(b".env.local", b"app").unwrap().pattern, ".env.*");
/// assert!(workspace_place(b"main.rs", b"src").is_none());
/// ```
pub fn workspace_place(file_name: &[u8], parent_dir_name: &[u8]) -> Option<&'static KnownPlace> {
    let first = *file_name.first()?;
    if FIRST[usize::from(first)] {
        if let Ok(at) = EXACT.binary_search_by(|(name, _)| name.as_bytes().cmp(file_name)) {
            return Some(&EXACT[at].1);
        }
        if first == b'.'
            && (file_name.starts_with(b".env.")
                || file_name.starts_with(b".env-")
                || file_name.starts_with(b".env_"))
        {
            return (!is_template(file_name)).then_some(&ENV);
        }
    }
    by_parent(file_name, parent_dir_name).or_else(|| by_ending(file_name))
}

/// `.env.example` and its like are made to be read and hold no secrets.
fn is_template(name: &[u8]) -> bool {
    [&b".example"[..], b".sample", b".template", b".dist", b".tpl", b".defaults", b".schema"]
        .iter()
        .any(|t| name.ends_with(t))
        || name.windows(9).any(|w| w == b".example.")
}

fn by_parent(name: &[u8], parent: &[u8]) -> Option<&'static KnownPlace> {
    match (parent, name) {
        (b".git", b"config") => Some(&GIT_CONFIG),
        (b".docker", b"config.json") => Some(&DOCKER),
        (b".cursor" | b".vscode", b"mcp.json") => Some(&CURSOR),
        (b".claude", b"settings.local.json" | b"settings.json") => Some(&CLAUDE),
        (b".streamlit", b"secrets.toml") => Some(&STREAMLIT),
        (b"config", b"master.key") | (b"credentials", _) if name.ends_with(b".key") => Some(&RAILS_KEY),
        (b"config", b"database.yml") => Some(&RAILS_DATABASE),
        (b"config", b"secrets.yml") => Some(&RAILS_SECRETS),
        (b".m2", b"settings.xml") => Some(&SETTINGS_XML),
        _ => None,
    }
}

fn by_ending(name: &[u8]) -> Option<&'static KnownPlace> {
    match name.last()? {
        b'v' if name.ends_with(b".env") => return Some(&ENV_SUFFIX),
        b's' if name.ends_with(b".tfvars") => return Some(&TFVARS),
        b'e' if name.ends_with(b".tfstate") => return Some(&TFSTATE),
        b'p' if name.ends_with(b".tfstate.backup") => return Some(&TFSTATE),
        b'n' if name.ends_with(b".json") => return json(name),
        b'm' | b'y' | b'8' | b'2' | b'x' | b's' | b'e' | b'k' | b'g' => {}
        _ => return None,
    }
    EXTENSIONS
        .iter()
        .find(|(ending, _)| name.ends_with(ending) && name.len() > ending.len())
        .map(|(_, place)| place)
}

fn json(name: &[u8]) -> Option<&'static KnownPlace> {
    let has = |word: &[u8]| name.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    if name.ends_with(b".tfvars.json") {
        return Some(&TFVARS_JSON);
    }
    match name[0] {
        b'c' if name.starts_with(b"client_secret") => return Some(&CLIENT_SECRET),
        b'a' if name.starts_with(b"appsettings") => return Some(&APPSETTINGS),
        _ => {}
    }
    (has(b"service-account") || has(b"service_account") || has(b"firebase-adminsdk") || has(b"credentials"))
        .then_some(&GCP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(EXACT.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn names_tell() {
        for (name, parent, pattern) in [
            (".env", "", Some(".env")),
            (".env.production", "", Some(".env.*")),
            (".env.example", "", None),
            ("prod.env", "", Some("*.env")),
            ("server.pem", "tls", Some("*.pem")),
            ("config", ".git", Some("config")),
            ("config", "src", None),
            ("my-service-account-1.json", "", Some("*service-account*.json")),
            ("package.json", "", None),
            ("id_rsa", ".ssh", Some("id_rsa")),
            ("prod.auto.tfvars", "", Some("*.tfvars")),
            ("terraform.tfstate.backup", "", Some("*.tfstate")),
            ("main.rs", "src", None),
            ("environment.ts", "src", None),
        ] {
            let found = workspace_place(name.as_bytes(), parent.as_bytes()).map(|p| p.pattern);
            assert_eq!(found, pattern, "{name}");
        }
    }
}
