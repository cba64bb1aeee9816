//! Owns the join between a run and its network: starts the doors, and turns what they note into facts of the
//! record. A real value that was about to leave ends the run here, at once.
//!
//! What may be reached is the policy's, how it is reached is the egress crate's.

mod belongs;
mod callers;
mod databases;
mod ledger;
mod renewals;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shieldrun_egress::broker::{self, Authority, Binding, Database, Hosts, Swaps};
use shieldrun_egress::{Brokerage, Egress, Openings, Settings, Upstream};
use shieldrun_policy::network::Rules;
use shieldrun_policy::plan::Plan;
use shieldrun_policy::schema::{Policy, SecretsMode};
use shieldrun_policy::verdict::{Denied, LeakRecord};
use shieldrun_secrets::{Registry, RunKey};

use crate::audit::Sender;
use crate::failure::Failure;
use crate::host::random_key;
use crate::plan::network::trust;

pub(crate) use callers::Callers;
use ledger::{Names, Recorder};
use renewals::Renewals;

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
    /// What the person has to know beside that.
    pub(crate) warnings: Vec<String>,
}

impl Network {
    /// Opens the doors. `init` is the pidfd of the first process inside.
    ///
    /// # Errors
    /// When the host's proxy cannot be used, or there are no threads or descriptors to be had.
    pub(crate) fn serve(
        openings: Openings,
        policy: &Policy,
        registry: &Arc<Registry>,
        trusted: Option<Trusted>,
        init: &OwnedFd,
        callers: Arc<Callers>,
        sender: Sender,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::doing("cannot serve the network", error);
        let upstream = proxy_of_the_host()?;
        let init = init.as_fd().try_clone_to_owned().map_err(failed)?;
        let recorder = Arc::new(Recorder::new(sender, registry, init));
        let broker = trusted.map(|Trusted { authority, databases, bindings, kept }| {
            let settings = broker::Settings {
                bindings,
                databases,
                heard: Hosts::new(MODELS),
                ..broker::Settings::default()
            };
            let renewals = Renewals::into(kept, registry);
            brokerage(authority, registry, settings, Names { recorder: Arc::clone(&recorder), renewals })
        });
        let broker = broker.transpose().map_err(failed)?;
        let settings = Settings { rules: Rules::of(&policy.network), upstream, broker };
        let witness = Arc::clone(&callers);
        let mut egress =
            Egress::start(openings, settings, registry, Arc::clone(&recorder), witness).map_err(failed)?;
        if let Some(approach) = egress.approach() {
            callers.telling(approach);
        }
        Ok(Self { egress, recorder })
    }

    /// Closes the doors. Everybody inside has ended.
    pub(crate) fn finish(self) -> Traffic {
        self.egress.finish();
        self.recorder.told()
    }
}

/// Where what is said in a request is a conversation: an agent that read a synthetic tells its model of it.
const MODELS: [&str; 21] = [
    "api.anthropic.com",
    "api.openai.com",
    "chatgpt.com",
    "generativelanguage.googleapis.com",
    "cloudcode-pa.googleapis.com",
    "*.openai.azure.com",
    "api.deepseek.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.x.ai",
    "dashscope.aliyuncs.com",
    "models.github.ai",
    "openrouter.ai",
    "api.githubcopilot.com",
    "aiplatform.googleapis.com",
    "dashscope-intl.aliyuncs.com",
    "portal.qwen.ai",
    "opencode.ai",
    "api.cline.bot",
    "ampcode.com",
    "*.cursor.sh",
];

/// What the broker of a run is made of before anybody is inside.
#[derive(Debug)]
pub(crate) struct Trusted {
    /// Whom the guest trusts.
    authority: Authority,
    /// Which passwords of databases it was shown a synthetic of.
    databases: Vec<Database>,
    /// Where secrets belong, beyond what their form tells.
    bindings: Vec<Binding>,
    /// Where credentials that are renewed may be put.
    kept: Vec<PathBuf>,
}

/// The authority of a run whose policy asks for a broker, trusted inside by the plan.
///
/// # Errors
/// When no key can be made, or the host has nothing that tells its programs whom to trust.
pub(crate) fn trusted(
    policy: &Policy,
    plan: &mut Plan,
    registry: &Registry,
    home: Option<&Path>,
) -> Result<Option<Trusted>, Failure> {
    if policy.secrets.mode != SecretsMode::Broker {
        return Ok(None);
    }
    let failed = |what: &'static str| move |error: io::Error| Failure::doing(what, error);
    let authority = Authority::new().map_err(failed("cannot make the authority of the run"))?;
    let databases::Known { databases, authorities } = databases::of(plan, registry, policy, home);
    let bindings = belongs::bindings(policy, registry, home);
    trust(plan, authority.certificate_pem(), &authorities)
        .map_err(failed("cannot let the guest trust the run's authority"))
        .map_err(|failure| failure.with_hint("install `ca-certificates`, or use `--secrets synthetic`"))?;
    Ok(Some(Trusted { authority, databases, bindings, kept: renewals::kept(plan, policy) }))
}

fn brokerage(
    authority: Authority,
    registry: &Arc<Registry>,
    settings: broker::Settings,
    names: Names,
) -> io::Result<Brokerage> {
    let swaps = Swaps::new(Arc::clone(registry), RunKey::from_bytes(random_key()?));
    let swaps = swaps.telling(names);
    Ok(Brokerage { authority, swaps, settings })
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
