//! The actions that wait for a person: counted against their caps, taken exactly once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use steadyhand_core::id::ActionId;

use crate::{Limits, draft::Draft};

/// How long a question waits for its answer when no setting says otherwise (D-4).
pub const APPROVAL_LIFE: Duration = Duration::from_secs(120);

struct Waiting {
    caller: String,
    session: Option<String>,
    /// Absent while the question is still being made durable.
    draft: Option<Draft>,
}

/// The actions that wait for a person.
#[derive(Default)]
pub(crate) struct Pending {
    by_id: Mutex<HashMap<ActionId, Waiting>>,
}

/// A place among the waiting; given back when dropped before [`Place::fill`].
pub(crate) struct Place<'a> {
    pending: &'a Pending,
    id: Option<ActionId>,
}

impl Pending {
    /// Takes a place for the action, unless its session or its caller has too many.
    pub(crate) fn reserve(&self, draft: &Draft, limits: &Limits) -> Result<Place<'_>, &'static str> {
        let mut waiting = self.lock();
        let record = &draft.record;
        let (count, max, whose) = match &record.session_id {
            Some(session) => {
                // Sessions are named by the caller: however many it names, they share the caller's bound.
                let own = |w: &&Waiting| w.session.is_some() && w.caller == record.caller;
                if waiting.values().filter(own).count() >= limits.pending_per_caller_max {
                    return Err("this caller");
                }
                let count = waiting.values().filter(|w| w.session.as_ref() == Some(session)).count();
                (count, limits.pending_per_session_max, "this session")
            }
            None => {
                let own = |w: &&Waiting| w.session.is_none() && w.caller == record.caller;
                (waiting.values().filter(own).count(), limits.pending_per_caller_max, "this caller")
            }
        };
        if count >= max {
            return Err(whose);
        }
        self.insert(&mut waiting, draft, None);
        Ok(Place { pending: self, id: Some(record.action_id.clone()) })
    }

    /// Puts a waiting action back that the caps have counted before.
    pub(crate) fn readmit(&self, draft: Draft) {
        let mut waiting = self.lock();
        let (id, caller) = (draft.record.action_id.clone(), draft.record.caller.clone());
        let session = draft.record.session_id.clone();
        waiting.insert(id, Waiting { caller, session, draft: Some(draft) });
    }

    /// Takes the action out: whoever gets it decides, everybody else finds it gone.
    pub(crate) fn take(&self, id: &ActionId) -> Option<Draft> {
        let mut waiting = self.lock();
        waiting.get(id)?.draft.as_ref()?;
        waiting.remove(id)?.draft
    }

    fn insert(&self, waiting: &mut HashMap<ActionId, Waiting>, of: &Draft, draft: Option<Draft>) {
        let (caller, session) = (of.record.caller.clone(), of.record.session_id.clone());
        waiting.insert(of.record.action_id.clone(), Waiting { caller, session, draft });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ActionId, Waiting>> {
        self.by_id.lock().expect("no code under this lock can panic")
    }
}

impl Place<'_> {
    /// The question is durable: from now on it can be answered.
    pub(crate) fn fill(mut self, draft: Draft) {
        let id = self.id.take();
        let mut waiting = self.pending.lock();
        if let Some(place) = id.and_then(|id| waiting.get_mut(&id)) {
            place.draft = Some(draft);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.pending.lock().remove(&id);
        }
    }
}
