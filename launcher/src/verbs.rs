//! Owns the verbs that run nothing: they look at records and policies and print.

mod prune;
mod review;
mod secrets;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use clap::CommandFactory;
use shieldrun_policy::plan::Plan;
use shieldrun_policy::schema::{Overrides, example, json_schema, load};

use crate::cast::{self, Pace};
use crate::cli::{Action, Cli, PolicyVerb, RunsVerb, SecretsVerb};
use crate::deliver::PlaceArguments;
use crate::doctor;
use crate::failure::Failure;
use crate::host::Host;
use crate::policies::{self, PolicyError};
use crate::promote;
use crate::record::{self, Past, RecordError, TraceForm};
use crate::say;
use crate::selftest;

/// Carries out a verb.
///
/// # Errors
/// When there is nothing to look at, or it cannot be read.
pub(crate) fn carry_out(action: Action) -> Result<ExitCode, Failure> {
    match action {
        Action::Run(_) => Ok(ExitCode::SUCCESS),
        Action::Runs { verb: Some(RunsVerb::Prune(arguments)), .. } => prune::carry_out(&arguments),
        Action::Runs { json, verb: None } => {
            finish_what_was_cut_off(&runs()?);
            let listed = record::list(&runs()?)?;
            read_to_its_end(record::print_list(&listed, json, &mut std::io::stdout().lock()))
        }
        Action::Trace { run, json, verify, replay, speed, idle_limit } => {
            let past = record::find(&runs()?, &run)?;
            if verify {
                return check_chain(&past);
            }
            if replay {
                return play(&past, Pace { speed, idle_limit });
            }
            let form = if json { TraceForm::Json } else { TraceForm::People };
            read_to_its_end(record::trace(&past, form, &mut std::io::stdout().lock()))
        }
        Action::Review { run, json } => review::show(&run, json),
        Action::Approve { named, hunks, place } => {
            review::decide(review::Answer::Approve, &named.run, &named.request(hunks, &place))
        }
        Action::Reject(named) => {
            let request = named.request(Vec::new(), &PlaceArguments::default());
            review::decide(review::Answer::Reject, &named.run, &request)
        }
        Action::Undo { run } => review::undo(&run),
        Action::Policy { verb } => policy(verb),
        Action::Secrets { verb: SecretsVerb::Scan { paths, json } } => secrets::scan(&paths, json),
        Action::Secrets { verb: SecretsVerb::Synthesize { seed, invalid_checksum } } => {
            secrets::synthesize(seed.as_deref(), invalid_checksum)
        }
        Action::Doctor { json } => doctor::carry_out(json),
        Action::Selftest { inside: Some(field), .. } => selftest::inside(&field),
        Action::Selftest { internet: Some(scratch), .. } => selftest::internet(&scratch),
        Action::Selftest { reach: Some(nonce), .. } => Ok(selftest::reach(&nonce)),
        Action::Selftest { json, .. } => selftest::carry_out(json),
        Action::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "shieldrun", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Action::Man => {
            let page = clap_mangen::Man::new(Cli::command());
            page.render(&mut std::io::stdout())
                .map_err(|error| Failure::doing("cannot print the manual", error))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub(crate) use prune::keep_no_more_than;

/// Promotions that a kill cut off are finished, or taken back, before anything else is done.
pub(crate) fn finish_what_was_cut_off(runs: &std::path::Path) {
    for recovered in promote::recover(runs) {
        say::line(format_args!("run {}: {}", recovered.run_id, recovered.what));
    }
}

/// `--dry-run`.
pub(crate) fn print_plan(plan: &Plan, json: bool) -> ExitCode {
    print(&if json { plan.to_json().to_string() } else { plan.to_string() })
}

fn policy(verb: PolicyVerb) -> Result<ExitCode, Failure> {
    match verb {
        PolicyVerb::Check { file } => {
            let host = Host::look()?;
            let sources = policies::sources(&host, file.as_deref())?;
            load(&sources, &Overrides::default()).map_err(PolicyError::Mistakes)?;
            let names = sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
            Ok(print(&if names.is_empty() {
                "no policy file here; the built-in policy holds".to_owned()
            } else {
                format!("{names}: ok")
            }))
        }
        PolicyVerb::Explain { command } => {
            let host = Host::look()?;
            let sources = policies::sources(&host, None)?;
            let mut overrides = Overrides::default();
            overrides.command = command.into_iter().map(OsString::into_vec).collect();
            overrides.workspace = host.workspace.as_os_str().as_bytes().to_vec();
            let policy = load(&sources, &overrides).map_err(PolicyError::Mistakes)?;
            Ok(print(policy.explain().trim_end()))
        }
        PolicyVerb::Schema => Ok(print(&format!("{:#}", json_schema()))),
        PolicyVerb::Init => Ok(print(example().trim_end())),
    }
}

/// Only a terminal knows what to do with it; elsewhere the recording itself is of more use.
fn play(past: &Past, pace: Pace) -> Result<ExitCode, Failure> {
    if !std::io::stdout().is_terminal() {
        let failure = Failure::plain("a recording is played on a terminal, and standard output is none");
        return Err(failure.with_hint("`stdio.cast` in the run's record is the recording (asciicast v3)"));
    }
    let recording = past.file(cast::CAST)?;
    cast::replay(recording, pace)
        .map_err(|error| Failure::doing("cannot play what the run printed", error))?;
    Ok(ExitCode::SUCCESS)
}

fn check_chain(past: &Past) -> Result<ExitCode, Failure> {
    match record::verify(past)? {
        Ok(verified) => Ok(print(&format!("{} lines, each chained to the one before", verified.lines))),
        Err(broken) => Err(Failure::broken_record(broken.line, &broken.reason)),
    }
}

fn runs() -> Result<std::path::PathBuf, Failure> {
    let variable = |name| std::env::var_os(name);
    Ok(record::runs_dir(variable("XDG_STATE_HOME").as_deref(), variable("HOME").as_deref())?)
}

/// A reader that left early (`| head`) is no error.
fn read_to_its_end(printed: Result<(), RecordError>) -> Result<ExitCode, Failure> {
    match printed {
        Err(RecordError::Output { source }) if source.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        other => Ok(other.map(|()| ExitCode::SUCCESS)?),
    }
}

/// To stdout; a reader that left early is no error.
fn print(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
    ExitCode::SUCCESS
}
