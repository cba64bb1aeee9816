//! Owns what a guest sees of its network: who answers for names, and where a proxy is.

use std::path::Path;

use shieldrun_policy::network::Rules;
use shieldrun_policy::plan::{Cover, Doors, Mask, Reach, Tier, Variable};
use shieldrun_policy::schema::{NetworkMode, Policy};

use super::{bytes, set};

/// `rule.name` of the mask over the resolver's file.
pub(crate) const RULE: &str = "network.resolver";

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
