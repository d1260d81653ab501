//! What the executor remembers of attempts, durably, for 24 h (D-41): a repeat of an attempt whose
//! answer was lost gets the stored outcome, and never a second execution.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use serde_json::{Value, json};
use steadyhand_core::{
    digest::Digest,
    event::{Entry, Event},
    store::{Commit, Found, Keep, Payload, PayloadKind, Store, StoreError},
    time::{Clock, Timestamp},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::http::problem::Problem;

/// How long an attempt is remembered.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The kind of document that an attempt is in the journal.
const KIND: &str = "attempt";

/// What is known of an attempt.
pub enum Remembered {
    /// Nothing.
    Unknown,
    /// It was begun, and how it ended was never written down.
    InDoubt,
    /// It ended like this.
    Ended(Value),
    /// It ended, and the outcome is no longer kept.
    Dropped,
    /// It was another call: the identifier was used for something else.
    OtherCall,
}

/// The memory of attempts.
pub struct AttemptMemory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// One lock for each attempt that is being handled: racing repeats wait for the first.
    locks: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

impl AttemptMemory {
    /// Remembers in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, locks: Mutex::default() }
    }

    /// Runs `work` as the attempt, unless it was begun before: then its stored answer is the answer. Racing
    /// repeats wait for the first.
    ///
    /// # Errors
    /// The attempt was another call, or was begun and nobody knows how it ended; or what `work` gives, or
    /// the journal.
    pub(super) async fn once(
        &self,
        attempt_id: &str,
        tool: &str,
        args: &Value,
        work: impl Future<Output = Result<Value, Problem>>,
    ) -> Result<Value, Problem> {
        let _turn = self.lock(attempt_id).await;
        let call = self.call_digest(tool, args);
        let why = match self.look_up(attempt_id, Some(&call)).await? {
            Remembered::Ended(answer) => return Ok(answer),
            Remembered::Unknown => {
                self.begin(attempt_id, tool, &call).await?;
                let answer = work.await?;
                self.end(attempt_id, tool, &call, &answer).await?;
                return Ok(answer);
            }
            // The stored answer of another call must not pass for this one's.
            Remembered::OtherCall => "was another call; use a new attempt_id",
            Remembered::InDoubt | Remembered::Dropped => {
                "was begun before, and how it ended isn't known; it isn't run again"
            }
        };
        Err(Problem::Refused(StatusCode::CONFLICT, format!("attempt {attempt_id} {why}")))
    }

    /// Waits until nobody else handles the attempt.
    async fn lock(&self, attempt_id: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().expect("no code under this lock can panic");
            // Locks that nobody holds are only in the map.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(attempt_id.to_owned()).or_default())
        };
        lock.lock_owned().await
    }

    /// What makes two calls the same: the tool and its arguments. Salted, for arguments may be secret.
    fn call_digest(&self, tool: &str, args: &Value) -> Digest {
        Digest::salted(self.store.salt(), json!([tool, args]).to_string().as_bytes())
    }

    /// Looks an attempt up; with the digest of a call, whether it was that call.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn look_up(&self, attempt_id: &str, call: Option<&Digest>) -> Result<Remembered, StoreError> {
        let Some(document) = self.store.document(KIND, attempt_id).await? else {
            return Ok(Remembered::Unknown);
        };
        let begun = Timestamp(document["at"].as_i64().unwrap_or_default());
        if self.clock.now().since(begun) >= LIFE {
            return Ok(Remembered::Unknown);
        }
        if call.is_some_and(|call| document["call"] != call.as_str()) {
            return Ok(Remembered::OtherCall);
        }
        if document["state"] != "ended" {
            return Ok(Remembered::InDoubt);
        }
        match self.store.payload(attempt_id, PayloadKind::Output).await? {
            Found::Bytes(bytes) => serde_json::from_slice(&bytes)
                .map(Remembered::Ended)
                .map_err(|e| StoreError::Corrupt(format!("outcome of {attempt_id}: {e}"))),
            Found::Expired | Found::Never => Ok(Remembered::Dropped),
        }
    }

    /// Writes down that an attempt begins, before it can have an effect.
    ///
    /// # Errors
    /// When the journal can't be written; the attempt must not begin then.
    async fn begin(&self, attempt_id: &str, tool: &str, call: &Digest) -> Result<(), StoreError> {
        let at = self.clock.now().0;
        let body = json!({"state": "begun", "at": at, "tool_name": tool, "call": call});
        self.commit(attempt_id, body, Vec::new()).await
    }

    /// Writes down how an attempt ended, before anybody hears of it.
    ///
    /// # Errors
    /// When the journal can't be written; the attempt stays in doubt then.
    async fn end(
        &self,
        attempt_id: &str,
        tool: &str,
        call: &Digest,
        answer: &Value,
    ) -> Result<(), StoreError> {
        let at = self.clock.now().0;
        let body = json!({"state": "ended", "at": at, "tool_name": tool, "call": call});
        let bytes = answer.to_string().into_bytes();
        let owner = attempt_id.to_owned();
        let payload = Payload { owner, kind: PayloadKind::Output, keep: Keep::UnderQuota, bytes };
        self.commit(attempt_id, body, vec![payload]).await
    }

    /// Forgets attempts older than 24 h. Tells how many.
    ///
    /// # Errors
    /// When the journal can't be read or written.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut forgotten = 0;
        for (id, document) in self.store.documents(KIND).await? {
            let at = Timestamp(document["at"].as_i64().unwrap_or_default());
            if now.since(at) >= LIFE {
                self.commit(&id, Value::Null, Vec::new()).await?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    async fn commit(&self, id: &str, body: Value, payloads: Vec<Payload>) -> Result<(), StoreError> {
        let event = Event::Document { kind: KIND.to_owned(), id: id.to_owned(), body };
        let events = vec![Entry { at: self.clock.now(), event }];
        self.store.commit(Commit { events, payloads, ..Commit::default() }).await.map(|_| ())
    }
}
