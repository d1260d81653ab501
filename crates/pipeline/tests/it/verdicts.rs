//! What the independent look makes of an execution (D-43).

use serde_json::json;
use steadyhand_core::{action::State, executor::Verdict, failure::FailureClass};
use steadyhand_testkit::{
    builder::{ALLOW_ALL, ask, shell, write},
    fake_executor::Script,
};

use crate::rig::{Said, rig};

#[tokio::test(start_paused = true)]
async fn a_verdict_decides_on_success() {
    let cases = [
        (Verdict::Confirmed, State::Succeeded, ""),
        (Verdict::Unverifiable, State::Succeeded, ""),
        (Verdict::Partial, State::Failed, "VERIFY_FAILED"),
        (Verdict::NoOp, State::Failed, "VERIFY_FAILED"),
    ];
    for (verdict, state, code) in cases {
        let rig = rig().policy(ALLOW_ALL).build();
        rig.hands.verdict("shell.run", verdict);
        let answer = rig.run(shell("id")).await;
        assert_eq!((answer.state(), answer.code()), (state, code), "{verdict:?}");
        assert_eq!(answer.ok, code.is_empty());
        let execution = rig.only().execution.unwrap();
        assert_eq!(execution.success, answer.ok);
        assert_eq!(execution.verification.unwrap().verdict, verdict);
        assert_eq!(execution.error_code.as_deref().unwrap_or_default(), code);
        let class = (!answer.ok).then_some(FailureClass::ExecutionError);
        assert_eq!(execution.failure_class, class);
        assert_eq!(rig.hands.calls().len(), 1, "not retried");
    }
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_claims_what_it_didnt_do_is_found_out() {
    let rig = rig().policy(ALLOW_ALL).script("file.write", [Script::Lie]).build();
    let answer = rig.run(write("/r/a", "new")).await;
    assert_eq!((answer.ok, answer.state(), answer.code()), (false, State::Failed, "VERIFY_FAILED"));
}

#[tokio::test(start_paused = true)]
async fn a_read_is_not_verified() {
    let rig = rig().build();
    rig.hands.verdict("window.list", Verdict::NoOp);
    let answer = rig.run(ask("window.list", json!({}))).await;
    assert!(answer.ok && rig.only().execution.unwrap().verification.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_keeps_no_action_from_ending() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.hands.looks_hang(true);
    let began = tokio::time::Instant::now();
    let answer = rig.run(write("/r/a", "new").max_retries(0)).await;
    assert_eq!((answer.state(), answer.code()), (State::Timeout, "TIMEOUT"), "nothing was dispatched");
    assert_eq!((began.elapsed().as_secs(), rig.hands.calls().len()), (12, 0));
    rig.hands.looks_hang(false);
    rig.hands.then("shell.run", [Script::Slow(std::time::Duration::from_secs(1))]);
    let run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    rig.hands.looks_hang(true);
    let answer = run.await.unwrap().unwrap();
    assert!(answer.ok, "{answer:?}");
    let seen = answer.record.unwrap().execution.clone().unwrap().verification.unwrap();
    assert_eq!(seen.verdict, Verdict::Unverifiable);
}
