//! Owns the join between a run and its network: starts the doors, and turns what they note into facts of the
//! record. A real value that was about to leave ends the run here, at once.
//!
//! What may be reached is the policy's, how it is reached is the egress crate's.

mod callers;
mod ledger;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use shieldrun_egress::{Egress, Openings, Settings, Upstream};
use shieldrun_policy::network::Rules;
use shieldrun_policy::schema::Policy;
use shieldrun_policy::verdict::{Denied, LeakRecord};
use shieldrun_secrets::Registry;

use crate::audit::Sender;
use crate::failure::Failure;

pub(crate) use callers::Callers;
use ledger::Recorder;

/// The network of a run, being served.
#[derive(Debug)]
pub(crate) struct Network {
    egress: Egress,
    recorder: Arc<Recorder>,
}

/// What went on there, for the result and for the person.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// What was refused, each thing once.
    pub(crate) denied: Vec<Denied>,
    /// The real value that was about to leave.
    pub(crate) leak: Option<LeakRecord>,
}

impl Network {
    /// Opens the doors. `init` is the pidfd of the first process inside.
    ///
    /// # Errors
    /// When the host's proxy cannot be used, or there are no threads or descriptors to be had.
    pub(crate) fn serve(
        openings: Openings,
        policy: &Policy,
        registry: &Registry,
        init: &OwnedFd,
        callers: Arc<Callers>,
        sender: Sender,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::doing("cannot serve the network", error);
        let upstream = proxy_of_the_host()?;
        let init = init.as_fd().try_clone_to_owned().map_err(failed)?;
        let recorder = Arc::new(Recorder::new(sender, registry, init));
        let settings = Settings { rules: Rules::of(&policy.network), upstream };
        let egress =
            Egress::start(openings, settings, registry, Arc::clone(&recorder), callers).map_err(failed)?;
        Ok(Self { egress, recorder })
    }

    /// Closes the doors. Everybody inside has ended.
    pub(crate) fn finish(self) -> Traffic {
        self.egress.finish();
        self.recorder.told()
    }
}

/// The one that the host's own programs use.
fn proxy_of_the_host() -> Result<Option<Upstream>, Failure> {
    let first = |names: &[&str]| {
        names.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty())
    };
    let Some(proxy) = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
        return Ok(None);
    };
    let direct = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    Upstream::parse(&proxy, &direct).map(Some).map_err(|reason| {
        Failure::plain(format!("cannot use the proxy that `HTTPS_PROXY` names: {reason}"))
            .with_hint("unset it for this run, or use `--network none`")
    })
}
