//! `shieldrun -- COMMAND`: runs a coding agent so that it can neither read nor leak a real secret.
//!
//! This file is the table of contents: a run is a pipeline, one function a stage.

mod cli;
mod failure;
mod host;
mod policies;
mod say;
mod verbs;

mod cache;
mod grants;
mod history;
mod inventory;
mod layers;
mod limits;
mod parallel;
mod plan;

mod guest;
mod guest_table;
mod spawn;
mod stdio;
mod sys;

mod claims;
mod leak;
mod network;
mod notified;
mod procfs;
mod ssh;
mod standby;
mod supervise;
mod trial;
mod tripwire;

mod audit;
mod cast;
mod record;

mod notify;
mod web;

mod beneath;
mod changes;
mod closed;
mod commits;
mod deliver;
mod promote;
mod review;

mod doctor;
mod selftest;

use std::cell::Cell;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use cli::{Action, Cli, RunArguments};
use failure::Failure;
use host::Host;
use inventory::Search;
use record::RunDir;
use shieldrun_policy::schema::Policy;
use shieldrun_policy::verdict::PromoteTo;
use sys::privileges;
use sys::signals::InheritedSignals;
use trial::Trial;

fn main() -> ExitCode {
    let inherited = InheritedSignals::capture();
    let done = match cli::parse() {
        Err(code) => return code,
        Ok(Cli { action: Some(Action::Run(arguments)), .. } | Cli { action: None, run: arguments }) => {
            run(&arguments, inherited)
        }
        Ok(Cli { action: Some(action), .. }) => verbs::carry_out(action),
    };
    done.unwrap_or_else(|failure| failure.say())
}

/// parse -> policy -> inventory -> plan -> spawn -> supervise -> diff -> gate -> promote -> notify -> record.
fn run(arguments: &RunArguments, inherited: InheritedSignals) -> Result<ExitCode, Failure> {
    privileges::hide_from_peers()
        .map_err(|error| Failure::doing("cannot hide the launcher's memory", error))?;
    let host = Host::look()?;
    let policy = policies::policy(&host, arguments)?;
    failure::refuse_what_cannot_be_had(&policy)?;
    arguments.place.refuse_without_a_layer(&policy)?;
    failure::refuse_closed_descriptors(&arguments.keep_fd)?;
    let runs = host.runs()?;
    if arguments.dry_run {
        let (mut inventory, _) = inventory::take(&policy, &host, &arguments.command_bytes(), Search::First)?;
        let mut plan = plan::make(&policy, &host, &mut inventory, arguments, &runs);
        drop(ssh::Keys::of(&policy, &host, &mut plan)?);
        drop(network::trusted(&policy, &mut plan, &inventory.registry, host.home.as_deref())?);
        return Ok(verbs::print_plan(&plan, arguments.json));
    }
    verbs::finish_what_was_cut_off(&runs);
    policies::say_profile(&policy, arguments.quiet);
    let place = arguments.place.resolve(&host.workspace, &runs)?;
    let mut search = Search::Beside;
    loop {
        if let Some(code) = attempt(arguments, inherited, &host, &policy, &runs, place.as_ref(), search)? {
            verbs::keep_no_more_than(&policy.trace.retention, &runs);
            return Ok(code);
        }
        // More is to be masked than was known when it began.
        search = Search::First;
    }
}

/// A run, from its inventory on. `None`: nothing was run, because the inventory did not hold.
fn attempt(
    arguments: &RunArguments,
    inherited: InheritedSignals,
    host: &Host,
    policy: &Policy,
    runs: &Path,
    place: Option<&PromoteTo>,
    search: Search,
) -> Result<Option<ExitCode>, Failure> {
    let (mut inventory, left_over) = inventory::take(policy, host, &arguments.command_bytes(), search)?;
    let directory = RunDir::create(runs, SystemTime::now())?;
    let mut plan = plan::make(policy, host, &mut inventory, arguments, directory.path());
    let keys = Cell::new(ssh::Keys::of(policy, host, &mut plan)?);
    let trusted = Cell::new(network::trusted(policy, &mut plan, &inventory.registry, host.home.as_deref())?);
    let (plan, inventory, directory) = (&plan, &inventory, &directory);
    let trial = Trial { arguments, policy, plan, inventory, directory, trusted, keys, place };
    let started = trial.launch(inherited)?;
    if let Some(search) = left_over
        && !search.confirm(&inventory.registry, policy, host)?
    {
        trial.abandon(started)?;
        return Ok(None);
    }
    let mut recording = trial.record()?;
    let ended = trial.supervise(started, &mut recording)?;
    let changes = trial.diff(&ended);
    let verdict = trial.gate(changes, &ended, &recording);
    let settled = trial.promote(verdict, &ended, &recording);
    let settled = trial.notify(settled, &ended, &recording);
    trial.close(ended, settled, recording).map(Some)
}
