//! Retried by class only, within the deadline, and only where a repeat is safe (contract 1.15, 1.9.3).

use std::time::Duration;

use serde_json::json;
use steadyhand_core::{
    action::State,
    event::Event,
    executor::Probe,
    failure::{Effect, Failure, FailureClass, Status},
    id::ActionId,
};
use steadyhand_testkit::{
    builder::{ALLOW_ALL, Asked, ask, shell, write},
    fake_executor::Script,
};

use crate::rig::{Rig, Said, rig, s};

/// The failure of each class, with nothing having happened.
fn failure(class: FailureClass) -> Failure {
    match class {
        FailureClass::ConnectionBootstrap => Failure::not_reached("down"),
        FailureClass::Timeout => Failure::timeout("too slow", Effect::None),
        FailureClass::Backpressure => Failure::full("busy"),
        FailureClass::CircuitOpen => {
            Failure { status: Status::CircuitOpen, class, ..Failure::error("Circuit breaker 'x' is OPEN") }
        }
        FailureClass::PolicyDenied => Failure::denied("not on the list"),
        FailureClass::ValidationFailed => Failure::invalid("no such window"),
        FailureClass::ExecutionError => Failure::error("broken"),
        FailureClass::Unknown => Failure { class, ..Failure::error("who knows") },
    }
}

fn clipboard() -> Asked {
    ask("clipboard.write", json!({"content": "x"}))
}

/// The waits that the journal says were taken, checked against the times of the calls.
fn waits(rig: &Rig, id: &ActionId) -> Vec<f64> {
    let waits: Vec<f64> = rig
        .history(id)
        .iter()
        .filter_map(|e| match &e.event {
            Event::AttemptFailed { retry_in_ms, .. } => *retry_in_ms,
            _ => None,
        })
        .collect();
    let calls = rig.hands.calls();
    for (pair, wait) in calls.windows(2).zip(&waits) {
        let gap = pair[1].at.duration_since(pair[0].at).as_secs_f64() * 1_000.0;
        assert!(gap >= *wait && gap < wait + 5.0, "{gap} {wait}");
    }
    waits
}

#[tokio::test(start_paused = true)]
async fn each_class_is_called_as_often_as_the_table_says() {
    // class -> (retries, base in ms, state, code)
    let table = [
        (FailureClass::ConnectionBootstrap, 3, 1_000.0, State::Failed, "EXECUTION_FAILED"),
        (FailureClass::Timeout, 2, 2_000.0, State::Timeout, "TIMEOUT"),
        (FailureClass::Backpressure, 5, 500.0, State::Failed, "EXECUTION_FAILED"),
        (FailureClass::CircuitOpen, 0, 0.0, State::Failed, "CIRCUIT_OPEN"),
        (FailureClass::PolicyDenied, 0, 0.0, State::Failed, "POLICY_DENIED"),
        (FailureClass::ValidationFailed, 0, 0.0, State::Failed, "EXECUTION_FAILED"),
        (FailureClass::ExecutionError, 0, 0.0, State::Failed, "EXECUTION_FAILED"),
        (FailureClass::Unknown, 0, 0.0, State::Failed, "EXECUTION_FAILED"),
    ];
    assert_eq!(table.len(), FailureClass::ALL.len());
    for (class, retries, base, state, code) in table {
        let script = vec![Script::Fail(failure(class)); 10];
        let rig = rig().policy(ALLOW_ALL).script("shell.run", script).build();
        let answer = rig.run(shell("id").deadline(s(120))).await;
        assert_eq!((answer.ok, answer.state(), answer.code()), (false, state, code), "{class}");
        let execution = rig.only().execution.unwrap();
        assert_eq!(execution.failure_class, Some(class));
        assert_eq!((execution.retries_used, rig.only().retry_count), (retries, retries), "{class}");
        assert_eq!(rig.hands.calls().len() as u32, retries + 1, "{class}");
        let waits = waits(&rig, &answer.id());
        assert_eq!(waits.len() as u32, retries, "{class}");
        for (n, wait) in waits.iter().enumerate() {
            assert!(*wait <= base * f64::from(1_u32 << n), "{class}: wait {n} is {wait}");
        }
        assert!(retries == 0 || waits.iter().any(|w| *w > 0.0), "{class}");
        assert_eq!(rig.store.commits(), u64::from(retries) + 2, "each attempt is dispatched durably");
    }
}

