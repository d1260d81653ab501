//! Exit codes: what a script learns from `$?`. One list for the code, the help and the guides.

use std::process::ExitCode;

/// How the program ends. The numbers are a promise to scripts: they are added to, never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done as asked.
    Done = 0,
    /// The action ran and failed, timed out, or wasn't as asked; or the program it ran failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The action waits for a person's approval.
    WaitsForApproval = 3,
    /// Policy or a person said no, the approval expired, or it was cancelled.
    Refused = 4,
    /// No gateway answers.
    NotReachable = 5,
    /// The token is missing or wrong, or doesn't allow this.
    NotAllowed = 6,
    /// The gateway can't do this as asked: unknown capability, wrong parameter, unknown action.
    Invalid = 7,
    /// The configuration, the policy or a folder needs attention first.
    Configuration = 8,
    /// A port or the data folder is in use by another program.
    InUse = 9,
    /// The journal doesn't hold together, or has failed.
    Integrity = 10,
    /// Nobody can say whether the action took effect: look before you repeat it.
    OutcomeUnknown = 11,
    /// Too busy, or stopped: try again later.
    Busy = 12,
    /// Interrupted from the keyboard.
    Interrupted = 130,
}

impl Exit {
    /// All codes, in order.
    pub(crate) const ALL: [Self; 14] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::WaitsForApproval,
        Self::Refused,
        Self::NotReachable,
        Self::NotAllowed,
        Self::Invalid,
        Self::Configuration,
        Self::InUse,
        Self::Integrity,
        Self::OutcomeUnknown,
        Self::Busy,
        Self::Interrupted,
    ];

    /// The number the shell sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for the help.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done as asked",
            Self::Failed => "the action failed, timed out or was not as asked; or the program it ran failed",
            Self::Usage => "the command line is wrong",
            Self::WaitsForApproval => "the action waits for approval",
            Self::Refused => "refused: by policy, denied, expired or cancelled",
            Self::NotReachable => "no gateway answers (start it with `steadyhand up`)",
            Self::NotAllowed => "the token is missing, wrong, or doesn't allow this",
            Self::Invalid => "not possible as asked: unknown capability or action, wrong parameter or state",
            Self::Configuration => "configuration, policy, token or folder needs attention first",
            Self::InUse => "a port or the data folder is in use",
            Self::Integrity => "the journal doesn't hold together, or has failed",
            Self::OutcomeUnknown => "nobody can say if the action took effect: look before you repeat it",
            Self::Busy => "too busy or stopped: try again later",
            Self::Interrupted => "interrupted from the keyboard",
        }
    }

    /// The worse of two ends, for commands that do several things: the first that isn't [`Exit::Done`].
    pub(crate) fn and(self, next: Self) -> Self {
        if self == Self::Done { next } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The list of exit codes as the help shows it.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        text.push_str(&format!("{:>5}  {}\n", exit.code(), exit.meaning()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_promised() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 130]);
    }

    #[test]
    fn help_lists_each_code_once_with_its_meaning() {
        let table = table();
        assert_eq!(table.lines().count(), 1 + Exit::ALL.len());
        for exit in Exit::ALL {
            let line = format!("{:>5}  {}", exit.code(), exit.meaning());
            assert_eq!(table.lines().filter(|l| **l == line).count(), 1, "{line}");
        }
    }

    #[test]
    fn several_ends_add_up_to_the_first_that_is_not_done() {
        assert_eq!(Exit::Done.and(Exit::Done), Exit::Done);
        assert_eq!(Exit::Done.and(Exit::Refused), Exit::Refused);
        assert_eq!(Exit::Invalid.and(Exit::Done), Exit::Invalid);
    }
}
