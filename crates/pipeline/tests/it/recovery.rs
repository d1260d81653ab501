//! A crash at every step of every kind of action, and what the next start makes of it (D-22).

use serde_json::json;
use steadyhand_core::{
    action::State,
    caller::Caller,
    executor::{Probe, UndoMode},
    failure::Failure,
    step::Step,
    store::PayloadKind,
};
use steadyhand_pipeline::Recovery;
use steadyhand_testkit::{
    builder::{ALLOW_ALL, Asked, ask, read, shell, write},
    fake_executor::Script,
};

use crate::rig::{Rig, Said, pass, rig, s, settle};

/// What is left of an action after the crash and the next start.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Left {
    /// Nothing was kept, nothing happened.
    Nothing,
    /// It waits for a person; nothing happened.
    Waits,
    /// It succeeded, having had its effect so often.
    Succeeded(usize),
    /// Nobody can say; it had its effect so often.
    Unknown(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Always,
    WhenProbed,
    Never,
}

impl Kind {
    fn asked(self) -> Asked {
        match self {
            Self::Always => ask("clipboard.write", json!({"content": "x"})),
            Self::WhenProbed => write("/r/a", "new"),
            Self::Never => shell("id"),
        }
    }

    /// What is left after a crash at `step`, once the dispatch is durable.
    fn left(self, step: Step) -> Left {
        match (step, self) {
            (Step::Dispatched, Self::Never) => Left::Unknown(0),
            (Step::Dispatched, _) => Left::Succeeded(1),
            (Step::Executed | Step::Verified, Self::Never) => Left::Unknown(1),
            (Step::Executed | Step::Verified, _) => Left::Succeeded(2),
            _ => Left::Succeeded(1),
        }
    }
}

const KINDS: [Kind; 3] = [Kind::Always, Kind::WhenProbed, Kind::Never];

