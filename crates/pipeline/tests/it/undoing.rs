//! Undo: what was there before is put back, once, unless the world moved on.

use futures_util::future::join_all;
use serde_json::json;
use steadyhand_core::{
    action::State,
    caller::Caller,
    executor::UndoMode,
    failure::Failure,
    id::ActionId,
    store::{PayloadKind, StoreError},
};
use steadyhand_testkit::{
    builder::{ALLOW_ALL, ask, shell, write},
    fake_executor::Script,
};

use crate::rig::{Rig, Said, rig, s, settle};

/// A rig in which `/r/a` was written over.
async fn written() -> (Rig, ActionId) {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.hands.put("/r/a", "old");
    let id = rig.run(write("/r/a", "new")).await.id();
    (rig, id)
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_is_put_back() {
    let (rig, id) = written().await;
    let commits = rig.store.commits();
    let answer = rig.undo(&id, UndoMode::Real).await;
    assert_eq!((answer.ok, answer.state()), (true, State::RolledBack));
    assert!(!answer.undo.unwrap().dry_run);
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("old"));
    assert_eq!(rig.store.commits(), commits + 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_file_is_removed() {
    let rig = rig().policy(ALLOW_ALL).build();
    let id = rig.run(write("/r/a", "new")).await.id();
    assert!(rig.undo(&id, UndoMode::Real).await.ok);
    assert_eq!(rig.hands.file("/r/a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_and_changes_nothing() {
    let (rig, id) = written().await;
    let commits = rig.store.commits();
    let answer = rig.undo(&id, UndoMode::DryRun).await;
    assert_eq!((answer.ok, answer.state()), (true, State::Succeeded));
    assert!(answer.undo.unwrap().dry_run);
    assert_eq!((rig.store.commits(), rig.hands.undone()), (commits, 0));
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn what_moved_on_isnt_undone() {
    let (rig, id) = written().await;
    rig.hands.put("/r/a", "somebody else's");
    for mode in [UndoMode::DryRun, UndoMode::Real] {
        let answer = rig.undo(&id, mode).await;
        assert_eq!((answer.ok, answer.code(), answer.state()), (false, "UNDO_CONFLICT", State::Succeeded));
    }
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("somebody else's"));
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_undone_says_so() {
    let rig = rig().policy(ALLOW_ALL).build();
    for asked in [shell("id"), ask("window.list", json!({}))] {
        let id = rig.run(asked).await.id();
        let answer = rig.undo(&id, UndoMode::Real).await;
        assert_eq!((answer.ok, answer.code()), (false, "NOT_REVERSIBLE"));
    }
    let nobody = ActionId::from("act_0000000000000000");
    assert_eq!(rig.undo(&nobody, UndoMode::Real).await.code(), "NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn only_what_succeeded_can_be_undone() {
    let rig = rig().build();
    let id = rig.pending(write("/r/a", "new")).await;
    assert_eq!(rig.undo(&id, UndoMode::Real).await.code(), "INVALID_STATE");
    rig.deny(&id).await;
    let answer = rig.undo(&id, UndoMode::Real).await;
    assert_eq!((answer.code(), answer.message()), ("INVALID_STATE", "Cannot undo action in state 'denied'"));
}

#[tokio::test(start_paused = true)]
async fn of_racing_undos_one_puts_back_and_the_others_see_it() {
    let (rig, id) = written().await;
    let answers = join_all((0..50).map(|_| rig.undo(&id, UndoMode::Real))).await;
    assert_eq!(answers.iter().filter(|a| a.ok).count(), 1);
    assert!(answers.iter().filter(|a| !a.ok).all(|a| ["INVALID_STATE", "UNDO_CONFLICT"].contains(&a.code())));
    assert_eq!(rig.hands.undone(), 1);
    let again = rig.undo(&id, UndoMode::Real).await;
    assert_eq!((again.ok, again.code(), again.state()), (false, "INVALID_STATE", State::RolledBack));
}

#[tokio::test(start_paused = true)]
async fn what_retention_dropped_cant_be_put_back() {
    for kind in [PayloadKind::PreImage, PayloadKind::Params] {
        let (rig, id) = written().await;
        rig.store.expire(&id, kind);
        for mode in [UndoMode::DryRun, UndoMode::Real] {
            assert_eq!(rig.undo(&id, mode).await.code(), "PAYLOAD_EXPIRED");
        }
        assert_eq!(rig.hands.file("/r/a").as_deref(), Some("new"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_can_be_asked_for_again() {
    let (rig, id) = written().await;
    rig.hands.then_undo([Script::Fail(Failure::error("no space"))]);
    let failed = rig.undo(&id, UndoMode::Real).await;
    assert_eq!((failed.ok, failed.code(), failed.message()), (false, "EXECUTION_FAILED", "no space"));
    assert_eq!((rig.record(&id).state, rig.record(&id).undoing), (State::Succeeded, false));
    assert!(rig.undo(&id, UndoMode::Real).await.ok);
}

#[tokio::test(start_paused = true)]
async fn an_undo_has_the_actions_time_and_no_more() {
    let (rig, id) = written().await;
    rig.hands.then_undo([Script::HangForever]);
    let began = tokio::time::Instant::now();
    let answer = rig.undo(&id, UndoMode::Real).await;
    assert_eq!((answer.ok, answer.code(), began.elapsed()), (false, "EXECUTION_FAILED", s(10)));
    assert!(!rig.record(&id).undoing);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_isnt_durable_isnt_begun() {
    let (rig, id) = written().await;
    rig.store.fail_next(StoreError::DiskFull);
    rig.pipeline.undo(&id, &Caller::operator(), UndoMode::Real).await.unwrap_err();
    assert_eq!((rig.hands.undone(), rig.record(&id).undoing), (0, false));
    assert!(rig.undo(&id, UndoMode::Real).await.ok);
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_may_go_away_during_an_undo() {
    let (rig, id) = written().await;
    assert!(tokio::time::timeout(s(0), rig.undo(&id, UndoMode::Real)).await.is_err());
    settle().await;
    assert_eq!(rig.record(&id).state, State::RolledBack);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_too_one_undo_puts_back() {
    for _ in 0..20 {
        let (rig, id) = written().await;
        let undo = |_| {
            let (pipeline, id) = (rig.pipeline.clone(), id.clone());
            tokio::spawn(async move { pipeline.undo(&id, &Caller::operator(), UndoMode::Real).await })
        };
        let answers = join_all((0..50).map(undo)).await;
        assert_eq!(answers.iter().filter(|a| a.as_ref().unwrap().as_ref().unwrap().ok).count(), 1);
        assert_eq!(rig.hands.undone(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_comes_second_begins_nothing() {
    let (rig, id) = written().await;
    rig.hands.undo_looks_take([s(5)]);
    let (late, early) = tokio::join!(rig.undo(&id, UndoMode::Real), async {
        settle().await;
        rig.undo(&id, UndoMode::Real).await
    });
    assert!(early.ok, "{early:?}");
    assert_eq!((late.ok, late.code(), late.state()), (false, "INVALID_STATE", State::RolledBack));
    assert_eq!(late.message(), "Cannot undo action in state 'rolled_back'");
    assert_eq!(rig.events(&id).iter().filter(|e| **e == "undo_dispatched").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_undo_in_doubt_isnt_begun_again_before_the_next_start() {
    let (rig, id) = written().await;
    rig.store.plan_commits([None, Some(StoreError::Fatal("gone".to_owned()))]);
    rig.pipeline.undo(&id, &Caller::operator(), UndoMode::Real).await.unwrap_err();
    assert!(rig.record(&id).undoing);
    let again = rig.undo(&id, UndoMode::Real).await;
    assert_eq!((again.ok, again.code()), (false, "INVALID_STATE"));
    let (next, _) = rig.restart().await;
    assert_eq!((next.record(&id).state, next.hands.undone()), (State::RolledBack, 1));
}
