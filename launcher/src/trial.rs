//! Owns one run, from its plan to its record: the stages of `main` that share what the run is.

mod companions;
mod gaps;
mod guard;
mod last_line;
mod observer;
mod say_changes;
mod settle;
mod sinks;
mod summary;
mod tell;

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use shieldrun_policy::audit::{Event, Provider};
use shieldrun_policy::plan::{Cover, Plan, Tier};
use shieldrun_policy::schema::Policy;
use shieldrun_policy::verdict::PromoteTo;

use crate::audit::{Log, Sender};
use crate::cast::{self, CAST, Cast};
use crate::claims::{Claimed, Drain};
use crate::cli::RunArguments;
use crate::commits;
use crate::failure::Failure;
use crate::guest::GuestFiles;
use crate::guest_table::{Extent, GuestTable, Treatment};
use crate::history;
use crate::inventory::{Inventory, sockets};
use crate::layers::{self, Layers};
use crate::leak::LeakScanner;
use crate::limits::{self, Group};
use crate::network::{Network, Traffic, Trusted};
use crate::notified::{Heard, Notified, Told};
use crate::plan;
use crate::record::{HostRecord, RunDir, RunRecord, time};
use crate::spawn::{self, ChildStream, Launched, Prepared};
use crate::ssh::{Agent, Keys};
use crate::stdio::{Inner, Outer, Stdio};
use crate::supervise::{self, Each, Exit, Inspection, Limits, Outcome, Running};
use crate::sys::control::go;
use crate::sys::signals::{InheritedSignals, Signals};
use crate::tripwire::{Nodes, Seen, Tripwire, is_wired};

use companions::Standing;
use gaps::{gaps, late_gap};
use guard::Guard;
use last_line::LastLine;
use observer::Watcher;
pub(crate) use settle::{Settled, began};

/// What a run is.
pub(crate) struct Trial<'a> {
    /// What was asked for.
    pub arguments: &'a RunArguments,
    /// What holds.
    pub policy: &'a Policy,
    /// What will be done.
    pub plan: &'a Plan,
    /// Which secrets there are.
    pub inventory: &'a Inventory,
    /// Where the record goes.
    pub directory: &'a RunDir,
    /// Whom the guest was told to trust, until it serves.
    pub trusted: Cell<Option<Trusted>>,
    /// What the person's keys may be used for.
    pub keys: Cell<Option<Keys>>,
    /// Where accepted changes go, if not to the workspace.
    pub place: Option<&'a PromoteTo>,
}

/// A child that sets itself up, and our ends of its streams.
pub(crate) struct Started {
    launched: Launched,
    streams: Outer,
    signals: Signals,
    closed: i32,
    layers: Option<Layers>,
    group: Option<Group>,
    tripwire: Option<Tripwire>,
}

/// The record, being written.
pub(crate) struct Recording {
    log: Log,
    sender: Sender,
    record: RunRecord,
}

/// A command that ended, and what was claimed meanwhile.
pub(crate) struct Ended {
    outcome: Outcome,
    watcher: Watcher,
    claimed: Claimed,
    last_line: Arc<LastLine>,
    /// Whether all that was printed is on record.
    recorded: std::io::Result<()>,
    guard: Option<Guard>,
    seen: Seen,
    told: Told,
    /// What went on in the network.
    traffic: Traffic,
    init: OwnedFd,
    /// What the run wrote, where it wrote to an overlay.
    layers: Option<Layers>,
}

