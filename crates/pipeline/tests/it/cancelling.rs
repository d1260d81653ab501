//! Cancel: before the dispatch, during a run, during a wait; by whom.

use serde_json::json;
use steadyhand_core::{
    action::State,
    caller::{Caller, Scope},
    failure::Failure,
};
use steadyhand_testkit::{
    builder::{ALLOW_ALL, ask, shell},
    fake_executor::Script,
};

use crate::rig::{Said, rig, s, settle};

#[tokio::test(start_paused = true)]
async fn a_waiting_action_is_cancelled_without_a_call() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    let answer = rig.cancel(&id).await;
    assert_eq!((answer.ok, answer.state()), (true, State::Cancelled));
    assert_eq!(rig.record(&id).error.unwrap().code, "CANCELLED");
    assert_eq!(rig.approve(&id).await.code(), "INVALID_STATE");
    assert!(rig.hands.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_running_action_is_stopped() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::HangUntilCancelled]).build();
    let run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    let id = rig.only().action_id;
    let answer = rig.cancel(&id).await;
    assert_eq!((answer.ok, answer.state()), (true, State::Cancelled));
    let heard = run.await.unwrap().unwrap();
    assert_eq!((heard.ok, heard.state(), heard.code()), (false, State::Cancelled, "CANCELLED"));
    assert_eq!(rig.record(&id).execution.unwrap().failure_class, None);
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_retry_is_cut_short() {
    let busy = Failure { retry_after: Some(s(30)), ..Failure::full("busy") };
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Fail(busy)]).build();
    let run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    settle().await;
    let began = tokio::time::Instant::now();
    let answer = rig.cancel(&rig.only().action_id).await;
    assert_eq!((answer.ok, answer.state(), began.elapsed()), (true, State::Cancelled, s(0)));
    run.await.unwrap().unwrap();
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn between_the_yes_and_the_call_a_cancel_counts_too() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    rig.store.commits_take(s(1));
    let (approved, cancelled) = tokio::join!(rig.approve(&id), async {
        settle().await;
        rig.cancel(&id).await
    });
    assert_eq!((cancelled.ok, cancelled.state()), (true, State::Cancelled));
    assert_eq!(approved.state(), State::Cancelled);
    assert!(rig.hands.calls().is_empty(), "cancelled while its dispatch was written");
}

#[tokio::test(start_paused = true)]
async fn hands_that_dont_let_go_are_said_not_to() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::HangForever]).build();
    let run = rig.spawn(shell("id").timeout(s(10)));
    rig.hands.called(1).await;
    let id = rig.only().action_id;
    let began = tokio::time::Instant::now();
    let answer = rig.cancel(&id).await;
    assert_eq!((answer.ok, answer.code(), answer.state()), (false, "INVALID_STATE", State::Executing));
    assert_eq!(began.elapsed().as_secs(), 5);
    let heard = run.await.unwrap().unwrap();
    assert_eq!((heard.state(), heard.code()), (State::Timeout, "OUTCOME_UNKNOWN"));
    assert_eq!(rig.hands.calls().len(), 1, "never again, cancelled as it was");
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_cant_be_cancelled() {
    let rig = rig().build();
    let id = rig.run(ask("window.list", json!({}))).await.id();
    let answer = rig.cancel(&id).await;
    assert_eq!((answer.ok, answer.code()), (false, "INVALID_STATE"));
    assert_eq!(answer.message(), "Cannot cancel action in state 'succeeded'");
}

#[tokio::test(start_paused = true)]
async fn anothers_action_needs_the_scope_approve() {
    let other = |scopes: &[Scope]| Caller { name: "other".to_owned(), scopes: scopes.to_vec() };
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    let refused = rig.pipeline.cancel(&id, &other(&[Scope::Read, Scope::Act])).await.unwrap();
    assert_eq!((refused.ok, refused.code(), refused.state()), (false, "FORBIDDEN", State::PendingApproval));
    assert_eq!(rig.record(&id).state, State::PendingApproval);
    let allowed = rig.pipeline.cancel(&id, &other(&[Scope::Approve])).await.unwrap();
    assert_eq!((allowed.ok, allowed.state()), (true, State::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_after_a_cancel_isnt_tried_again_and_is_called_a_timeout() {
    let rig = rig().script("window.list", [Script::HangForever]).build();
    let run = rig.spawn(ask("window.list", json!({})).key("k"));
    rig.hands.called(1).await;
    let id = rig.run(ask("window.list", json!({})).key("k").timeout(s(1))).await.id();
    assert!(!rig.cancel(&id).await.ok);
    assert_eq!(run.await.unwrap().unwrap().state(), State::Timeout);
    assert_eq!(rig.hands.calls().len(), 1);
}
