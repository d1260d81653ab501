//! Crash drills: the process kills itself at a named step of an action's road. Built only with the
//! feature `crash-points`, which no release has.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use rustix::process::{Signal, getpid, kill_process};
use steadyhand_core::{
    id::ActionId,
    step::{Observer, Step},
};

/// Names the step, and after a colon how often it is passed unharmed: `dispatched:3`.
const VARIABLE: &str = "STEADYHAND_CRASH_AT";

struct Crash {
    at: Step,
    spare: AtomicU32,
}

impl Observer for Crash {
    fn reached(&self, step: Step, _: &ActionId) {
        if step != self.at {
            return;
        }
        let passed = self.spare.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if passed.is_err() {
            // SIGKILL: no destructor, no flush, nothing orderly.
            let _ = kill_process(getpid(), Signal::KILL);
            std::process::abort();
        }
    }
}

/// The observer that the environment asks for.
pub(crate) fn observer() -> Option<Arc<dyn Observer>> {
    let wanted = std::env::var(VARIABLE).ok()?;
    let (name, spare) = wanted.split_once(':').unwrap_or((&wanted, "0"));
    let at = Step::ALL.into_iter().find(|step| step.as_str() == name)?;
    Some(Arc::new(Crash { at, spare: AtomicU32::new(spare.parse().unwrap_or(0)) }))
}
