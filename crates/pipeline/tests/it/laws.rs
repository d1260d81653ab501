//! What holds of every action after every test.

use std::collections::HashSet;

use steadyhand_core::{
    action::{ActionRecord, State},
    event::{Entry, Event},
};
use steadyhand_testkit::{fake_executor::FakeExecutor, fake_store::FakeStore};

use State::{
    Approved, Cancelled, Denied, Executing, Failed, PendingApproval, Planned, RolledBack, Succeeded, Timeout,
    Validated, Verifying,
};

/// Contract 1.9.1, column "Next", with what its other pages add: a refusal by policy and a failure or a
/// cancel before the dispatch end the action at once, and a retry or a rerun dispatches again.
const NEXT: [(State, &[State]); 12] = [
    (Planned, &[Planned, Validated]),
    (Validated, &[Validated, PendingApproval, Executing, Failed, Timeout, Cancelled]),
    (PendingApproval, &[Approved, Denied, Cancelled]),
    (Approved, &[Executing, Failed, Timeout, Cancelled]),
    (Executing, &[Executing, Verifying, Succeeded, Failed, Timeout, Cancelled]),
    (Verifying, &[Succeeded, Failed]),
    (Succeeded, &[RolledBack]),
    (Failed, &[]),
    (Timeout, &[]),
    (Cancelled, &[]),
    (Denied, &[]),
    (RolledBack, &[]),
];

/// Asserts the laws for everything in the journal.
pub(crate) fn hold(store: &FakeStore, hands: &FakeExecutor) {
    let mut attempts = HashSet::new();
    for (record, history) in store.all() {
        let id = &record.action_id;
        assert_eq!(ActionRecord::replay(&history).as_ref(), Some(&record), "{id} replays: {history:#?}");
        every_step_is_legal(&history);
        let approvals = history.iter().filter(|e| matches!(e.event, Event::Approved { .. })).count();
        assert!(approvals <= 1, "{id}: an approval is used once");
        if record.intent == "shell.run" {
            assert!(hands.effects_of(id) <= 1, "{id}: done once or not at all");
        }
        assert_eq!(record.completed_at.is_some(), record.ended(), "{id} has an end when it has ended");
    }
    for id in hands.attempt_ids() {
        assert!(attempts.insert(id.clone()), "{id} is used once");
    }
}

fn every_step_is_legal(history: &[Entry]) {
    let mut state = Planned;
    for n in 1..=history.len() {
        let begins_an_undo = matches!(history[n - 1].event, Event::UndoDispatched { .. });
        assert!(!begins_an_undo || state == Succeeded, "an undo of what is {state}: {history:#?}");
        let next = ActionRecord::replay(&history[..n]).expect("begins with planned").state;
        let (_, allowed) = NEXT.iter().find(|(from, _)| *from == state).expect("the table is whole");
        assert!(next == state || allowed.contains(&next), "{state} to {next}: {history:#?}");
        state = next;
    }
}

#[test]
fn the_table_has_every_state_and_final_ones_lead_nowhere_but_back() {
    for state in State::ALL {
        let (_, next) = NEXT.iter().find(|(from, _)| *from == state).expect("the table is whole");
        if state.is_final() && state != Succeeded {
            assert!(next.is_empty(), "{state}");
        }
    }
}
