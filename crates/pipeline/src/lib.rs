//! The road of an action: plan, validate, approve, execute, verify; one file each.
//!
//! [`Pipeline::run`] is the one entry for every door. Decisions are made here; the world is reached
//! through the traits of `core` only. Never here: HTTP, disks, processes, wire formats.

mod answer;
mod approve;
mod cancel;
mod draft;
mod execute;
mod ledger;
mod live;
mod look;
mod lookup;
mod output;
mod pending;
mod plan;
mod recover;
mod run;
mod undo;
mod validate;
mod verify;

use std::sync::Arc;

use steadyhand_core::{
    capability::Registry, chance::Entropy, executor::Executor, step::Observer, store::Store, time::Clock,
};
use steadyhand_policy::Policy;
use steadyhand_reliability::retry::RetryDecision;
use tokio::sync::{Semaphore, broadcast};

pub use crate::{
    answer::{Answer, PipelineError, Refused, UndoReport, codes},
    draft::Committed,
    lookup::Exact,
    pending::APPROVAL_LIFE,
    recover::Recovery,
};

/// Commits that a slow listener may lag behind before it misses some.
const LISTENER_BACKLOG: usize = 4096;

/// The policy in force, asked anew for each action: the file may have changed.
pub trait PolicySource: Send + Sync {
    /// The policy in force now.
    fn current(&self) -> Arc<Policy>;
}

/// A policy that never changes.
impl PolicySource for Arc<Policy> {
    fn current(&self) -> Arc<Policy> {
        Arc::clone(self)
    }
}

/// What the pipeline is made of.
pub struct Parts {
    /// What can be done.
    pub registry: Arc<Registry>,
    /// The hands.
    pub executor: Arc<dyn Executor>,
    /// The journal.
    pub store: Arc<dyn Store>,
    /// The policy in force.
    pub policy: Arc<dyn PolicySource>,
    /// What follows a failed attempt.
    pub retry: Arc<dyn RetryDecision>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Hears of each step.
    pub observer: Arc<dyn Observer>,
    /// The bounds.
    pub limits: Limits,
}

/// The pipeline's bounds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Actions running at once; one more is answered `OVERLOADED`. Default 1024.
    pub running_max: usize,
    /// How long a question waits for its answer. Default 120 s (D-4).
    pub approval_life: std::time::Duration,
    /// Actions of one session that may wait for approval. Default 50 (D-4).
    pub pending_per_session_max: usize,
    /// Actions of one caller, outside sessions, that may wait for approval. Default 1,000 (D-4).
    pub pending_per_caller_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running_max: 1024,
            approval_life: APPROVAL_LIFE,
            pending_per_session_max: 50,
            pending_per_caller_max: 1000,
        }
    }
}

/// The action pipeline. Cheap to clone; all clones are one pipeline.
#[derive(Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    ledger: ledger::Ledger,
    live: live::LiveActions,
    pending: pending::Pending,
    /// Places for what runs; closed once nothing new is taken.
    running: Arc<Semaphore>,
    commits: broadcast::Sender<Arc<Committed>>,
}

impl Pipeline {
    /// Makes a pipeline of its parts. Call [`Pipeline::recover`] before the first request.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let running = Arc::new(Semaphore::new(parts.limits.running_max));
        let (commits, _) = broadcast::channel(LISTENER_BACKLOG);
        let inner = Inner {
            parts,
            ledger: ledger::Ledger::default(),
            live: live::LiveActions::default(),
            pending: pending::Pending::default(),
            running,
            commits,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What can be done.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.inner.parts.registry
    }

    /// The journal.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.parts.store
    }

    /// The hands.
    #[must_use]
    pub fn executor(&self) -> &Arc<dyn Executor> {
        &self.inner.parts.executor
    }

    /// The policy in force now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.inner.parts.policy.current()
    }

    /// What is committed from now on, for logs and live views. A listener that lags by more than
    /// 4,096 commits misses some.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.inner.commits.subscribe()
    }
}
