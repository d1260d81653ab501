//! The named steps of an action's road, for whoever watches it: tracing, crash drills, simulations.

use crate::id::ActionId;

/// A point on the road of an action. Each is a moment at which a process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The request is accepted and has an id; nothing is durable.
    Planned,
    /// The checks have passed.
    Validated,
    /// The approval that will be shown is durable.
    AskDurable,
    /// A person said yes; it isn't durable yet.
    Approved,
    /// `dispatched` is about to be committed.
    BeforeDispatch,
    /// `dispatched` is durable; the executor hasn't been called.
    Dispatched,
    /// The executor has answered; nothing of it is durable.
    Executed,
    /// The world was looked at.
    Verified,
    /// The outcome is durable; the caller hasn't heard.
    OutcomeDurable,
    /// The undo is durable; the world hasn't been put back.
    UndoDispatched,
    /// The world was put back; it isn't durable yet.
    UndoExecuted,
}

impl Step {
    /// All steps, in the order of the road.
    pub const ALL: [Self; 11] = [
        Self::Planned,
        Self::Validated,
        Self::AskDurable,
        Self::Approved,
        Self::BeforeDispatch,
        Self::Dispatched,
        Self::Executed,
        Self::Verified,
        Self::OutcomeDurable,
        Self::UndoDispatched,
        Self::UndoExecuted,
    ];

    /// The step's name, as drills and logs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Validated => "validated",
            Self::AskDurable => "ask-durable",
            Self::Approved => "approved",
            Self::BeforeDispatch => "before-dispatch",
            Self::Dispatched => "dispatched",
            Self::Executed => "executed",
            Self::Verified => "verified",
            Self::OutcomeDurable => "outcome-durable",
            Self::UndoDispatched => "undo-dispatched",
            Self::UndoExecuted => "undo-executed",
        }
    }
}

/// Hears of each step as it is reached. Called on the action's own task, so it must not block.
pub trait Observer: Send + Sync {
    /// `action` has reached `step`.
    fn reached(&self, step: Step, action: &ActionId);
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn reached(&self, _: Step, _: &ActionId) {}
}
