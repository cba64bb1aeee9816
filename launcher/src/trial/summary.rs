//! Owns what is said of a run at its beginning and its end: events, `run.json`, the result, and the few
//! lines that a person must see.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use rustix::io::Errno;
use shieldrun_policy::audit::{self, Action, Outcome as Success, Provider, SecretRef, Text, Treatment};
use shieldrun_policy::exit;
use shieldrun_policy::plan::{Bytes, Cover};
use shieldrun_policy::verdict::{LeakRecord, ResultExit, ResultSecrets, RunResult, Touched};
use shieldrun_secrets::Place;

use super::guard::Guard;
use super::last_line::LastLine;
use super::settle::Settled;
use super::{Ended, Recording, Trial, event, say_changes};
use crate::audit::Sender;
use crate::claims::{Claimed, Meaning, PlaceMeaning};
use crate::failure::Failure;
use crate::history;
use crate::inventory::{elsewhere, sockets};
use crate::layers;
use crate::limits::Reached;
use crate::network::Traffic;
use crate::notified::Told;
use crate::record::{EventsRecord, time, write_result};
use crate::say;
use crate::spawn;
use crate::supervise::{Exit, Outcome};
use crate::tripwire::{Seen, is_wired};

/// What the indices of the guest table mean, in the order in which it was built.
/// `witnessed`: whether the masks tell of each touch themselves.
pub(super) fn meaning(trial: &Trial<'_>, witnessed: bool) -> Meaning {
    Meaning {
        variables: trial.inventory.secret_variables.iter().map(|variable| variable.secret.clone()).collect(),
        places: trial
            .plan
            .masks
            .iter()
            .map(|mask| PlaceMeaning {
                rule: mask.rule.clone(),
                treatment: match mask.cover {
                    Cover::Synthetic { .. } | Cover::Scratch { .. } | Cover::Host { .. }
                        if trial.plan.tier.has_namespaces() =>
                    {
                        Treatment::Synthetic
                    }
                    _ => Treatment::Block,
                },
                path: Text::from_bytes(&mask.at.0),
                witnessed: witnessed && is_wired(trial.plan, mask),
            })
            .collect(),
    }
}

/// The first events: the run, and one for each secret and each mask.
pub(super) fn say_what_is_masked(sender: &Sender, trial: &Trial<'_>) {
    sender.send(event(Action::RunStarted).tier(trial.plan.tier.word()).policy_digest(trial.policy.digest()));
    for entry in trial.inventory.registry.entries() {
        let secret =
            SecretRef { id: entry.id.to_string(), kind: entry.kind.into(), name: entry.name.clone() };
        let treatment = if entry.synthetic().is_empty() { Treatment::Block } else { Treatment::Synthetic };
        let event = event(Action::SecretReplaced).secret(secret).treatment(treatment);
        let path = entry.places.iter().find_map(|place| match place {
            Place::File { path, .. } => Some(path.clone()),
            _ => None,
        });
        sender.send(match path {
            Some(path) => event.file(Text::from_bytes(path.as_bytes())),
            None => event,
        });
    }
    for mask in &trial.plan.masks {
        let is_shown = !matches!(mask.cover, Cover::BlockedFile | Cover::BlockedDirectory);
        // What a known secret file shows was said of its secrets; where else a value lies is said here.
        let is_said = is_shown && ![elsewhere::RULE, history::RULE].contains(&mask.rule.as_str());
        if mask.rule != sockets::RULE && !is_said {
            sender.send(
                event(Action::SecretReplaced)
                    .file(Text::from_bytes(&mask.at.0))
                    .rule(Text::from_bytes(mask.rule.as_bytes()))
                    .treatment(if is_shown { Treatment::Synthetic } else { Treatment::Block })
                    .message(Text::from_bytes(mask.reason.as_bytes())),
            );
        }
    }
}

