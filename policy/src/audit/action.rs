//! The closed words of the audit log: what can happen, who says so, how far it is to be trusted.
//!
//! An action carries its place in ECS (kind, category, type, usual outcome), so that every line of one action
//! looks alike. Adding an action is one entry here and a row in the table of the record's contract.

use serde::{Serialize, Serializer};

/// Who observed what a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// The launcher itself.
    Launcher,
    /// The kernel: seccomp notifications, exits.
    Kernel,
    /// The FUSE masks over secret paths.
    Tripwire,
    /// The proxy and the DNS stub.
    Egress,
    /// The policy gate over the changes.
    Gate,
    /// A person, through the review.
    Review,
    /// The preload shim, inside the guest.
    Shim,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Provider; 7] = [
        Provider::Launcher,
        Provider::Kernel,
        Provider::Tripwire,
        Provider::Egress,
        Provider::Gate,
        Provider::Review,
        Provider::Shim,
    ];

    /// As `event.provider` has it.
    pub const fn word(self) -> &'static str {
        match self {
            Provider::Launcher => "launcher",
            Provider::Kernel => "kernel",
            Provider::Tripwire => "tripwire",
            Provider::Egress => "egress",
            Provider::Gate => "gate",
            Provider::Review => "review",
            Provider::Shim => "shim",
        }
    }

    /// How far its word counts. This is the only place where trust comes from: it is derived, never given.
    pub const fn trust(self) -> Trust {
        match self {
            Provider::Shim => Trust(Level::Claim),
            _ => Trust(Level::Fact),
        }
    }
}

/// Whether a line is a fact or a claim. Made by [`Provider::trust`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trust(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Level {
    Fact,
    Claim,
}

impl Trust {
    /// Whether the guest said this about itself.
    pub const fn is_claim(self) -> bool {
        matches!(self.0, Level::Claim)
    }

    /// As `shieldrun.trust` has it.
    pub const fn word(self) -> &'static str {
        match self.0 {
            Level::Fact => "fact",
            Level::Claim => "claim",
        }
    }
}

/// `event.outcome`: whether what was tried succeeded, as the one who tried sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did.
    Success,
    /// It did not, or only with a synthetic.
    Failure,
    /// Not known here.
    Unknown,
}

impl Outcome {
    /// As `event.outcome` has it.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Unknown => "unknown",
        }
    }
}

/// Whether many alike may become one line with a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// Each is a line: it happens once, or each counts.
    Never,
    /// Repeats of the same by the same process are folded.
    Repeats,
}

macro_rules! actions {
    ($($(#[$meta:meta])* $Variant:ident = $word:literal, $kind:literal, [$($category:literal),*], [$($type:literal),*], $Outcome:ident, $Folding:ident;)+) => {
        /// What happened: `event.action`, closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$meta])* $Variant,)+
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$Variant,)+];

            /// As `event.action` has it.
            pub const fn word(self) -> &'static str {
                match self { $(Action::$Variant => $word,)+ }
            }

            /// The action of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Action::$Variant),)+ _ => None }
            }

            pub(crate) const fn kind(self) -> &'static str {
                match self { $(Action::$Variant => $kind,)+ }
            }

            pub(crate) const fn category(self) -> &'static [&'static str] {
                match self { $(Action::$Variant => &[$($category),*],)+ }
            }

            pub(crate) const fn types(self) -> &'static [&'static str] {
                match self { $(Action::$Variant => &[$($type),*],)+ }
            }

            /// The outcome where the sender says nothing else.
            pub const fn usual_outcome(self) -> Outcome {
                match self { $(Action::$Variant => Outcome::$Outcome,)+ }
            }

            /// Whether repeats may be folded.
            pub const fn folding(self) -> Folding {
                match self { $(Action::$Variant => Folding::$Folding,)+ }
            }
        }
    };
}

