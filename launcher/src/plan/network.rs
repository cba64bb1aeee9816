//! Owns what a guest sees of its network: who answers for names, and where a proxy is.

use std::io;
use std::path::{Path, PathBuf};

use shieldrun_policy::network::Rules;
use shieldrun_policy::plan::{Bytes, Cover, Doors, Mask, Mount, Plan, Reach, Tier, Variable};
use shieldrun_policy::schema::{NetworkMode, Policy};

use super::{bytes, java, set};
use crate::inventory::path::contains;

/// `rule.name` of the mask over the resolver's file.
pub(crate) const RULE: &str = "network.resolver";

/// `rule.name` of the masks over the bundles of authorities.
pub(crate) const TRUST: &str = "network.trust";

/// Where systems keep the bundle of the authorities that they trust.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// How programs are told of a bundle that have one of their own.
const TOLD: [&[u8]; 12] = [
    b"SSL_CERT_FILE",
    b"NODE_EXTRA_CA_CERTS",
    b"REQUESTS_CA_BUNDLE",
    b"CURL_CA_BUNDLE",
    b"GIT_SSL_CAINFO",
    b"CARGO_HTTP_CAINFO",
    b"AWS_CA_BUNDLE",
    b"DENO_CERT",
    b"PIP_CERT",
    b"NPM_CONFIG_CAFILE",
    b"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    b"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/// How the host's programs, and the launcher, are told of another bundle.
const VARIABLE: &str = "SSL_CERT_FILE";

/// Where programs read who answers for names.
const RESOLVER: &str = "/etc/resolv.conf";
/// The launcher's door, which asks nobody else.
const CONTENT: &[u8] = b"# Names are answered by shieldrun.\nnameserver 127.0.0.1\n";
/// The door for programs that were told of a proxy.
const PROXY: &str = "http://198.18.0.1:80";
/// Variables that name one.
const VARIABLES: [&[u8]; 6] =
    [b"http_proxy", b"https_proxy", b"all_proxy", b"HTTP_PROXY", b"HTTPS_PROXY", b"ALL_PROXY"];

/// The doors of a policy; `None` where loopback is all there is.
pub(super) fn doors(policy: &Policy, tier: Tier) -> Option<Doors> {
    let reach = match policy.network.mode {
        NetworkMode::None => return None,
        NetworkMode::Allowlist => Reach::Listed,
        NetworkMode::Open => Reach::Public,
    };
    let rules = Rules::of(&policy.network);
    tier.has_namespaces().then(|| Doors {
        reach,
        ports: rules.ports().into_iter().collect(),
        literals: rules.literals().into_iter().collect(),
    })
}

/// The cover over the resolver's file: over the entry itself, also where it is a link to what is not there
/// inside. Where the host has none, programs ask at 127.0.0.1 by themselves.
pub(super) fn resolver() -> Option<Mask> {
    Path::new(RESOLVER).symlink_metadata().ok()?;
    Some(Mask {
        at: bytes(RESOLVER),
        cover: Cover::Synthetic { content: CONTENT.to_vec(), mode: 0o644, modified: (0, 0) },
        rule: RULE.to_owned(),
        reason: "names are answered by the launcher".to_owned(),
    })
}

/// Programs need no proxy: connections are met wherever they go. But one that was told of the host's must not
/// look for it, since it is not there.
pub(super) fn point_at_the_proxy(environment: &mut Vec<Variable>) {
    let told: Vec<_> =
        VARIABLES.into_iter().filter(|name| environment.iter().any(|own| own.name() == *name)).collect();
    for name in told {
        set(environment, name, PROXY);
    }
}

/// Lets the guest trust an authority, beside those that the host trusts, and in files of authorities that some of
/// its programs ask instead.
///
/// # Errors
/// When the host has no bundle that it could be added to.
pub(crate) fn trust(plan: &mut Plan, certificate: &str, asked: &[PathBuf]) -> io::Result<()> {
    let own = of_the_person();
    let mut first = None;
    let mut whole = Vec::new();
    for path in BUNDLES {
        let Ok(real) = Path::new(path).canonicalize() else { continue };
        let at = bytes(&real);
        if plan.masks.iter().any(|mask| mask.at == at) {
            continue;
        }
        let mut content = std::fs::read(&real)?;
        content.extend_from_slice(b"\n");
        content.extend_from_slice(&own);
        content.extend_from_slice(certificate.as_bytes());
        if first.is_none() {
            (first, whole) = (Some(path), content.clone());
        }
        plan.masks.push(trusting(at, content));
    }
    let bundle = first.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "no bundle of trusted authorities is known on this host")
    })?;
    for name in TOLD {
        set(&mut plan.environment, name, bundle);
    }
    for file in asked.iter().filter_map(|file| file.canonicalize().ok()) {
        let at = bytes(&file);
        // What a mask covers for another reason stays as that shows it.
        if !plan.masks.iter().any(|mask| mask.at == at) {
            let content = [&std::fs::read(&file)?, b"\n".as_slice(), certificate.as_bytes()].concat();
            plan.masks.push(trusting(at, content));
        }
    }
    let stores =
        java::stores().into_iter().map(bytes).filter(|store| is_there(plan, store)).collect::<Vec<_>>();
    if !stores.is_empty() {
        let store = java::store(&whole);
        plan.masks.extend(stores.into_iter().map(|at| trusting(at, store.clone())));
    }
    Ok(())
}

