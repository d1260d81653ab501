//! The actions that run now: their latest records, and the means to cancel them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use steadyhand_core::{action::ActionRecord, id::ActionId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

struct Live {
    record: watch::Sender<Arc<ActionRecord>>,
    cancel: CancellationToken,
}

/// The actions that run now. Clones are one set.
#[derive(Clone, Default)]
pub(crate) struct LiveActions {
    by_id: Arc<Mutex<HashMap<ActionId, Live>>>,
}

/// Keeps an action among the live ones until dropped.
pub(crate) struct Present {
    actions: LiveActions,
    id: ActionId,
    /// Cancelled when somebody asks for it.
    pub(crate) cancel: CancellationToken,
}

impl LiveActions {
    /// Puts an action among the live ones, unless it is there already: of racing undos one runs.
    pub(crate) fn enter(&self, record: &ActionRecord) -> Option<Present> {
        let mut by_id = self.lock();
        let id = record.action_id.clone();
        if by_id.contains_key(&id) {
            return None;
        }
        let cancel = CancellationToken::new();
        let (sender, _) = watch::channel(Arc::new(record.clone()));
        by_id.insert(id.clone(), Live { record: sender, cancel: cancel.clone() });
        Some(Present { actions: self.clone(), id, cancel })
    }

    /// Shows a live action's newer record.
    pub(crate) fn update(&self, record: &Arc<ActionRecord>) {
        if let Some(live) = self.lock().get(&record.action_id) {
            live.record.send_replace(Arc::clone(record));
        }
    }

    /// A live action's latest record.
    pub(crate) fn get(&self, id: &ActionId) -> Option<Arc<ActionRecord>> {
        self.lock().get(id).map(|live| Arc::clone(&live.record.borrow()))
    }

    /// A live action's record as it changes, and its cancellation.
    pub(crate) fn watch(
        &self,
        id: &ActionId,
    ) -> Option<(watch::Receiver<Arc<ActionRecord>>, CancellationToken)> {
        self.lock().get(id).map(|live| (live.record.subscribe(), live.cancel.clone()))
    }

    /// Cancels all that run.
    pub(crate) fn cancel_all(&self) {
        for live in self.lock().values() {
            live.cancel.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ActionId, Live>> {
        self.by_id.lock().expect("no code under this lock can panic")
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.actions.lock().remove(&self.id);
    }
}
