//! The pipeline's end: it drains, then cancels, and takes nothing new.

use steadyhand_core::action::State;
use steadyhand_pipeline::PipelineError;
use steadyhand_testkit::{
    builder::{ALLOW_ALL, shell},
    fake_executor::Script,
};

use crate::rig::{Said, rig, s, settle};

#[tokio::test(start_paused = true)]
async fn what_runs_may_finish_within_the_drain() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Slow(s(3))]).build();
    let run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    assert_eq!(rig.pipeline.shut_down(s(10)).await, 0);
    assert_eq!(run.await.unwrap().unwrap().state(), State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_runs_longer_is_cancelled() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::HangUntilCancelled]).build();
    let run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    let began = tokio::time::Instant::now();
    assert_eq!(rig.pipeline.shut_down(s(10)).await, 0);
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(run.await.unwrap().unwrap().state(), State::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn what_doesnt_let_go_is_counted_and_settled_at_the_next_start() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::EffectThenHang]).build();
    let _run = rig.spawn(shell("id").timeout(s(15)));
    rig.hands.called(1).await;
    assert_eq!(rig.pipeline.shut_down(s(1)).await, 1);
    let (next, recovery) = rig.restart().await;
    assert_eq!(recovery.outcome_unknown, 1);
    assert_eq!((next.only().state, next.hands.effects()), (State::Failed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_first_commit_on_its_way_is_waited_for() {
    let rig = rig().build();
    rig.store.commits_take(s(2));
    let asked = rig.spawn(shell("id"));
    settle().await;
    assert_eq!(rig.pipeline.shut_down(s(10)).await, 0);
    assert_eq!(rig.only().state, State::PendingApproval, "durable when the drain ends");
    asked.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_new_is_taken_and_old_keys_still_answer() {
    let rig = rig().build();
    let id = rig.pending(shell("id").key("k")).await;
    assert_eq!(rig.pipeline.shut_down(s(1)).await, 0);
    assert_eq!(rig.try_run(shell("new")).await.unwrap_err(), PipelineError::Stopping);
    let by = steadyhand_core::caller::Caller::operator();
    assert_eq!(rig.pipeline.approve(&id, &by).await.unwrap_err(), PipelineError::Stopping);
    assert_eq!(rig.run(shell("id").key("k")).await.id(), id);
    assert_eq!(rig.all().len(), 1);
    let (next, _) = rig.restart().await;
    assert!(next.approve(&id).await.ok, "it waits at the next start");
}