/// The end of a run.
pub(super) fn close(
    trial: &Trial<'_>,
    ended: Ended,
    settled: Settled,
    recording: Recording,
) -> Result<ExitCode, Failure> {
    let Ended { outcome, watcher, claimed, last_line, recorded, guard, seen, told, traffic, init, layers: _ } =
        ended;
    let Recording { log, sender, mut record } = recording;
    let stopped = match (outcome.exit, watcher.reached) {
        (Exit::Leak, _) | (_, None) => code_of(outcome.exit),
        // Also of a run that was over before anybody looked.
        (_, Some(_)) => exit::ExitCode::Limit,
    };
    let code = settled.code(stopped, trial.arguments.fail_on_hold);
    say_what_the_kernel_ended(&sender, trial, outcome.exit);
    if claimed.dropped > 0 {
        let dropped =
            audit::Dropped { events: claimed.dropped, provider: Some(Provider::Shim), place: "ring".into() };
        sender.send(event(Action::EventsDropped).dropped(dropped));
    }
    if claimed.forged > 0 {
        let message = format!("the ring held {} records that the shim does not write", claimed.forged);
        sender.send(event(Action::EventsDropped).message(Text::from_bytes(message.as_bytes())));
    }
    // A namespace that is torn down at the end changes too: only an init that was ended early was the guard's.
    let lost = guard.as_ref().filter(|_| matches!(outcome.exit, Exit::InitLost)).and_then(Guard::lost);
    if let Some(path) = lost {
        let message = "the host replaced this masked file, so its mask was gone inside: the run was ended";
        sender.send(
            event(Action::SecretFileDenied)
                .file(Text::from_bytes(&path.0))
                .rule(Text::from_bytes(b"shieldrun.guard"))
                .message(Text::from_bytes(message.as_bytes())),
        );
    }
    let exit = exit_of(code, outcome.exit);
    let last = event(Action::RunEnded)
        .tier(trial.plan.tier.word())
        .policy_digest(trial.policy.digest())
        .duration(outcome.duration)
        .exit(audit::Exit {
            code: exit.code,
            signal: exit.signal,
            shieldrun: exit.shieldrun.clone().map(Into::into),
        })
        .outcome(if code.code() == 0 { Success::Success } else { Success::Failure });
    drop(sender);
    let written = log.finish(last);

    let result = RunResult {
        run_id: trial.directory.id().to_owned(),
        command: record.command.clone(),
        exit,
        duration_seconds: outcome.duration.as_secs_f64(),
        isolation: trial.plan.tier.word().to_owned(),
        verdict: settled.verdict.as_ref().map(|verdict| verdict.verdict),
        promoted: settled.promoted.clone(),
        promoted_to: trial.place.filter(|_| !settled.promoted.is_empty()).cloned(),
        held: settled.held(),
        refused: settled.verdict.as_ref().map(|verdict| verdict.refused.clone()).unwrap_or_default(),
        secrets: Some(ResultSecrets {
            replaced: trial.plan.secrets as u64,
            touched: touched(&claimed, &seen),
        }),
        denied: Some([told.denied(), traffic.denied.clone()].concat()),
        leaks: watcher.leaks.clone(),
        record: trial.directory.path().display().to_string(),
    };
    record.ended_at = Some(time(SystemTime::now()));
    record.events = Some(EventsRecord {
        lines: written.lines,
        dropped: written.dropped,
        last_hash: written.last_hash.clone(),
    });
    record.result = Some(result.clone());
    trial.directory.write_run(&record)?;
    if let Some(file) = &trial.arguments.result {
        write_result(file, &result)?;
    }
    say_what_was_blocked(&told, &last_line);
    say_what_was_not_reached(&traffic, &last_line);
    for warning in &traffic.warnings {
        say::warning(warning);
    }
    say_what_happened(
        trial,
        &outcome,
        &last_line,
        End { lost, reached: watcher.reached, code, traffic: &traffic },
    );
    say_changes::say(trial, &settled);
    settled.untold.iter().for_each(say::warning);
    if let Err(error) = recorded {
        say::warning(format_args!("what the run printed is not all on record: {error}"));
    }
    if let Some(warning) = written.warning() {
        say::warning(warning);
    }
    if claimed.dropped > 0 {
        say::warning(format_args!(
            "{} reports of the shim were lost; the record counts them",
            claimed.dropped
        ));
    }
    // By now the kernel has torn the namespaces down, while we wrote: no process of ours is left behind.
    spawn::collect(&init);
    if let Some(home) = trial.plan.home().filter(|_| !trial.plan.kept.is_empty()) {
        let home = Path::new(std::ffi::OsStr::from_bytes(&home.0));
        for (path, error) in layers::bring_back(trial.directory, home, &trial.plan.kept) {
            say::warning(format_args!("`{path}` was to be kept, and could not be: {error}"));
        }
    }
    layers::tidy(trial.directory);
    Ok(code.into())
}

