//! The roads of the drills at steps, and what a crash at each step must leave: the table of what holds.

use serde_json::{Value, json};
use steadyhand_core::step::Step;

/// What the file held before anybody wrote it.
pub(super) const BEFORE: &str = "before";

/// What a crash at a step leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The step isn't on this road: the action ends as if nothing were armed.
    Unharmed,
    /// Nothing was accepted; a repeat is a first request.
    NeverWas,
    /// A person can still decide.
    Waits,
    /// It runs again, as the same action.
    RunsAgain,
    /// Nobody can say; that is its end.
    Unknown,
    /// The outcome is there.
    Settled,
    /// The undo did nothing and can be asked for again.
    StillDone,
    /// The undo is there.
    PutBack,
}

/// The roads, each with what a crash at the steps on it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Road {
    Read,
    Write,
    AskedWrite,
    Command,
    Undo,
}

impl Road {
    pub(super) fn crashes(self) -> &'static [(Step, Then)] {
        match self {
            Self::Read => &[
                (Step::Planned, Then::NeverWas),
                (Step::Validated, Then::NeverWas),
                (Step::Executed, Then::NeverWas),
                (Step::OutcomeDurable, Then::Settled),
            ],
            Self::Write => &[
                (Step::Planned, Then::NeverWas),
                (Step::Validated, Then::NeverWas),
                (Step::BeforeDispatch, Then::NeverWas),
                (Step::Dispatched, Then::RunsAgain),
                (Step::Executed, Then::RunsAgain),
                (Step::Verified, Then::RunsAgain),
                (Step::OutcomeDurable, Then::Settled),
            ],
            Self::AskedWrite => &[
                (Step::Planned, Then::NeverWas),
                (Step::Validated, Then::NeverWas),
                (Step::AskDurable, Then::Waits),
                (Step::Approved, Then::Waits),
                (Step::BeforeDispatch, Then::Waits),
                (Step::Dispatched, Then::RunsAgain),
                (Step::Executed, Then::RunsAgain),
                (Step::Verified, Then::RunsAgain),
                (Step::OutcomeDurable, Then::Settled),
            ],
            Self::Command => &[
                (Step::Planned, Then::NeverWas),
                (Step::Validated, Then::NeverWas),
                (Step::BeforeDispatch, Then::NeverWas),
                (Step::Dispatched, Then::Unknown),
                (Step::Executed, Then::Unknown),
                (Step::Verified, Then::Unknown),
                (Step::OutcomeDurable, Then::Settled),
            ],
            Self::Undo => &[
                (Step::UndoDispatched, Then::StillDone),
                (Step::UndoExecuted, Then::PutBack),
                (Step::OutcomeDurable, Then::PutBack),
            ],
        }
    }

    pub(super) fn then(self, step: Step) -> Then {
        let found = self.crashes().iter().find(|(at, _)| *at == step);
        found.map_or(Then::Unharmed, |(_, then)| *then)
    }

    pub(super) fn writes(self) -> bool {
        matches!(self, Self::Write | Self::AskedWrite | Self::Undo)
    }

    /// The file of a step.
    pub(super) fn file(self, step: Step) -> String {
        let prefix = if self == Self::AskedWrite { "asked" } else { "free" };
        format!("{prefix}-{}.txt", step.as_str())
    }

    /// The request of a step.
    pub(super) fn request(self, step: Step) -> Value {
        let (intent, params) = match self {
            Self::Read => ("file.read", json!({"path": self.file(step)})),
            Self::Write | Self::AskedWrite | Self::Undo => {
                ("file.write", json!({"path": self.file(step), "content": content(step)}))
            }
            Self::Command => ("shell.run", json!({"command": format!("cat {}", self.file(step))})),
        };
        json!({"intent": intent, "params": params, "idempotency_key": step.as_str()})
    }
}

/// What is written at a step.
pub(super) fn content(step: Step) -> String {
    format!("written by way of {}", step.as_str())
}