fn trusting(at: Bytes, content: Vec<u8>) -> Mask {
    Mask {
        at,
        cover: Cover::Synthetic { content, mode: 0o644, modified: (0, 0) },
        rule: TRUST.to_owned(),
        reason: "the authority of the run is trusted inside".to_owned(),
    }
}

/// Whether a file of the host is there inside by itself, and nothing covers it yet. One beneath a private directory
/// may be put back or not; a Java there is not told.
fn is_there(plan: &Plan, path: &Bytes) -> bool {
    let hides = |mount: &Mount| match mount {
        Mount::Private { at, .. } | Mount::Home { at, .. } => contains(&at.0, &path.0),
        _ => false,
    };
    !plan.mounts.iter().any(hides) && !plan.masks.iter().any(|mask| mask.at == *path)
}

/// The authorities that the host's own programs trust by a variable: inside, where nobody looks into TLS, they are
/// asked for as well. Of the file only the certificates are taken, since some keep a key beside them.
fn of_the_person() -> Vec<u8> {
    let Some(file) = std::env::var_os(VARIABLE) else { return Vec::new() };
    if BUNDLES.iter().any(|bundle| file == *bundle) {
        return Vec::new();
    }
    let Ok(text) = std::fs::read(file) else { return Vec::new() };
    certificates(&String::from_utf8_lossy(&text)).into_bytes()
}

/// The certificates of a text in PEM, without what else stands there.
pub(crate) fn certificates(mut text: &str) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut all = String::new();
    while let Some(begin) = text.find(BEGIN) {
        let rest = text.get(begin..).unwrap_or_default();
        let Some(end) = rest.find(END) else { break };
        let (one, behind) = rest.split_at(end + END.len());
        // A block that another one begins in is none.
        if one.matches("-----BEGIN").count() == 1 {
            all.push_str(one);
            all.push('\n');
        }
        text = behind;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_file_with_a_key_in_it_the_certificates_are_taken() {
        let certificate = |body| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        let key = "-----BEGIN PRIVATE KEY-----\nkey\n-----END PRIVATE KEY-----\n";
        let (one, two) = (certificate("one"), certificate("two"));
        assert_eq!(certificates(&format!("# {one}{key}{two}{key}")), format!("{one}{two}"));
        let open = "-----BEGIN CERTIFICATE-----\n";
        assert_eq!(certificates(&format!("{open}{key}-----END CERTIFICATE-----\n{one}{open}")), one);
        assert_eq!(certificates(""), "");
    }
}