/// Limits that the kernel keeps, by a signal of their own to the process that went too far.
fn say_what_the_kernel_ended(sender: &Sender, trial: &Trial<'_>, exit: Exit) {
    let bounds = &trial.plan.bounds;
    let key = match exit {
        Exit::Signal(libc::SIGXCPU) if bounds.cpu_seconds.is_some() => "limits.cpu_seconds",
        Exit::Signal(libc::SIGXFSZ) if bounds.file_size.is_some() => "limits.file_size",
        _ => return,
    };
    sender.send(event(Action::LimitReached).limit(key));
}

pub(super) fn code_of(exit: Exit) -> exit::ExitCode {
    use exit::ExitCode;
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match exit {
        Exit::Code(code) => ExitCode::Command(byte(code)),
        Exit::Signal(signal) => ExitCode::Signal(byte(signal)),
        Exit::NotExecuted(Errno::NOENT | Errno::NOTDIR) => ExitCode::NotFound,
        Exit::NotExecuted(_) => ExitCode::NotExecutable,
        Exit::SetupFailed(..) | Exit::InitLost => ExitCode::Setup,
        Exit::TimedOut => ExitCode::TimedOut,
        Exit::Leak => ExitCode::Leak,
    }
}

fn exit_of(code: exit::ExitCode, exit: Exit) -> ResultExit {
    let signal = match exit {
        Exit::Signal(signal) => u8::try_from(signal).ok(),
        _ => None,
    };
    ResultExit { code: Some(code.code()), signal, shieldrun: code.cause().map(str::to_owned) }
}

/// What the masks saw is a fact; what they did not see is what the shim said.
fn touched(claimed: &Claimed, seen: &Seen) -> Vec<Touched> {
    let touch = |(touch, count): (&crate::claims::Touch, &u64)| Touched {
        name: touch.name.clone(),
        kind: touch.kind.clone(),
        by: (!touch.by.is_empty()).then(|| touch.by.clone()),
        count: *count,
    };
    seen.touched.iter().chain(&claimed.touched).map(touch).collect()
}

/// How a run ended, beside what the supervisor saw.
struct End<'a> {
    /// A mask that the host took away.
    lost: Option<&'a Bytes>,
    reached: Option<Reached>,
    code: exit::ExitCode,
    traffic: &'a Traffic,
}

/// An agent sees only that its command may not be executed; the person should know why.
fn say_what_was_blocked(told: &Told, last_line: &LastLine) {
    const SHOWN: usize = 5;
    let blocked: Vec<_> = told.blocked().collect();
    if last_line.is_unfinished() && !blocked.is_empty() {
        say::blank();
    }
    for (what, count) in blocked.iter().take(SHOWN) {
        let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
        say::line(format_args!("blocked: `{}`{times}, by `blocked_patterns`", shortened(what)));
    }
    if let Some(more @ 1..) = blocked.len().checked_sub(SHOWN) {
        say::line(format_args!("blocked: {more} more; see `shieldrun trace last`"));
    }
}

