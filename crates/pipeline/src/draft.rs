//! An action on its way: its record, what isn't committed yet, and the exact parts that only the
//! executor and the answer see.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use steadyhand_core::{
    action::{ActionRecord, ErrorNote, Execution, State},
    capability::Capability,
    event::{Entry, Event},
    id::ActionId,
    step::Step,
    store::{Claim, Commit, Payload, StoreError},
    time::millis,
};
use tokio::time::Instant;

use crate::Inner;

/// How long an outcome waits for a disk with room.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(30);
/// The wait between two tries to write an outcome.
const OUTCOME_RETRY_WAIT: Duration = Duration::from_millis(250);

/// One commit that has become durable.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The action's record after it.
    pub record: Arc<ActionRecord>,
    /// Its events.
    pub entries: Vec<Entry>,
}

/// A place in a draft's history that it can go back to.
pub(crate) struct Mark {
    record: ActionRecord,
    entries: usize,
}

/// An action on its way.
pub(crate) struct Draft {
    /// The projection of all events so far, committed or not.
    pub(crate) record: ActionRecord,
    /// The capability, where the intent is one.
    pub(crate) capability: Option<Arc<Capability>>,
    /// The exact parameters.
    pub(crate) params: Arc<Map<String, Value>>,
    /// The exact output.
    pub(crate) output: Option<Value>,
    /// Events that no commit holds yet.
    entries: Vec<Entry>,
    payloads: Vec<Payload>,
    claim: Option<Claim>,
}

impl Draft {
    /// A new action, with its first event.
    pub(crate) fn begin(
        record: ActionRecord,
        first: Entry,
        capability: Option<Arc<Capability>>,
        params: Map<String, Value>,
        claim: Option<Claim>,
    ) -> Self {
        let params = Arc::new(params);
        Self { record, capability, params, output: None, entries: vec![first], payloads: vec![], claim }
    }

    /// An action read back from the journal.
    pub(crate) fn resume(
        record: ActionRecord,
        capability: Option<Arc<Capability>>,
        params: Map<String, Value>,
    ) -> Self {
        let params = Arc::new(params);
        Self { record, capability, params, output: None, entries: vec![], payloads: vec![], claim: None }
    }

    /// The action's identifier.
    pub(crate) fn id(&self) -> &ActionId {
        &self.record.action_id
    }

    /// Adds an event at the time of now and folds it into the record.
    pub(crate) fn push(&mut self, inner: &Inner, event: Event) {
        let entry = Entry { at: inner.parts.clock.now(), event };
        self.record.apply(&entry);
        self.entries.push(entry);
    }

    /// Adds exact bytes to the next commit.
    pub(crate) fn keep(&mut self, payload: Payload) {
        self.payloads.push(payload);
    }

    /// Ends the action, with all steps' times.
    pub(crate) fn end(
        &mut self,
        inner: &Inner,
        state: State,
        execution: Option<Execution>,
        error: Option<ErrorNote>,
    ) {
        let mut telemetry = self.record.telemetry;
        // Wall-clock time, for it holds across a restart while the action waits for a person.
        let passed = inner.parts.clock.now().since(self.record.created_at);
        telemetry.total_ms = telemetry.plan_ms + millis(passed);
        if let Some(execution) = &execution {
            telemetry.execute_ms = execution.duration_ms;
        }
        self.push(inner, Event::Ended { state, execution: execution.map(Box::new), error, telemetry });
    }

    /// Makes everything added since the last commit durable, as one record.
    ///
    /// # Errors
    /// Nothing of the commit is kept then. Its payloads and its claim are lost to the draft.
    pub(crate) async fn commit(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.entries);
        if entries.is_empty() {
            return Ok(());
        }
        let commit = self.commit_of(&entries);
        if let Err(error) = inner.parts.store.commit(commit).await {
            self.entries = entries;
            return Err(error);
        }
        self.tell(inner, entries);
        Ok(())
    }

    /// Makes the outcome durable, and tells the observer. See [`Self::commit_patiently`].
    pub(crate) async fn commit_outcome(&mut self, inner: &Inner) -> Result<(), StoreError> {
        self.commit_patiently(inner).await?;
        self.reached(inner, Step::OutcomeDurable);
        Ok(())
    }

    /// Makes durable what happened. It can't be taken back, so a full disk or a long queue is waited out
    /// for [`OUTCOME_PATIENCE`]; after that the action stays in doubt until the next start.
    pub(crate) async fn commit_patiently(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.entries);
        let commit = self.commit_of(&entries);
        let began = Instant::now();
        loop {
            match inner.parts.store.commit(commit.clone()).await {
                Ok(_) => break,
                Err(StoreError::DiskFull | StoreError::Overloaded(_))
                    if began.elapsed() < OUTCOME_PATIENCE =>
                {
                    tokio::time::sleep(OUTCOME_RETRY_WAIT).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.tell(inner, entries);
        Ok(())
    }

    /// The commit of `entries`, with the payloads and the claim that wait.
    fn commit_of(&mut self, entries: &[Entry]) -> Commit {
        Commit {
            action: Some(self.id().clone()),
            events: entries.to_vec(),
            record: Some(self.record.clone()),
            payloads: std::mem::take(&mut self.payloads),
            claim: self.claim.take(),
        }
    }

    /// Where the draft is now, for [`Self::go_back`].
    pub(crate) fn mark(&self) -> Mark {
        Mark { record: self.record.clone(), entries: self.entries.len() }
    }

    /// Forgets the events added since `mark`, none of which is committed.
    pub(crate) fn go_back(&mut self, mark: Mark) {
        self.record = mark.record;
        self.entries.truncate(mark.entries);
    }

    fn tell(&self, inner: &Inner, entries: Vec<Entry>) {
        let record = Arc::new(self.record.clone());
        inner.live.update(&record);
        // Nobody listening is fine.
        let _ = inner.commits.send(Arc::new(Committed { record, entries }));
    }

    /// Tells the observer how far this action is.
    pub(crate) fn reached(&self, inner: &Inner, step: Step) {
        inner.parts.observer.reached(step, self.id());
    }
}
