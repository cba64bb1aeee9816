//! Owns what a guest sees of an ssh-agent: its socket, and the keys of the hosts that it may log in at.

use std::path::Path;

use shieldrun_policy::plan::{Cover, Mask, Plan, SshAgent};

use super::{bytes, set};
use crate::guest;

/// `rule.name` of the mask over the settings of ssh.
pub(crate) const RULE: &str = "ssh.known_hosts";

/// The settings that every `ssh` reads. The person's own are beneath `~/.ssh`, and are not there.
const SETTINGS: &str = "/etc/ssh/ssh_config";

/// Shows both to the guest. Where the host has no settings of ssh, it has no ssh that would ask for them.
pub(crate) fn show(plan: &mut Plan, known_hosts: Vec<u8>) {
    set(&mut plan.environment, b"SSH_AUTH_SOCK", guest::AGENT);
    let real = Path::new(SETTINGS).canonicalize().ok();
    let own = real.and_then(|real| Some((bytes(&real), std::fs::read(&real).ok()?)));
    if let Some((at, settings)) = own.filter(|(at, _)| !plan.masks.iter().any(|mask| mask.at == *at)) {
        // The first word about a setting counts.
        let line = format!(
            "GlobalKnownHostsFile {} /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n",
            guest::KNOWN_HOSTS
        );
        let content = [line.as_bytes(), &settings].concat();
        plan.masks.push(Mask {
            at,
            cover: Cover::Synthetic { content, mode: 0o644, modified: (0, 0) },
            rule: RULE.to_owned(),
            reason: "the hosts of `ssh.hosts` are known inside".to_owned(),
        });
    }
    plan.ssh_agent = Some(SshAgent { known_hosts });
}
