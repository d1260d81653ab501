//! Idempotency within this process: racing requests with one key become one action.
//!
//! A key is first claimed here, then, in the action's first commit, in the journal, where it stands for
//! 24 h. The slot here lives only until that action's run has an answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use steadyhand_core::{digest::Digest, id::ActionId};
use tokio::sync::watch;

/// A caller's name and its key.
type Key = (String, String);

#[derive(Debug, Clone)]
struct Slot {
    action_id: ActionId,
    request: Digest,
    /// Never written; it closes when the slot is given back.
    done: watch::Receiver<()>,
}

/// The keys of the actions that run now.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    slots: Mutex<HashMap<Key, Slot>>,
}

/// What a key means at this moment.
pub(crate) enum Claimed<'a> {
    /// Nobody runs under it; the holder does, until it drops the guard.
    Mine(Guard<'a>),
    /// Somebody runs under it.
    Taken {
        /// The action that holds it.
        action_id: ActionId,
        /// Digest of the request that holds it.
        request: Digest,
        /// Closes when that run has an answer.
        done: watch::Receiver<()>,
    },
}

/// Holds a key; dropping it wakes those who wait.
pub(crate) struct Guard<'a> {
    ledger: &'a Ledger,
    key: Key,
    _done: watch::Sender<()>,
}

impl Ledger {
    /// Claims `key` for `action_id`, unless it is held.
    pub(crate) fn claim(&self, key: Key, action_id: &ActionId, request: &Digest) -> Claimed<'_> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(&key) {
            let Slot { action_id, request, done } = slot.clone();
            return Claimed::Taken { action_id, request, done };
        }
        let (sender, done) = watch::channel(());
        slots.insert(key.clone(), Slot { action_id: action_id.clone(), request: request.clone(), done });
        Claimed::Mine(Guard { ledger: self, key, _done: sender })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().expect("no code under this lock can panic")
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.ledger.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        ("agent".to_owned(), "k".to_owned())
    }

    #[test]
    fn a_key_is_held_once_and_free_after_its_guard_is_dropped() {
        let ledger = Ledger::default();
        let (first, second) = (ActionId::from("act_1"), ActionId::from("act_2"));
        let request = Digest::of(b"r");
        let Claimed::Mine(guard) = ledger.claim(key(), &first, &request) else { panic!("free at first") };
        let Claimed::Taken { action_id, mut done, .. } = ledger.claim(key(), &second, &request) else {
            panic!("held now")
        };
        assert_eq!(action_id, first);
        assert!(done.has_changed().is_ok(), "still running");
        drop(guard);
        assert!(done.has_changed().is_err(), "closed");
        done.mark_unchanged();
        assert!(matches!(ledger.claim(key(), &second, &request), Claimed::Mine(_)));
    }

    #[test]
    fn keys_of_different_callers_are_different_keys() {
        let ledger = Ledger::default();
        let (id, request) = (ActionId::from("act_1"), Digest::of(b"r"));
        let _held = ledger.claim(key(), &id, &request);
        let other = ("operator".to_owned(), "k".to_owned());
        assert!(matches!(ledger.claim(other, &id, &request), Claimed::Mine(_)));
    }
}
