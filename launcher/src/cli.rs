//! Owns the command line: what was asked for, and nothing decided yet.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::deliver::PlaceArguments;
use crate::review::Request;
use crate::say;
use clap::{Args, Parser, Subcommand};
use shieldrun_policy::exit;
use shieldrun_policy::network::Entry;
use shieldrun_policy::profiles::Choice;
use shieldrun_policy::schema::{Isolation, NetworkMode, Review, SecretsMode, SinkName, Writes, bytes};

/// Run a coding agent so that it can neither read nor leak a real secret.
#[derive(Debug, Parser)]
#[command(
    name = "shieldrun",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "shieldrun [OPTIONS] [--] COMMAND [ARG]...\n       shieldrun runs [prune] | trace RUN | review [RUN] | approve RUN | reject RUN | undo RUN\n       shieldrun policy check|explain|schema|init | secrets scan|synthesize | doctor | selftest",
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do instead of running a command.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// The run.
    #[command(flatten)]
    pub run: RunArguments,
}

const AFTER_HELP: &str = "\
Examples:
  shieldrun -- claude                      an agent, unchanged, with synthetic credentials
  shieldrun --timeout 600 -- npm test      at most ten minutes
  shieldrun --dry-run -- python3 agent.py  what would be masked and mounted, without running it
  shieldrun trace last                     what the last run touched

Exit codes:
  the command's own; 128+N when signal N ended it
  120 a real secret was about to leave      124 timed out
  121 changes refused by policy             125 shieldrun itself failed
  122 changes held for review               126 not executable, 127 not found

Everything that shieldrun says goes to stderr; stdout is the command's alone.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Run a command (the same as no verb at all).
    Run(RunArguments),
    /// List the recorded runs, newest first, or remove old ones.
    #[command(args_conflicts_with_subcommands = true)]
    Runs {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        /// What to do instead of listing.
        #[command(subcommand)]
        verb: Option<RunsVerb>,
    },
    /// Show what a run did.
    Trace {
        /// A run id, a unique beginning of one, or `last`.
        run: String,
        /// The events as JSON lines.
        #[arg(long)]
        json: bool,
        /// Check the chain of the record and name the first broken line.
        #[arg(long, conflicts_with_all = ["json", "replay"])]
        verify: bool,
        /// Play what was printed on this terminal; `q` ends it.
        #[arg(long, conflicts_with = "json")]
        replay: bool,
        /// How fast: 2 is twice as fast.
        #[arg(long, value_name = "N", requires = "replay", default_value = "1", value_parser = speed)]
        speed: f64,
        /// No pause longer than this.
        #[arg(long, value_name = "SECONDS", requires = "replay", value_parser = seconds)]
        idle_limit: Option<Duration>,
    },
    /// Show what a run changed, and what waits for a person.
    Review {
        /// A run id, a unique beginning of one, or `last`.
        #[arg(default_value = "last")]
        run: String,
        /// The verdict, the changes and the patch as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Let changes of a run through, and promote them.
    Approve {
        /// The run, and files of it.
        #[command(flatten)]
        named: Named,
        /// Only these hunks of the one file, by their numbers in its patch: `1,3`.
        #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = hunk)]
        hunks: Vec<usize>,
        /// Where to; else where the run was told to.
        #[command(flatten)]
        place: PlaceArguments,
    },
    /// Leave changes in the run.
    Reject(Named),
    /// Take back what was promoted of a run.
    Undo {
        /// A run id, a unique beginning of one, or `last`.
        run: String,
    },
    /// Find credentials in files, or make synthetic ones.
    Secrets {
        /// What to do.
        #[command(subcommand)]
        verb: SecretsVerb,
    },
    /// Show what this host gives, good or bad, with a remedy for what is bad.
    Doctor {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Try every known way out on this host, inside a run and, for comparison, without shieldrun.
    Selftest {
        /// One JSON object.
        #[arg(long)]
        json: bool,
        /// For the program inside.
        #[arg(long, hide = true)]
        inside: Option<PathBuf>,
        /// A secret on the command line, to be looked for.
        #[arg(long, hide = true)]
        argument: Option<String>,
        /// For the process in a network of its own.
        #[arg(long, hide = true)]
        internet: Option<PathBuf>,
        /// For the program inside a run with that network.
        #[arg(long, hide = true)]
        reach: Option<String>,
    },
    /// Print the completions of a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Look at policies.
    Policy {
        /// What to do with it.
        #[command(subcommand)]
        verb: PolicyVerb,
    },
}

/// What to do with recorded runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsVerb {
    /// Remove old records, with the layers and replaced files in them. Never one of a run that goes on.
    Prune(PruneArguments),
}

/// Which records go. Without any of the first three: what the policy's `trace.retention` says.
#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// Those older than this: `30d`, `12h`, `90m`.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<Duration>,
    /// All but the newest N; beside another option: never one of the newest N.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// The oldest, until all of them together take no more than this on disk: `1GiB`.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// Also those that hold work nobody has decided on.
    #[arg(long)]
    pub force_held: bool,
    /// Say what would go, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A run, and files of it.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// A run id, a unique beginning of one, or `last`.
    pub run: String,
    /// Files, relative to the workspace; else all that wait.
    pub files: Vec<String>,
    /// Why: it goes on record.
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub comment: Option<String>,
}

