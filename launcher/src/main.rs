//! `shieldrun -- COMMAND`: runs a coding agent so that it can neither read nor leak a real secret.
//!
//! This file is the table of contents: a run is a pipeline, one function a stage.

mod audit;
mod claims;
mod cli;
mod failure;
mod guest;
mod guest_table;
mod host;
mod inventory;
mod leak;
mod plan;
mod policies;
mod record;
mod say;
mod spawn;
mod stdio;
mod supervise;
mod sys;
mod trial;
mod verbs;

use std::process::ExitCode;

use cli::{Action, Cli, RunArguments};
use failure::Failure;
use host::Host;
use sys::privileges;
use sys::signals::InheritedSignals;
use trial::Trial;

fn main() -> ExitCode {
    let inherited = InheritedSignals::capture();
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match cli {
        Cli { action: Some(Action::Run(arguments)), .. } | Cli { action: None, run: arguments } => run(arguments, inherited),
        Cli { action: Some(action), .. } => verbs::carry_out(action),
    };
    done.unwrap_or_else(|failure| failure.say())
}

/// The pipeline: parse -> policy -> inventory -> plan -> spawn -> supervise -> record.
fn run(arguments: RunArguments, inherited: InheritedSignals) -> Result<ExitCode, Failure> {
    privileges::hide_from_peers().map_err(Failure::hide)?;
    let host = Host::look()?;
    let policy = policies::policy(&host, &arguments)?;
    failure::refuse_what_cannot_be_had(&policy)?;
    let mut inventory = inventory::take(&policy, &host, &arguments.command_bytes())?;
    let state = record::State::find(&host)?;
    let plan = plan::make(&policy, &host, &mut inventory, &arguments.keep_fd, &state.places());
    if arguments.dry_run {
        return Ok(verbs::print_plan(&plan, arguments.json));
    }
    let trial = Trial::new(&arguments, &policy, &host, &plan, &inventory, &state);
    let launched = trial.launch(inherited)?;
    let recording = trial.record(&launched)?;
    let running = launched.ready()?;
    let outcome = trial.supervise(running, &recording)?;
    Ok(trial.close(outcome, recording)?)
}