/// A program says at most that a name is not known, or that a connection was refused.
fn say_what_was_not_reached(traffic: &Traffic, last_line: &LastLine) {
    const SHOWN: usize = 5;
    if last_line.is_unfinished() && !traffic.denied.is_empty() {
        say::blank();
    }
    for denied in traffic.denied.iter().take(SHOWN) {
        let rule = denied.rule.as_deref().unwrap_or("network");
        let what = shortened(&denied.what);
        match rule {
            "network.allow" => {
                say::line(format_args!("not reached: `{what}`, by `{rule}`; `--allow {what}` lets it"))
            }
            "network.address" => say::line(format_args!(
                "not reached: `{what}`, by `{rule}`: it leads to a private address, which must be listed itself"
            )),
            "network.reach" => say::line(format_args!("not reached: `{what}`: nothing answered")),
            _ => say::line(format_args!("not reached: `{what}`, by `{rule}`")),
        }
    }
    if let Some(more @ 1..) = traffic.denied.len().checked_sub(SHOWN) {
        say::line(format_args!("not reached: {more} more; see `shieldrun trace last`"));
    }
}

/// One line of a terminal, whatever is in it.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    let plain: String = text.chars().flat_map(char::escape_debug).take(LONGEST + 1).collect();
    match plain.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", plain.get(..end).unwrap_or_default()),
        None => plain,
    }
}

/// What is wrong is always said; that all is well only to a person at a terminal, in one line.
fn say_what_happened(
    trial: &Trial<'_>,
    outcome: &Outcome,
    last_line: &LastLine,
    End { lost, reached, code, traffic }: End<'_>,
) {
    let command = trial.plan.command.first().map(ToString::to_string).unwrap_or_default();
    if last_line.is_unfinished() && (code.cause().is_some() || matches!(outcome.exit, Exit::NotExecuted(_))) {
        say::blank();
    }
    if let Some((stream, leak)) = &outcome.leak {
        let (name, encoding) = (&leak.name, leak.encoding);
        say::line(format_args!(
            "stopped: the real value of `{name}` ({encoding}) was about to leave on {stream}; the rest is withheld"
        ));
    }
    if let Some(LeakRecord { name, encoding, place, .. }) = traffic.leak.as_ref() {
        say::line(format_args!(
            "stopped: the real value of `{name}` ({encoding}) was about to leave for {place}; the rest is withheld"
        ));
    }
    if let Some(reached) = reached {
        say::line(format_args!("stopped: {reached}"));
    }
    if outcome.timed_out {
        let seconds = trial.policy.limits.timeout.map_or(0.0, |limit| limit.as_secs_f64());
        say::line(format_args!("stopped: timed out after {seconds} s"));
    }
    match outcome.exit {
        Exit::NotExecuted(errno) => say_not_executed(&command, errno, code),
        Exit::SetupFailed(_, errno) => say::line(format_args!("error: cannot start init: {errno}")),
        Exit::InitLost if lost.is_some() => {
            let path = lost.map(ToString::to_string).unwrap_or_default();
            say::line(format_args!(
                "stopped: `{path}` was replaced on the host, which takes its mask away; start the run again"
            ));
        }
        Exit::InitLost if reached.is_some() => {}
        Exit::InitLost => say::line("error: the run's init ended without a word"),
        Exit::Code(_) | Exit::Signal(_) | Exit::Leak | Exit::TimedOut => {}
    }
    if let Some((stream, errno)) = outcome.lost_output {
        say::warning(format_args!("output to {stream} was lost: {errno}"));
    }
    if !trial.arguments.quiet && std::io::stderr().is_terminal() && trial.plan.secrets > 0 {
        let plural = if trial.plan.secrets == 1 { "" } else { "s" };
        say::line(format_args!(
            "{} secret{plural} kept out; record: shieldrun trace {}",
            trial.plan.secrets,
            trial.directory.id()
        ));
    }
}

fn say_not_executed(command: &str, errno: Errno, code: exit::ExitCode) {
    if code == exit::ExitCode::NotFound {
        say::line(format_args!("{command}: command not found"));
        if command.starts_with("/tmp/") || command.starts_with("/run/") {
            say::line("hint: `/tmp` and `/run` are private inside; put the program into the workspace");
        }
    } else {
        say::line(format_args!("{command}: cannot be executed: {errno}"));
    }
}
