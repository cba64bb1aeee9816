//! The exit codes of `shieldrun`.
//!
//! One enum, so that "the command failed" is never mistaken for "the sandbox failed". Which of them applies
//! is the launcher's decision.

/// How `shieldrun` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// The command ended by itself; its own code goes through unchanged.
    Command(u8),
    /// The command died of this signal: 128 + N, as a shell says it.
    Signal(u8),
    /// A real secret was about to leave; the run was stopped.
    Leak,
    /// The policy refused changes.
    Refused,
    /// Changes wait for a review and `--fail-on-hold` was given.
    Held,
    /// The time limit was reached.
    TimedOut,
    /// Another limit of the run was reached.
    Limit,
    /// `shieldrun` itself failed: the command did not run, or not under the protection asked for.
    Setup,
    /// The command exists and cannot be executed.
    NotExecutable,
    /// There is no such command.
    NotFound,
}

impl ExitCode {
    /// The number for the parent process.
    pub fn code(self) -> u8 {
        match self {
            ExitCode::Command(code) => code,
            ExitCode::Signal(signal) => 128u8.saturating_add(signal),
            ExitCode::Leak => 120,
            ExitCode::Refused => 121,
            ExitCode::Held => 122,
            ExitCode::TimedOut | ExitCode::Limit => 124,
            ExitCode::Setup => 125,
            ExitCode::NotExecutable => 126,
            ExitCode::NotFound => 127,
        }
    }

    /// The cause as `exit.shieldrun` of the result names it; none where the code is the command's.
    ///
    /// A command that is missing or not executable counts as the command's: a shell answers the same.
    pub fn cause(self) -> Option<&'static str> {
        match self {
            ExitCode::Leak => Some("leak"),
            ExitCode::Refused => Some("refused"),
            ExitCode::Held => Some("held"),
            ExitCode::TimedOut => Some("timeout"),
            ExitCode::Limit => Some("limit"),
            ExitCode::Setup => Some("setup"),
            ExitCode::Command(_) | ExitCode::Signal(_) | ExitCode::NotExecutable | ExitCode::NotFound => None,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn codes_are_those_of_the_manual() {
        let table = [
            (ExitCode::Command(0), 0, None),
            (ExitCode::Command(3), 3, None),
            (ExitCode::Signal(9), 137, None),
            (ExitCode::Signal(15), 143, None),
            (ExitCode::Leak, 120, Some("leak")),
            (ExitCode::Refused, 121, Some("refused")),
            (ExitCode::Held, 122, Some("held")),
            (ExitCode::TimedOut, 124, Some("timeout")),
            (ExitCode::Limit, 124, Some("limit")),
            (ExitCode::Setup, 125, Some("setup")),
            (ExitCode::NotExecutable, 126, None),
            (ExitCode::NotFound, 127, None),
        ];
        for (exit, code, cause) in table {
            assert_eq!((exit.code(), exit.cause()), (code, cause), "{exit:?}");
        }
    }
}