impl Named {
    /// As the review takes it.
    pub(crate) fn request(&self, hunks: Vec<usize>, place: &PlaceArguments) -> Request {
        Request { files: self.files.clone(), comment: self.comment.clone(), hunks, place: place.clone() }
    }
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsVerb {
    /// Find credentials: kind, place and confidence, never the value. Exit code 1 when there are any.
    Scan {
        /// Files and directories, or `-` for stdin; else the working directory.
        paths: Vec<PathBuf>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// One credential a line on stdin; a synthetic of the same form for each, as JSON lines.
    Synthesize {
        /// The same seed gives the same synthetics.
        #[arg(long, value_name = "HEX")]
        seed: Option<String>,
        /// With a wrong checksum, so that scanners which check it stay quiet.
        #[arg(long)]
        invalid_checksum: bool,
    },
}

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Report every mistake with its line and column.
    Check {
        /// The file; else those that a run here would use.
        file: Option<PathBuf>,
    },
    /// Show the policy that holds here, and where each value comes from.
    Explain {
        /// For this command: an agent that is known brings its profile.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Print the JSON Schema of the policy.
    Schema,
    /// Print a commented policy with the built-in values.
    Init,
}

/// A run: options, and the command.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Policy file; else `sandbox-policy.yaml` in the workspace, else the user's, else built in.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Settings as JSON, or from a file: `{"timeout_seconds": 120, "network_policy": "none"}`.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<OsString>,
    /// End the run after this many seconds (exit code 124).
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// What the network reaches: none, allowlist, open.
    #[arg(long, value_name = "MODE")]
    pub network: Option<NetworkMode>,
    /// Let this host be reached (`host`, `*.host`, `host:port`, `set:NAME`); implies `--network allowlist`.
    #[arg(long, value_name = "HOST", value_parser = allowed)]
    pub allow: Vec<String>,
    /// Let the keys of your ssh-agent log in at this host (`host`, `*.host`); its port has to be allowed too.
    #[arg(long = "ssh-agent", value_name = "HOST", value_parser = whole_host)]
    pub ssh_agent: Vec<String>,
    /// What stands for a real secret: synthetic, block, broker.
    #[arg(long, value_name = "MODE")]
    pub secrets: Option<SecretsMode>,
    /// Where writes to the workspace go: overlay, direct, none.
    #[arg(long, value_name = "MODE")]
    pub writes: Option<Writes>,
    /// When a person looks at the changes: auto, always, never.
    #[arg(long, value_name = "WHEN")]
    pub review: Option<Review>,
    /// Which agent this is; else its command tells: claude, codex, gemini, …, none.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<Choice>,
    /// How strong the wall is: full, or landlock or preload where the kernel gives no namespaces.
    #[arg(long, value_name = "TIER")]
    pub isolation: Option<Isolation>,
    /// Write the events, live, as JSON lines.
    #[arg(long, value_name = "FILE|fd:N")]
    pub events: Option<OsString>,
    /// Send the events, live, to `unix:PATH`, `syslog`, `journald` or `otlp:URL` too.
    #[arg(long = "sink", value_name = "SINK", value_parser = sink)]
    pub sinks: Vec<String>,
    /// Write what became of the run, as one JSON object.
    #[arg(long, value_name = "FILE")]
    pub result: Option<PathBuf>,
    /// Let descriptor N through; none but 0, 1 and 2 crosses otherwise.
    #[arg(long = "keep-fd", value_name = "N", value_parser = clap::value_parser!(i32).range(3..))]
    pub keep_fd: Vec<i32>,
    #[command(flatten)]
    pub place: PlaceArguments,
    /// Exit with 122 when changes are held for review.
    #[arg(long)]
    pub fail_on_hold: bool,
    /// Print the plan and run nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Say nothing but errors.
    #[arg(long, short)]
    pub quiet: bool,
    /// With `--dry-run`: the plan as JSON. Else: what shieldrun says, as JSON.
    #[arg(long)]
    pub json: bool,
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, value_name = "COMMAND", required = true)]
    pub command: Vec<OsString>,
}

fn sink(text: &str) -> Result<String, String> {
    SinkName::parse(text).map(|_| text.to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=1000.0).contains(&speed) { Ok(speed) } else { Err("it is from 0.01 to 1000".to_owned()) }
}

fn whole_host(text: &str) -> Result<String, String> {
    Entry::whole_host(text).map(|_| text.to_owned())
}

fn allowed(text: &str) -> Result<String, String> {
    Entry::all(text).map(|_| text.to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if seconds <= 0.0 {
        return Err("a timeout must be more than 0 seconds".to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "too long".to_owned())
}

fn hunk(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a hunk is named by its number, from 1".to_owned())
}

fn age(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err("an age is a number and a unit: `45s`, `90m`, `12h`, `30d`, `2w`".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "an age begins with a number: `30d`".to_owned())?;
    Ok(Duration::from_secs(number.checked_mul(seconds).ok_or_else(|| "too long".to_owned())?))
}

fn size(text: &str) -> Result<u64, String> {
    bytes(text)
        .ok_or_else(|| "a size is a number of bytes with or without a unit: `512MiB`, `1GiB`".to_owned())
}

impl RunArguments {
    /// The command as bytes.
    pub(crate) fn command_bytes(&self) -> Vec<Vec<u8>> {
        self.command.iter().map(|word| word.as_bytes().to_vec()).collect()
    }
}

/// Parses the command line of this process. A mistake in it is a failure of shieldrun's own.
///
/// # Errors
/// The exit code, after the message or the help was printed.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        if error.use_stderr() {
            say::usage(&error);
        } else {
            // A reader that left early is no error.
            let _ = error.print();
        }
        if error.use_stderr() { exit::ExitCode::Setup.into() } else { ExitCode::SUCCESS }
    })
}