#[tokio::test(start_paused = true)]
async fn what_works_at_last_has_succeeded() {
    let script = [Script::Fail(Failure::full("busy")), Script::Fail(Failure::not_reached("down"))];
    let rig = rig().policy(ALLOW_ALL).script("shell.run", script).build();
    let answer = rig.run(shell("id")).await;
    assert!(answer.ok, "{answer:?}");
    let execution = rig.only().execution.unwrap();
    assert_eq!((execution.retries_used, execution.failure_class), (2, None));
    assert_eq!(rig.hands.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_requests_bound_lowers_the_budget_and_never_raises_it() {
    let cases = [
        (FailureClass::Backpressure, 0, 1),
        (FailureClass::Backpressure, 2, 3),
        (FailureClass::Timeout, 5, 3),
        (FailureClass::ExecutionError, 5, 1),
    ];
    for (class, max, calls) in cases {
        let script = vec![Script::Fail(failure(class)); 10];
        let rig = rig().policy(ALLOW_ALL).script("shell.run", script).build();
        rig.run(shell("id").max_retries(max).deadline(s(120))).await;
        assert_eq!(rig.hands.calls().len(), calls, "{class} {max}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_sides_wish_lengthens_a_wait() {
    let busy = Failure { retry_after: Some(s(7)), ..Failure::full("busy") };
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Fail(busy)]).build();
    let id = rig.run(shell("id")).await.id();
    assert_eq!(waits(&rig, &id), [7_000.0]);
}

#[tokio::test(start_paused = true)]
async fn no_wait_reaches_the_deadline() {
    let busy = Failure { retry_after: Some(s(7)), ..Failure::full("busy") };
    let rig = rig().policy(ALLOW_ALL).script("shell.run", vec![Script::Fail(busy); 5]).build();
    let began = tokio::time::Instant::now();
    rig.run(shell("id").deadline(s(15))).await;
    assert_eq!((rig.hands.calls().len(), began.elapsed().as_secs()), (3, 14));
}

#[tokio::test(start_paused = true)]
async fn no_attempt_outlasts_the_deadline() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.run(shell("id").timeout(s(10)).deadline(s(4))).await;
    assert_eq!(rig.hands.calls()[0].attempt.timeout, s(4));
    let busy = Failure { retry_after: Some(s(3)), ..Failure::full("busy") };
    rig.hands.then("shell.run", [Script::Fail(busy), Script::HangForever]);
    let began = tokio::time::Instant::now();
    let answer = rig.run(shell("id").timeout(s(10)).deadline(s(4))).await;
    assert_eq!(answer.code(), "OUTCOME_UNKNOWN");
    assert!(began.elapsed() <= s(4 + 2), "the deadline and the grace: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_unclear_end_is_repeated_only_where_that_is_safe() {
    let unclear = || Failure::timeout("no answer", Effect::Unknown);
    let cases = [
        (clipboard(), "clipboard.write", 3, "TIMEOUT"),
        (shell("id"), "shell.run", 1, "OUTCOME_UNKNOWN"),
        (write("/r/a", "new"), "file.write", 3, "TIMEOUT"),
    ];
    for (asked, intent, calls, code) in cases {
        let rig = rig().policy(ALLOW_ALL).script(intent, vec![Script::Fail(unclear()); 9]).build();
        rig.hands.put("/r/a", "old");
        let answer = rig.run(asked.deadline(s(120))).await;
        assert_eq!((answer.state(), answer.code()), (State::Timeout, code), "{intent}");
        assert_eq!(rig.hands.calls().len(), calls, "{intent}");
        assert_eq!(rig.only().execution.unwrap().failure_class, Some(FailureClass::Timeout), "{intent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_decides_on_the_repeat_of_a_write() {
    let unclear = || Failure::timeout("no answer", Effect::Unknown);
    // (what the lost attempt did) -> (calls, code, content at the end)
    let cases = [
        (Script::Fail(unclear()), None, 2, "", "new"),
        (Script::FailAfterEffect(unclear()), None, 2, "", "new"),
        (Script::Fail(unclear()), Some(Probe::Undecidable), 1, "OUTCOME_UNKNOWN", "old"),
    ];
    for (first, probe, calls, code, content) in cases {
        let rig = rig().policy(ALLOW_ALL).script("file.write", [first.clone()]).build();
        rig.hands.put("/r/a", "old");
        if let Some(probe) = probe {
            rig.hands.probe_says("file.write", probe);
        }
        let answer = rig.run(write("/r/a", "new")).await;
        assert_eq!((rig.hands.calls().len(), answer.code()), (calls, code), "{first:?}");
        assert_eq!(rig.hands.file("/r/a").as_deref(), Some(content));
        let dispatch = rig.only().dispatch.unwrap();
        assert_eq!(dispatch.operands[0].size, 3, "the world as it was before the first attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dispatch_that_cant_be_written_ends_a_retry_with_the_last_failure() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Fail(Failure::full("busy"))]).build();
    rig.store.plan_commits([None, Some(steadyhand_core::store::StoreError::DiskFull)]);
    let answer = rig.run(shell("id")).await;
    assert_eq!((answer.state(), answer.code()), (State::Failed, "EXECUTION_FAILED"));
    assert_eq!(rig.hands.calls().len(), 1);
    assert_eq!(rig.only().execution.unwrap().failure_class, Some(FailureClass::Backpressure));
}

#[tokio::test(start_paused = true)]
async fn no_answer_within_the_timeout_and_two_seconds_is_a_timeout() {
    let list = ask("window.list", json!({}));
    let cases = [
        (list, "window.list", "TIMEOUT"),
        (clipboard(), "clipboard.write", "TIMEOUT"),
        (shell("id"), "shell.run", "OUTCOME_UNKNOWN"),
    ];
    for (asked, intent, code) in cases {
        let rig = rig().policy(ALLOW_ALL).script(intent, [Script::HangForever]).build();
        let began = tokio::time::Instant::now();
        let answer = rig.run(asked.timeout(s(3)).max_retries(0)).await;
        assert_eq!((answer.state(), answer.code()), (State::Timeout, code), "{intent}");
        assert_eq!(began.elapsed().as_secs(), 5, "{intent}");
        assert_eq!(rig.hands.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_an_identifier_of_its_own() {
    let rig =
        rig().policy(ALLOW_ALL).script("clipboard.write", vec![Script::Fail(Failure::full("")); 3]).build();
    rig.run(clipboard().timeout(Duration::from_millis(100)).deadline(s(100))).await;
    let ids: std::collections::HashSet<_> = rig.hands.attempt_ids().into_iter().collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_attempt_has_to_show_is_kept() {
    let shown = json!({"stdout": "half"});
    let failed = Failure::failed_midway("killed").with_partial(shown.clone());
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Fail(failed)]).build();
    let answer = rig.run(shell("id")).await;
    assert_eq!((answer.code(), answer.output.clone()), ("EXECUTION_FAILED", Some(shown.clone())));
    assert_eq!(rig.only().execution.unwrap().output, shown);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_unknown_where_a_repeat_could_do_it_twice() {
    let lost = || Failure { effect: Effect::Unknown, ..Failure::not_reached("reset midway") };
    let cases = [(shell("id"), "shell.run", 1, "OUTCOME_UNKNOWN"), (clipboard(), "clipboard.write", 2, "")];
    for (asked, intent, calls, code) in cases {
        let rig = rig().policy(ALLOW_ALL).script(intent, [Script::Fail(lost())]).build();
        let answer = rig.run(asked).await;
        assert_eq!((answer.code(), rig.hands.calls().len()), (code, calls), "{intent}");
        assert_eq!(answer.state() == State::Failed, calls == 1, "{intent}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_policy_has_come_to_deny_isnt_repeated() {
    let busy = Failure { retry_after: Some(s(5)), ..Failure::full("busy") };
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Fail(busy)]).build();
    let run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    rig.set_policy(&ALLOW_ALL.replace("allow", "deny"));
    let answer = run.await.unwrap().unwrap();
    assert_eq!((answer.state(), answer.code()), (State::Failed, "POLICY_DENIED"));
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unasked_write_takes_a_new_look_at_what_others_wrote_meanwhile() {
    let busy = Failure { retry_after: Some(s(5)), ..Failure::full("busy") };
    let rig = rig().policy(ALLOW_ALL).script("file.write", [Script::Fail(busy)]).build();
    rig.hands.put("/r/a", "old");
    let run = rig.spawn(write("/r/a", "new"));
    rig.hands.called(1).await;
    crate::rig::settle().await;
    rig.hands.put("/r/a", "somebody else's");
    let id = run.await.unwrap().unwrap().id();
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("new"));
    assert!(rig.undo(&id, steadyhand_core::executor::UndoMode::Real).await.ok);
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("somebody else's"));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_touched_and_then_changed_is_left_alone() {
    let lost = Failure { retry_after: Some(s(5)), ..Failure::timeout("lost", Effect::Unknown) };
    let rig = rig().policy(ALLOW_ALL).script("file.write", [Script::FailAfterEffect(lost)]).build();
    rig.hands.put("/r/a", "old");
    let run = rig.spawn(write("/r/a", "new"));
    rig.hands.called(1).await;
    crate::rig::settle().await;
    rig.hands.put("/r/a", "somebody else's");
    let answer = run.await.unwrap().unwrap();
    assert_eq!((answer.state(), answer.code()), (State::Failed, "OUTCOME_UNKNOWN"));
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("somebody else's"));
}