async fn what_is_left(rig: &Rig) -> Left {
    let Some((record, _)) = rig.all().pop() else {
        assert_eq!(rig.hands.effects(), 0);
        return Left::Nothing;
    };
    if record.state == State::PendingApproval {
        assert_eq!(rig.hands.effects(), 0);
        return Left::Waits;
    }
    let record = rig.ended(&record.action_id).await;
    let effects = rig.hands.effects_of(&record.action_id);
    match record.state {
        State::Succeeded => Left::Succeeded(effects),
        State::Failed => {
            assert_eq!(record.error.unwrap().code, "OUTCOME_UNKNOWN");
            Left::Unknown(effects)
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_an_allowed_action() {
    for kind in KINDS {
        for step in Step::ALL {
            let rig = rig().policy(ALLOW_ALL).build();
            rig.hands.put("/r/a", "old");
            rig.dies_at(step);
            let heard = rig.try_run(kind.asked().key("k")).await;
            let expected = match step {
                Step::AskDurable | Step::Approved | Step::UndoDispatched | Step::UndoExecuted => {
                    assert!(heard.unwrap().ok, "it never comes to this step");
                    continue;
                }
                Step::Planned | Step::Validated | Step::BeforeDispatch => Left::Nothing,
                _ => kind.left(step),
            };
            heard.unwrap_err();
            assert!(rig.saw(step));
            let (next, _) = rig.restart().await;
            assert_eq!(what_is_left(&next).await, expected, "{kind:?} at {}", step.as_str());
            // The caller asks again with its key, as it should after an answer that was lost.
            let again = next.run(kind.asked().key("k")).await;
            let effects = if expected == Left::Nothing { Left::Succeeded(1) } else { expected };
            assert_eq!(what_is_left(&next).await, effects, "{again:?}");
            assert_eq!(next.all().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_an_asked_action() {
    for kind in [Kind::WhenProbed, Kind::Never] {
        for step in Step::ALL {
            let rig = rig().build();
            rig.hands.put("/r/a", "old");
            rig.dies_at(step);
            let expected = match step {
                Step::UndoDispatched | Step::UndoExecuted => continue,
                Step::Planned | Step::Validated => Left::Nothing,
                Step::AskDurable | Step::Approved | Step::BeforeDispatch => Left::Waits,
                _ => kind.left(step),
            };
            match rig.try_run(kind.asked()).await {
                Ok(asked) => {
                    rig.pipeline.approve(&asked.id(), &Caller::operator()).await.unwrap_err();
                }
                Err(_) => assert!(matches!(step, Step::Planned | Step::Validated | Step::AskDurable)),
            }
            assert!(rig.saw(step));
            let (next, _) = rig.restart().await;
            assert_eq!(what_is_left(&next).await, expected, "{kind:?} at {}", step.as_str());
            if expected == Left::Waits {
                let id = next.only().action_id;
                settle().await;
                assert!(next.hands.calls().is_empty(), "nothing that waits runs by itself");
                assert!(next.approve(&id).await.ok);
                assert_eq!(what_is_left(&next).await, Left::Succeeded(1));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_read_runs_leaves_nothing() {
    for step in [Step::Planned, Step::Validated, Step::Executed] {
        let rig = rig().build();
        rig.hands.put("/r/a", "x");
        rig.dies_at(step);
        rig.try_run(read("/r/a").key("k")).await.unwrap_err();
        let (next, recovery) = rig.restart().await;
        assert_eq!(recovery, Recovery::default());
        assert!(next.all().is_empty());
        assert!(next.run(read("/r/a").key("k")).await.ok, "its key is free");
    }
}

#[tokio::test(start_paused = true)]
async fn what_recovery_did_is_counted_by_kind() {
    let policy = "[[rule]]\nname = \"ask\"\ncapability = \"shell.run\"\nargs = { command = \"asks\" }\ndecision = \"ask\"\n";
    let rig = rig().policy(&format!("{policy}{ALLOW_ALL}")).build();
    rig.hands.then("shell.run", vec![Script::EffectThenHang; 2]);
    rig.hands.then("clipboard.write", [Script::HangForever]);
    let _runs = [
        rig.spawn(shell("a")),
        rig.spawn(shell("b")),
        rig.spawn(ask("clipboard.write", json!({"content": "x"}))),
    ];
    rig.hands.called(3).await;
    rig.pending(shell("asks")).await;
    let (next, recovery) = rig.restart().await;
    let expected = Recovery { rerun: 1, outcome_unknown: 2, waiting: 1, ..Recovery::default() };
    assert_eq!(recovery, expected);
    settle().await;
    assert_eq!(next.hands.calls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_the_world_confirms_has_succeeded() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::EffectThenHang]).build();
    let _run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    settle().await;
    rig.hands.probe_says("shell.run", Probe::Done);
    let (next, recovery) = rig.restart().await;
    assert_eq!(recovery.confirmed, 1);
    let record = next.only();
    assert_eq!((record.state, record.execution.unwrap().success), (State::Succeeded, true));
    assert_eq!(next.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_is_rerun_only_where_the_world_is_as_before_or_as_asked() {
    let cases = [
        (Script::HangForever, None, State::Succeeded, "new"),
        (Script::EffectThenHang, None, State::Succeeded, "new"),
        (Script::HangForever, Some("somebody else's"), State::Failed, "somebody else's"),
        (Script::EffectThenHang, Some("somebody else's"), State::Failed, "somebody else's"),
    ];
    for (script, meanwhile, state, content) in cases {
        let rig = rig().policy(ALLOW_ALL).script("file.write", [script]).build();
        rig.hands.put("/r/a", "old");
        let _run = rig.spawn(write("/r/a", "new"));
        rig.hands.called(1).await;
        settle().await;
        if let Some(content) = meanwhile {
            rig.hands.put("/r/a", content);
        }
        let (next, _) = rig.restart().await;
        let record = next.ended(&next.only().action_id).await;
        assert_eq!((record.state, next.hands.file("/r/a").as_deref()), (state, Some(content)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rerun_can_be_undone_to_what_was_before_the_first_attempt() {
    let rig = rig().policy(ALLOW_ALL).script("file.write", [Script::EffectThenHang]).build();
    rig.hands.put("/r/a", "old");
    let _run = rig.spawn(write("/r/a", "new"));
    rig.hands.called(1).await;
    settle().await;
    let (next, _) = rig.restart().await;
    let id = next.ended(&next.only().action_id).await.action_id;
    assert!(next.undo(&id, UndoMode::Real).await.ok);
    assert_eq!(next.hands.file("/r/a").as_deref(), Some("old"));
}

#[tokio::test(start_paused = true)]
async fn a_rerun_counts_on_from_the_attempts_before_the_crash() {
    let asked = ask("clipboard.write", json!({"content": "x"})).deadline(s(100));
    let full = Script::Fail(Failure::full("busy"));
    let rig = rig().script("clipboard.write", [full, Script::HangForever]).build();
    let _run = rig.spawn(asked);
    rig.hands.called(2).await;
    let (next, _) = rig.restart().await;
    let record = next.ended(&next.only().action_id).await;
    assert_eq!((record.state, record.retry_count), (State::Succeeded, 2));
    assert_eq!(next.hands.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_on_for_the_rest_of_its_120_seconds() {
    let rig = rig().build();
    let (yes, none) = (rig.pending(shell("a")).await, rig.pending(shell("b")).await);
    pass(s(100)).await;
    let (next, recovery) = rig.restart().await;
    assert_eq!(recovery.waiting, 2);
    pass(s(19)).await;
    assert!(next.hands.calls().is_empty());
    assert!(next.approve(&yes).await.ok);
    pass(s(2)).await;
    assert_eq!(next.record(&none).state, State::Cancelled);
    assert_eq!(next.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_time_ran_out_while_nobody_was_there_has_expired() {
    let rig = rig().build();
    let id = rig.pending(shell("a").key("k")).await;
    let old = rig.store.crash();
    pass(s(120)).await;
    drop(old);
    let (next, recovery) = rig.restart().await;
    assert_eq!((recovery.ended, recovery.waiting), (1, 0));
    assert_eq!(next.record(&id).error.unwrap().code, "APPROVAL_EXPIRED");
    assert_eq!(next.approve(&id).await.code(), "INVALID_STATE");
    assert_eq!(next.run(shell("a").key("k")).await.state(), State::Cancelled);
    assert!(next.hands.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_question_is_as_binding_after_a_restart() {
    let rig = rig().build();
    rig.hands.put("/r/a", "old");
    let id = rig.pending(write("/r/a", "new")).await;
    let (next, _) = rig.restart().await;
    next.hands.put("/r/a", "somebody else's");
    assert_eq!(next.approve(&id).await.code(), "APPROVAL_STALE");
    let id = next.pending(write("/r/a", "new")).await;
    let (last, _) = next.restart().await;
    assert!(last.approve(&id).await.ok);
    assert_eq!(last.hands.file("/r/a").as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn questions_that_wait_again_count_against_their_cap() {
    let rig = rig().build();
    for n in 0..50 {
        rig.pending(shell(&format!("{n}")).session("s")).await;
    }
    let (next, _) = rig.restart().await;
    assert_eq!(next.run(shell("one more").session("s")).await.code(), "APPROVAL_LIMIT");
}

#[tokio::test(start_paused = true)]
async fn a_second_recovery_finds_nothing_to_do() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::EffectThenHang]).build();
    let _run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    let (next, _) = rig.restart().await;
    let (last, recovery) = next.restart().await;
    assert_eq!(recovery, Recovery::default());
    assert_eq!(last.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dispatch_whose_parameters_are_gone_stays_unknown() {
    let rig = rig().policy(ALLOW_ALL).script("file.write", [Script::HangForever]).build();
    let _run = rig.spawn(write("/r/a", "new"));
    rig.hands.called(1).await;
    let id = rig.only().action_id;
    rig.store.expire(&id, PayloadKind::Params);
    let (next, recovery) = rig.restart().await;
    assert_eq!(recovery.outcome_unknown, 1);
    assert_eq!(next.record(&id).error.unwrap().code, "OUTCOME_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn an_undo_in_doubt_is_settled_by_the_world() {
    // (where it died) -> (state, content); after it the undo can be asked for again.
    let cases =
        [(Step::UndoDispatched, State::Succeeded, "new"), (Step::UndoExecuted, State::RolledBack, "old")];
    for (step, state, content) in cases {
        let rig = rig().policy(ALLOW_ALL).build();
        rig.hands.put("/r/a", "old");
        let id = rig.run(write("/r/a", "new")).await.id();
        rig.dies_at(step);
        rig.pipeline.undo(&id, &Caller::operator(), UndoMode::Real).await.unwrap_err();
        assert!(rig.record(&id).undoing);
        let (next, recovery) = rig.restart().await;
        assert_eq!(recovery.undos, 1);
        let record = next.record(&id);
        assert_eq!((record.state, record.undoing), (state, false), "{}", step.as_str());
        assert_eq!(next.hands.file("/r/a").as_deref(), Some(content));
        let again = next.undo(&id, UndoMode::Real).await;
        assert_eq!(again.ok, state == State::Succeeded, "{again:?}");
        assert_eq!(next.hands.file("/r/a").as_deref(), Some("old"));
        assert_eq!(next.hands.undone(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_in_doubt_that_nobody_can_settle_isnt_called_done() {
    let rig = rig().policy(ALLOW_ALL).build();
    let id = rig.run(write("/r/a", "new")).await.id();
    rig.dies_at(Step::UndoDispatched);
    rig.pipeline.undo(&id, &Caller::operator(), UndoMode::Real).await.unwrap_err();
    rig.hands.put("/r/a", "somebody else's");
    let (next, _) = rig.restart().await;
    let record = next.record(&id);
    assert_eq!((record.state, record.undoing), (State::Succeeded, false));
    assert_eq!(next.events(&id).last(), Some(&"undo_failed"));
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_denies_by_now_isnt_rerun_at_the_start() {
    let deny = ALLOW_ALL.replace("allow", "deny");
    for kind in KINDS {
        let rig = rig().policy(ALLOW_ALL).build();
        rig.hands.put("/r/a", "old");
        rig.dies_at(Step::Dispatched);
        rig.try_run(kind.asked()).await.unwrap_err();
        rig.set_policy(&deny);
        let (next, recovery) = rig.restart().await;
        assert_eq!((recovery.rerun, recovery.outcome_unknown), (0, 1), "{kind:?}");
        assert_eq!(what_is_left(&next).await, Left::Unknown(0), "{kind:?}");
        assert_eq!(next.hands.file("/r/a").as_deref(), Some("old"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rerun_waits_for_a_disk_with_room() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.dies_at(Step::Dispatched);
    rig.try_run(Kind::Always.asked()).await.unwrap_err();
    rig.store.plan_commits(vec![Some(steadyhand_core::store::StoreError::DiskFull); 5]);
    let (next, _) = rig.restart().await;
    assert_eq!(what_is_left(&next).await, Left::Succeeded(1));
}

#[tokio::test(start_paused = true)]
async fn a_rerun_can_be_cancelled() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.hands.then("clipboard.write", [Script::HangForever, Script::HangUntilCancelled]);
    let _run = rig.spawn(Kind::Always.asked());
    rig.hands.called(1).await;
    let (next, _) = rig.restart().await;
    next.hands.called(2).await;
    assert!(next.cancel(&next.only().action_id).await.ok);
}

#[tokio::test(start_paused = true)]
async fn more_in_doubt_than_may_run_at_once_take_turns() {
    let limits = steadyhand_pipeline::Limits { running_max: 1, ..Default::default() };
    let rig = rig().policy(ALLOW_ALL).limits(limits).build();
    for path in ["/r/a", "/r/b", "/r/c"] {
        rig.dies_at(Step::Dispatched);
        rig.try_run(write(path, "new")).await.unwrap_err();
    }
    let (next, recovery) = rig.restart().await;
    assert_eq!(recovery, Recovery { rerun: 3, ..Recovery::default() });
    for (record, _) in next.all() {
        assert_eq!(next.ended(&record.action_id).await.state, State::Succeeded);
    }
    assert_eq!(next.hands.effects(), 3);
}