actions! {
    /// The run begins.
    RunStarted = "run-started", "event", ["session"], ["start"], Success, Never;
    /// The run is over.
    RunEnded = "run-ended", "event", ["session"], ["end"], Success, Never;
    /// A secret was found at start and replaced or blocked.
    SecretReplaced = "secret-replaced", "event", ["configuration"], ["change"], Success, Never;
    /// A process asked for a secret variable.
    SecretEnvRead = "secret-env-read", "event", ["process"], ["access"], Failure, Repeats;
    /// A masked file was read.
    SecretFileRead = "secret-file-read", "event", ["file"], ["access", "denied"], Failure, Repeats;
    /// A masked file was refused.
    SecretFileDenied = "secret-file-denied", "event", ["file"], ["access", "denied"], Failure, Repeats;
    /// A masked directory was listed.
    SecretDirListed = "secret-dir-listed", "event", ["file"], ["access", "denied"], Failure, Repeats;
    /// A process executed a program.
    ProcessStarted = "process-started", "event", ["process"], ["start"], Success, Never;
    /// A process ended.
    ProcessExited = "process-exited", "event", ["process"], ["end"], Success, Never;
    /// The kernel saw a process that the shim did not.
    ProcessUnhooked = "process-unhooked", "event", ["process"], ["info"], Unknown, Never;
    /// A command matched a blocked pattern and was stopped.
    CommandBlocked = "command-blocked", "event", ["process"], ["denied"], Failure, Repeats;
    /// A system call was denied.
    SyscallDenied = "syscall-denied", "event", ["process"], ["denied"], Failure, Repeats;
    /// A process asked for a connection.
    ConnectionAttempted = "connection-attempted", "event", ["network"], ["connection", "start"], Unknown, Repeats;
    /// A connection was allowed.
    ConnectionAllowed = "connection-allowed", "event", ["network"], ["connection", "allowed"], Success, Repeats;
    /// A connection was denied.
    ConnectionDenied = "connection-denied", "event", ["network"], ["connection", "denied"], Failure, Repeats;
    /// A connection that was allowed ended.
    ConnectionClosed = "connection-closed", "event", ["network"], ["connection", "end"], Success, Never;
    /// A name was asked for that is not allowed.
    NameDenied = "name-denied", "event", ["network"], ["protocol", "denied"], Failure, Repeats;
    /// A synthetic became the real value on the wire, outside.
    SecretSwapped = "secret-swapped", "event", ["network"], ["access", "allowed"], Success, Repeats;
    /// A real value in a response became its synthetic.
    SecretScrubbed = "secret-scrubbed", "event", ["network"], ["access", "denied"], Success, Repeats;
    /// A credential that was renewed on the way is in the file of the one before.
    SecretRenewed = "secret-renewed", "event", ["configuration"], ["change"], Success, Never;
    /// A key of the person's ssh-agent signed: a login at a listed host, or a commit.
    SshKeyUsed = "ssh-key-used", "event", ["authentication"], ["info", "allowed"], Success, Never;
    /// The person's ssh-agent was asked for what the policy does not let it do.
    SshKeyDenied = "ssh-key-denied", "event", ["authentication"], ["info", "denied"], Failure, Repeats;
    /// A synthetic left, or is about to.
    SyntheticSeen = "synthetic-seen", "alert", ["intrusion_detection"], ["indicator"], Unknown, Repeats;
    /// A real value was about to leave.
    LeakStopped = "leak-stopped", "alert", ["intrusion_detection"], ["denied"], Failure, Never;
    /// A limit of the run was reached.
    LimitReached = "limit-reached", "event", ["process"], ["denied"], Failure, Repeats;
    /// The time limit was reached.
    TimedOut = "timed-out", "event", ["process"], ["end"], Failure, Never;
    /// A change waits for a person.
    ChangeHeld = "change-held", "event", ["file"], ["change"], Unknown, Never;
    /// A change was refused.
    ChangeRefused = "change-refused", "event", ["file"], ["change", "denied"], Failure, Never;
    /// A change was accepted.
    ChangeAccepted = "change-accepted", "event", ["file"], ["change", "allowed"], Success, Never;
    /// A person decided.
    ReviewDecided = "review-decided", "event", ["configuration"], ["change"], Success, Never;
    /// Accepted changes reached the real tree.
    Promoted = "promoted", "event", ["file"], ["change"], Success, Never;
    /// The real tree had changed meanwhile.
    PromotionConflict = "promotion-conflict", "event", ["file"], ["change", "error"], Failure, Never;
    /// A promotion was taken back.
    Undone = "undone", "event", ["file"], ["change"], Success, Never;
    /// Somebody was told that a review waits.
    Notified = "notified", "event", ["web"], ["info"], Success, Never;
    /// Events were lost.
    EventsDropped = "events-dropped", "event", ["process"], ["error"], Failure, Never;
}

/// Serializes as its word.
macro_rules! as_word {
    ($($Name:ident),+) => {$(
        impl Serialize for $Name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    )+};
}

as_word!(Provider, Trust, Outcome, Action);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shim_makes_claims() {
        for provider in Provider::ALL {
            assert_eq!(provider.trust().is_claim(), provider == Provider::Shim, "{provider:?}");
        }
    }

    #[test]
    fn words_and_actions_are_one_to_one() {
        let mut words: Vec<_> = Action::ALL.iter().map(|action| action.word()).collect();
        for action in Action::ALL {
            assert_eq!(Action::from_word(action.word()), Some(*action));
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Action::ALL.len());
        assert_eq!(Action::from_word("made-up"), None);
    }
}