impl Trial<'_> {
    /// Clones the set-up child. No thread exists yet, and none may: the child has only this one.
    ///
    /// # Errors
    /// When streams cannot be looked at, or the kernel gives no namespaces.
    pub(crate) fn launch(&self, inherited: InheritedSignals) -> Result<Started, Failure> {
        let stdio = Stdio::inspect().map_err(Failure::from)?;
        let signals =
            Signals::block().map_err(|error| Failure::doing("cannot take over the signals", error))?;
        let mut closed = 0;
        let streams = [0, 1, 2].map(|index| match &stdio.inside.fds[index] {
            Inner::Pty => ChildStream::Terminal,
            Inner::Null => ChildStream::Null,
            Inner::Closed => {
                closed |= go::CLOSED << index;
                ChildStream::Null
            }
            Inner::Pipe(descriptor) => ChildStream::Pipe(descriptor.as_fd()),
        });
        let files = GuestFiles::of(self.plan.tier, self.directory.path());
        let table = self.guest_table();
        let (layers, pins) = layers::make(self.plan, self.directory)?;
        let prepared = Prepared::new(self.plan, &table, &pins, streams, &files, inherited)
            .map_err(|error| Failure::new(error, None))?;
        // The child reads it while we go on: to free it page by page would copy each page first.
        let prepared = ManuallyDrop::new(prepared);
        if !self.plan.tier.has_namespaces() {
            files
                .put(&table)
                .map_err(|error| Failure::doing("cannot put the shim into the run's directory", error))?;
        }
        let group = Group::of_run(self.policy, &self.plan.bounds, self.directory.id());
        let mut launched = spawn::launch(&prepared, group.as_ref().map(Group::as_fd))?;
        let tripwire = self.tripwire(&mut launched)?;
        // `stdio.inside` is dropped here: the child has its copy, and ours would keep the pipes open.
        Ok(Started { launched, streams: stdio.outer, signals, closed, layers, group, tripwire })
    }

    /// Whoever answers for the masks that tell, if there are any.
    fn tripwire(&self, launched: &mut Launched) -> Result<Option<Tripwire>, Failure> {
        if !self.plan.masks.iter().any(|mask| is_wired(self.plan, mask)) {
            return Ok(None);
        }
        let failed = |error| Failure::doing("cannot serve the masks over secret files", error);
        let (tripwire, serve) = Tripwire::of(Nodes::of(self.plan, now()), launched.init().map_err(failed)?);
        launched.serve_masks(serve).map_err(failed)?;
        Ok(Some(tripwire))
    }

    /// Ends a child that has run nothing yet, and removes what was made for it.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub(crate) fn abandon(&self, started: Started) -> Result<(), Failure> {
        started.launched.end().map_err(|error| Failure::doing("cannot end the set-up of the run", error))?;
        // A record of nothing, which nobody would look for.
        let _ = layers::remove(self.directory);
        Ok(())
    }

    /// Where the run works, on the host.
    fn workspace(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.plan.workspace.0))
    }

    /// Begins the record while the kernel builds the walls.
    ///
    /// # Errors
    /// When the record or a sink cannot be opened.
    pub(crate) fn record(&self) -> Result<Recording, Failure> {
        let record = RunRecord {
            run_id: self.directory.id().to_owned(),
            command: self.plan.command.iter().map(ToString::to_string).collect(),
            workspace: self.plan.workspace.to_string(),
            policy_digest: self.policy.digest().to_owned(),
            policy: self.policy.to_json(),
            isolation: self.plan.tier.word().to_owned(),
            gaps: gaps(self.plan),
            shieldrun: env!("CARGO_PKG_VERSION").to_owned(),
            host: HostRecord::here(),
            started_at: time(SystemTime::now()),
            promote_to: self.place.cloned(),
            promote_base: match self.place {
                Some(PromoteTo::Branch(_)) => commits::head(self.workspace()),
                _ => None,
            },
            ended_at: None,
            events: None,
            result: None,
            adding: None,
        };
        let events = self.directory.create_file(crate::record::EVENTS)?;
        let sinks = sinks::open(self.arguments.events.as_deref(), &self.policy.trace.sinks, self.directory)?;
        let (log, sender) = Log::start(events, sinks, self.directory.id())
            .map_err(|error| Failure::doing("cannot start the log", error))?;
        self.directory.write_run(&record)?;
        summary::say_what_is_masked(&sender, self);
        Ok(Recording { log, sender, record })
    }

    /// Watches the command to its end.
    ///
    /// # Errors
    /// When the walls do not stand, or the launcher itself cannot go on.
    pub(crate) fn supervise(&self, started: Started, recording: &mut Recording) -> Result<Ended, Failure> {
        // What needs nothing from inside is made while the kernel still builds the walls.
        let scanner = LeakScanner::new(&self.inventory.registry);
        let init =
            started.launched.init().map_err(|error| Failure::doing("cannot hold on to init", error))?;
        let standing = Standing::new().map_err(|error| Failure::doing("cannot start a thread", error))?;
        let mut ready = started.launched.ready()?;
        match &started.tripwire {
            Some(tripwire) if ready.wired => tripwire.tell(recording.sender.clone()),
            Some(_) => self.say_that_masks_are_silent(recording)?,
            None => {}
        }
        let mut layers = started.layers;
        if let Some(layers) = &mut layers {
            layers.adopt(ready.upper.take());
        }
        recording.record.gaps.extend(late_gap(&ready));
        let guard = self.guard(standing.guard, &ready)?;
        let heard = Arc::new(Heard::default());
        let callers = self.callers(&ready)?;
        let notified = self.notified(standing.notified, &ready, recording, &heard, callers.clone())?;
        let network = self.network(&mut ready, recording, callers)?;
        let agent = self.agent(&mut ready, recording)?;
        let drain = self.drain(standing.claims, &ready, recording, ready.wired, heard)?;
        let stream = |_| scanner.as_ref().map_or_else(crate::leak::nothing, LeakScanner::stream);
        let last_line = Arc::new(LastLine::default());
        let cast = Arc::new(self.recording_of_output(scanner.as_ref())?);
        let tee = Arc::new(Each(vec![last_line.clone(), cast.clone()]));
        let inspection = Inspection { scanner: scanner.is_some().then_some(&stream), tee: Some(tee) };
        let meter = limits::watch(self.plan, ready.pid, self.directory)
            .and_then(|meter| Ok((meter, ready.pidfd.try_clone()?)))
            .map_err(|error| Failure::doing("cannot watch the limits", error))?;
        let mut watcher =
            Watcher::new(recording.sender.clone(), &self.inventory.registry).measuring(meter.0, meter.1);
        let mut flags = started.closed;
        if ready.terminal.is_some() {
            flags |= go::TERMINAL;
        }
        if !self.plan.tier.has_namespaces() {
            flags |= go::SUBREAPER;
        }
        let running = Running {
            control: ready.control,
            init: ready.pidfd,
            go: flags,
            stdio: started.streams,
            pty: ready.terminal,
            spent: ready.spent,
            signals: started.signals,
        };
        let limits = Limits { timeout: self.policy.limits.timeout };
        let outcome = supervise::supervise(running, limits, inspection, &mut watcher);
        let claimed = drain.map(Drain::finish).unwrap_or_default();
        if let Some(layers) = &mut layers {
            layers.keep(self.directory)?;
        }
        let told = notified.map(Notified::finish).unwrap_or_default();
        let seen = started.tripwire.map(Tripwire::finish).unwrap_or_default();
        let mut traffic = network.map(Network::finish).unwrap_or_default();
        traffic.denied.extend(agent.map(Agent::finish).unwrap_or_default());
        let mut outcome = outcome.map_err(Failure::from)?;
        if let Some(reached) = started.group.as_ref().and_then(Group::ran_out) {
            watcher.ran_out(reached);
        }
        if let Some(leak) = &traffic.leak {
            outcome.exit = Exit::Leak;
            watcher.leaks.push(leak.clone());
        }
        let has_leaked = outcome.leak.is_some() || traffic.leak.is_some();
        let end = if has_leaked { cast::End::Leak } else { cast::End::Whole };
        let recorded = cast.finish(end, summary::code_of(outcome.exit).code());
        Ok(Ended { outcome, watcher, claimed, last_line, recorded, guard, seen, told, traffic, init, layers })
    }

    /// Completes the record, and says what a person must know.
    ///
    /// # Errors
    /// When the result cannot be written.
    pub(crate) fn close(
        &self,
        ended: Ended,
        settled: Settled,
        recording: Recording,
    ) -> Result<ExitCode, Failure> {
        summary::close(self, ended, settled, recording)
    }

    /// The recording of what is printed.
    fn recording_of_output(&self, scanner: Option<&LeakScanner>) -> Result<Cast, Failure> {
        let file = self.directory.create_file(CAST)?;
        let title = self.plan.command.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let trace = &self.policy.trace;
        Ok(Cast::new(file, title, scanner.map(LeakScanner::shared), trace.stdio_size, trace.stdin))
    }

    /// What the shim is told: names and paths, never a value.
    fn guest_table(&self) -> Vec<u8> {
        let mut table = match self.plan.tier {
            Tier::Full => GuestTable::default().walled(),
            Tier::Landlock | Tier::Preload => GuestTable::default(),
        };
        for (index, variable) in (0..).zip(&self.inventory.secret_variables) {
            table.variable(&variable.name, index);
        }
        for (index, mask) in (0..).zip(&self.plan.masks) {
            // Git opens its packs in every command: that is no attempt on a secret.
            let of_the_system = [plan::network::RULE, plan::network::TRUST, plan::ssh::RULE];
            if [sockets::RULE, history::RULE].iter().chain(&of_the_system).any(|rule| *rule == mask.rule) {
                continue;
            }
            let (treatment, extent) = match mask.cover {
                Cover::BlockedFile => (Treatment::Block, Extent::File),
                Cover::BlockedDirectory => (Treatment::Block, Extent::Tree),
                // Without mounts there is nothing to show a synthetic file by.
                Cover::Host { .. } => continue,
                Cover::Synthetic { .. } | Cover::Scratch { .. } if !self.plan.tier.has_namespaces() => {
                    (Treatment::Block, Extent::File)
                }
                Cover::Synthetic { .. } | Cover::Scratch { .. } => (Treatment::Synthetic, Extent::File),
            };
            table.place(&mask.at.0, index, treatment, extent);
        }
        table.into_bytes()
    }
}

/// Seconds and nanoseconds since the epoch.
fn now() -> (i64, i64) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    (now.tv_sec, now.tv_nsec)
}

/// An event of the launcher's own, now.
fn event(action: shieldrun_policy::audit::Action) -> Event {
    Event::new(SystemTime::now(), action, Provider::Launcher)
}
