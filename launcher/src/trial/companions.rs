//! Owns who serves a run and watches over it while it lasts: each gets what it needs when the walls stand.

use std::sync::Arc;

use shieldrun_policy::plan::{Mask, Tier};

use super::gaps::{NO_LISTENER, NOBODY_ASKED, SILENT_MASKS};
use super::guard::Guard;
use super::{Recording, Trial, summary};
use crate::claims::{Claimed, Drain};
use crate::failure::Failure;
use crate::guest::GuestFiles;
use crate::inventory::sockets;
use crate::network::{Callers, Network};
use crate::notified::{Blocked, Heard, Notified, Told};
use crate::plan;
use crate::spawn::Ready;
use crate::ssh::Agent;
use crate::standby::Standby;
use crate::sys::ring::Ring;

/// Threads that have nothing to do before the walls stand.
pub(super) struct Standing {
    pub(super) guard: Standby<()>,
    pub(super) notified: Standby<Told>,
    pub(super) claims: Standby<Claimed>,
}

impl Trial<'_> {
    pub(super) fn guard(&self, thread: Standby<()>, ready: &Ready) -> Result<Option<Guard>, Failure> {
        let failed = |error| Failure::doing("cannot watch over the masked files", error);
        match self.plan.tier {
            Tier::Full => {
                // The others lie on entries of the run's own, which the host cannot replace.
                // Nor does a socket of the host's that goes away take a secret out of hiding.
                let can_be_lost = |mask: &&Mask| {
                    (ready.tools_are_shared || !self.plan.is_own(&mask.at.0))
                        && ![sockets::RULE, plan::network::RULE, plan::network::TRUST, plan::ssh::RULE]
                            .contains(&mask.rule.as_str())
                };
                let masks: Vec<_> = self.plan.masks.iter().filter(can_be_lost).cloned().collect();
                if masks.is_empty() {
                    return Ok(None);
                }
                let init = ready.pidfd.try_clone().map_err(failed)?;
                Guard::over(thread, masks, ready.pid, init).map(Some).map_err(failed)
            }
            // No mask to lose: the shim goes by names.
            Tier::Landlock | Tier::Preload => Ok(None),
        }
    }

    /// Who connects is of interest only where connections lead somewhere.
    pub(super) fn callers(&self, ready: &Ready) -> Result<Option<Arc<Callers>>, Failure> {
        if ready.doors.is_none() {
            return Ok(None);
        }
        let init = ready.pidfd.try_clone();
        let init = init.map_err(|error| Failure::doing("cannot hold on to init", error))?;
        Ok(Some(Arc::new(Callers::new(init))))
    }

    /// Opens the doors, where there are any.
    pub(super) fn network(
        &self,
        ready: &mut Ready,
        recording: &Recording,
        callers: Option<Arc<Callers>>,
    ) -> Result<Option<Network>, Failure> {
        let Some((openings, callers)) = ready.doors.take().zip(callers) else { return Ok(None) };
        let (registry, sender) = (&self.inventory.registry, recording.sender.clone());
        let trusted = self.trusted.take();
        Network::serve(openings, self.policy, registry, trusted, &ready.pidfd, callers, sender).map(Some)
    }

    /// Answers for the person's ssh-agent, where the guest may use it.
    pub(super) fn agent(&self, ready: &mut Ready, recording: &Recording) -> Result<Option<Agent>, Failure> {
        let Some((socket, keys)) = ready.agent.take().zip(self.keys.take()) else { return Ok(None) };
        let agent = Agent::serve(socket, keys, &ready.pidfd, recording.sender.clone());
        agent.map(Some).map_err(|error| Failure::doing("cannot serve the ssh-agent", error))
    }

    /// Init waits to be executed until somebody answers.
    pub(super) fn notified(
        &self,
        thread: Standby<Told>,
        ready: &Ready,
        recording: &mut Recording,
        heard: &Arc<Heard>,
        callers: Option<Arc<Callers>>,
    ) -> Result<Option<Notified>, Failure> {
        let blocked = Blocked::of(self.policy);
        let listener = match self.plan.tier {
            Tier::Full | Tier::Landlock => ready.listener()?,
            Tier::Preload => None,
        };
        let Some(listener) = listener else {
            // What the policy asks for cannot be dropped in silence.
            crate::failure::refuse_patterns_that_nobody_watches_for(self.plan.tier, blocked.is_empty())?;
            if self.plan.tier != Tier::Preload {
                let gap = if self.plan.tier.has_namespaces() { NO_LISTENER } else { NOBODY_ASKED };
                recording.record.gaps.push(gap.to_owned());
                self.directory.write_run(&recording.record)?;
            }
            return Ok(None);
        };
        let sender = recording.sender.clone();
        Notified::serve(thread, listener, &ready.pidfd, blocked, Arc::clone(heard), callers, sender)
            .map(Some)
            .map_err(|error| Failure::doing("cannot answer the filter of system calls", error))
    }

    /// Of masks that could have told.
    pub(super) fn say_that_masks_are_silent(&self, recording: &mut Recording) -> Result<(), Failure> {
        recording.record.gaps.push(SILENT_MASKS.to_owned());
        self.directory.write_run(&recording.record)?;
        Ok(())
    }

    /// `witnessed`: whether the masks tell of each touch themselves.
    pub(super) fn drain(
        &self,
        thread: Standby<Claimed>,
        ready: &Ready,
        recording: &Recording,
        witnessed: bool,
        heard: Arc<Heard>,
    ) -> Result<Option<Drain>, Failure> {
        let ring = match (&ready.ring, self.plan.tier) {
            (Some(ring), _) => ring.try_clone(),
            (None, Tier::Landlock | Tier::Preload) => {
                GuestFiles::of(self.plan.tier, self.directory.path()).open_ring()
            }
            (None, Tier::Full) => return Ok(None),
        };
        let failed = |error| Failure::doing("cannot read what the shim reports", error);
        let ring = ring.and_then(Ring::create).map_err(failed)?;
        let init = ready.pidfd.try_clone().map_err(failed)?;
        let meaning = summary::meaning(self, witnessed);
        Ok(Some(Drain::start(thread, ring, init, meaning, heard, recording.sender.clone())))
    }
}

impl Standing {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            guard: Standby::new("guard")?,
            notified: Standby::new("notified")?,
            claims: Standby::new("claims")?,
        })
    }
}
