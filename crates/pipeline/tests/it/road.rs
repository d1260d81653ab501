//! The road of each kind of request, with what it costs in commits.

use std::time::Duration;

use serde_json::json;
use steadyhand_core::{action::State, failure::FailureClass, step::Step, store::StoreError};
use steadyhand_pipeline::{Limits, PipelineError};
use steadyhand_testkit::{
    builder::{ALLOW_ALL, Asked, ask, read, shell, write},
    fake_executor::Script,
};

use crate::rig::{Said, rig, s, settle};

#[tokio::test(start_paused = true)]
async fn a_read_is_one_commit_and_answers_with_the_exact_output() {
    let rig = rig().build();
    rig.hands.put("/r/a", "secret text");
    let answer = rig.run(read("/r/a")).await;
    assert!(answer.ok, "{answer:?}");
    assert_eq!(answer.state(), State::Succeeded);
    assert_eq!(answer.output, Some(json!({"content": "secret text"})));
    assert_eq!(rig.store.commits(), 1);
    let record = rig.only();
    assert!(!record.execution.as_ref().unwrap().output.to_string().contains("secret text"));
    assert_eq!(rig.events(&record.action_id), ["planned", "validated", "dispatched", "executed", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_one_commit_and_no_call() {
    for asked in [read("/r/a"), write("/r/a", "x"), shell("id"), ask("app.launch", json!({"name": "x"}))] {
        let rig = rig().build();
        let answer = rig.run(asked.dry_run()).await;
        assert!(answer.ok, "{answer:?}");
        assert_eq!(answer.state(), State::Validated);
        let record = rig.only();
        assert!(record.validation.as_ref().unwrap().valid && record.execution.is_none());
        assert_eq!((rig.store.commits(), rig.hands.calls().len()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_effect_is_two_commits_dispatch_and_outcome() {
    let rig = rig().policy(ALLOW_ALL).build();
    let answer = rig.run(write("/r/a", "new")).await;
    assert!(answer.ok, "{answer:?}");
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("new"));
    assert_eq!(rig.store.commits(), 2);
    let expected = ["planned", "validated", "dispatched", "executed", "verified", "ended"];
    assert_eq!(rig.events(&answer.id()), expected);
}

#[tokio::test(start_paused = true)]
async fn an_asked_effect_is_three_commits() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    assert_eq!((rig.store.commits(), rig.hands.calls().len()), (1, 0));
    assert!(rig.record(&id).execution.is_none() && rig.record(&id).requires_confirmation);
    let answer = rig.approve(&id).await;
    assert!(answer.ok, "{answer:?}");
    assert_eq!(answer.record.unwrap().execution.as_ref().map(|e| e.success), Some(true));
    assert_eq!(rig.store.commits(), 3);
    let expected =
        ["planned", "validated", "asked", "approved", "dispatched", "executed", "verified", "ended"];
    assert_eq!(rig.events(&id), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_durable_before_the_call_is_the_dispatch() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::HangUntilCancelled]).build();
    let run = rig.spawn(shell("id"));
    rig.hands.called(1).await;
    let record = rig.only();
    assert_eq!(record.state, State::Executing);
    assert_eq!(record.dispatch.unwrap().attempt_id, rig.hands.attempt_ids()[0]);
    rig.cancel(&record.action_id).await;
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_validation_ends_as_planned_and_says_why() {
    let ms = Duration::from_millis;
    let cases: [(Asked, &str); 12] = [
        (ask("file.raed", json!({})), "Unknown intent: file.raed; did you mean 'file.read'?"),
        (ask("teleport", json!({})), "Unknown intent: teleport"),
        (ask("file.read", json!({})), "Missing required parameter: path"),
        (ask("file.read", json!({"path": null})), "Missing required parameter: path"),
        (
            ask("file.write", json!({})),
            "Missing required parameter: path; Missing required parameter: content",
        ),
        (ask("file.read", json!({"path": 7})), "path should be a text"),
        (
            ask("file.read", json!({"path": "a", "pathh": "b"})),
            "Unknown parameter: pathh; did you mean 'path'?",
        ),
        (ask("window.list", json!({"x": "y"})), "Unknown parameter: x; this capability takes none"),
        (read("a").timeout(ms(15_001)), "Pre-flight check failed"),
        (shell("id").timeout(ms(15_001)), "Pre-flight check failed"),
        (ask("clipboard.write", json!({"content": "x"})).timeout(ms(30_001)), "Pre-flight check failed"),
        (ask("window.list", json!({})).timeout(ms(30_001)), "Pre-flight check failed"),
    ];
    for (asked, reason) in cases {
        for asked in [asked.clone(), asked.dry_run()] {
            let rig = rig().policy(ALLOW_ALL).build();
            let answer = rig.run(asked).await;
            assert!(!answer.ok);
            assert_eq!((answer.state(), answer.code()), (State::Planned, "VALIDATION_FAILED"));
            assert_eq!(answer.message(), reason);
            let record = rig.only();
            let validation = record.validation.as_ref().unwrap();
            assert!(!validation.valid && record.execution.is_none());
            assert_eq!(validation.rejection_reason.as_deref(), Some(reason));
            assert!(validation.checks.iter().any(|check| !check.pass));
            assert_eq!((rig.store.commits(), rig.hands.calls().len()), (1, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_at_its_bound_passes() {
    let cases = [
        (read("/r/a"), 15_000),
        (ask("window.list", json!({})), 30_000),
        (ask("clipboard.write", json!({"content": "x"})), 30_000),
    ];
    for (asked, at_most) in cases {
        let rig = rig().build();
        rig.hands.put("/r/a", "x");
        let answer = rig.run(asked.timeout(Duration::from_millis(at_most))).await;
        assert!(answer.ok, "{answer:?}");
        assert_eq!(answer.record.unwrap().validation.as_ref().unwrap().checks.len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_intent_is_assessed_high_and_asks() {
    let rig = rig().build();
    let record = rig.run(ask("teleport", json!({}))).await.record.unwrap();
    assert_eq!((record.risk_level.as_str(), record.requires_confirmation), ("high", true));
}

#[tokio::test(start_paused = true)]
async fn what_policy_denies_ends_failed_with_the_rules_name() {
    let deny = "[[rule]]\nname = \"no-shell\"\ncapability = \"shell.*\"\ndecision = \"deny\"\n";
    for (asked, rule) in [(shell("id"), "no-shell"), (shell("id").dry_run(), "no-shell")] {
        let rig = rig().policy(deny).build();
        let answer = rig.run(asked).await;
        assert!(!answer.ok);
        assert_eq!((answer.state(), answer.code()), (State::Failed, "POLICY_DENIED"));
        assert!(answer.message().contains(rule), "{}", answer.message());
        assert!(rig.only().execution.is_none());
        assert_eq!((rig.store.commits(), rig.hands.calls().len()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_this_build_cant_do_comes_as_far_as_the_approval() {
    let rig = rig().build();
    let id = rig.pending(ask("app.launch", json!({"name": "x"}))).await;
    let answer = rig.approve(&id).await;
    assert!(!answer.ok);
    assert_eq!((answer.state(), answer.code()), (State::Failed, "VALIDATION_FAILED"));
    let execution = rig.record(&id).execution.unwrap();
    assert_eq!(execution.failure_class, Some(FailureClass::ValidationFailed));
    assert_eq!((execution.success, execution.retries_used, rig.hands.calls().len()), (false, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_ends_the_action_before_its_dispatch() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.hands.prepare_fails("file.write", steadyhand_core::failure::Failure::denied("outside the roots"));
    let answer = rig.run(write("/etc/x", "x")).await;
    assert_eq!((answer.state(), answer.code()), (State::Failed, "POLICY_DENIED"));
    assert_eq!((rig.store.commits(), rig.hands.calls().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_before_the_dispatch_keeps_nothing_and_does_nothing() {
    for error in [StoreError::DiskFull, StoreError::Overloaded(9), StoreError::Fatal("gone".to_owned())] {
        let rig = rig().policy(ALLOW_ALL).build();
        rig.store.fail_next(error.clone());
        let heard = rig.try_run(shell("id").key("k")).await.unwrap_err();
        assert_eq!(heard, PipelineError::Journal(error));
        assert!(rig.all().is_empty() && rig.hands.calls().is_empty());
        assert!(rig.run(shell("id").key("k")).await.ok, "the key is free still");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_out_once_something_happened() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.store.plan_commits([None, Some(StoreError::DiskFull), Some(StoreError::Overloaded(3))]);
    let answer = rig.run(shell("id")).await;
    assert!(answer.ok, "{answer:?}");
    assert_eq!((rig.only().state, rig.hands.calls().len()), (State::Succeeded, 1));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cant_be_written_stays_in_doubt_until_the_next_start() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.store.plan_commits([None, Some(StoreError::Fatal("gone".to_owned()))]);
    rig.try_run(shell("id")).await.unwrap_err();
    let record = rig.only();
    assert_eq!(record.state, State::Executing);
    let (next, _) = rig.restart().await;
    assert_eq!(next.record(&record.action_id).error.unwrap().code, "OUTCOME_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn one_more_than_may_run_is_refused_and_kept_nowhere() {
    let limits = Limits { running_max: 2, ..Limits::default() };
    let hang = Script::HangUntilCancelled;
    let rig = rig().limits(limits).policy(ALLOW_ALL).script("shell.run", [hang.clone(), hang]).build();
    let runs = [rig.spawn(shell("a")), rig.spawn(shell("b"))];
    rig.hands.called(2).await;
    assert_eq!(rig.try_run(shell("c")).await.unwrap_err(), PipelineError::Overloaded(2));
    assert_eq!(rig.all().len(), 2);
    for (record, _) in rig.all() {
        rig.cancel(&record.action_id).await;
    }
    for run in runs {
        run.await.unwrap().unwrap();
    }
    assert!(rig.run(shell("c")).await.ok, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_running_read_shows_itself_as_executing() {
    let rig = rig().script("window.list", [Script::HangUntilCancelled]).build();
    let run = rig.spawn(ask("window.list", json!({})).key("k"));
    rig.hands.called(1).await;
    let repeat = rig.run(ask("window.list", json!({})).key("k").timeout(s(1))).await;
    assert_eq!(repeat.state(), State::Executing);
    assert!(rig.cancel(&repeat.id()).await.ok);
    assert_eq!(run.await.unwrap().unwrap().state(), State::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn telemetry_has_the_approval_wait_and_the_execution() {
    let rig = rig().script("shell.run", [Script::Slow(s(3))]).build();
    let id = rig.pending(shell("id")).await;
    crate::rig::pass(s(7)).await;
    rig.approve(&id).await;
    let seen = rig.record(&id).telemetry;
    let near = |ms: f64, expected: f64| (ms - expected).abs() < 10.0;
    assert!(near(seen.approval_wait_ms, 7_000.0), "{seen:?}");
    assert!(near(seen.execute_ms, 3_000.0), "{seen:?}");
    assert!(near(seen.total_ms, 10_000.0), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_observer_sees_the_road_in_order() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    settle().await;
    rig.approve(&id).await;
    let road = Step::ALL.iter().filter(|step| rig.saw(**step)).count();
    assert_eq!(road, 9, "all but the two of an undo");
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_each_commit_in_order() {
    let rig = rig().build();
    let mut commits = rig.pipeline.listen();
    let id = rig.pending(shell("id")).await;
    rig.approve(&id).await;
    let mut heard = Vec::new();
    let mut last = None;
    while let Ok(commit) = commits.try_recv() {
        heard.extend(commit.entries.iter().cloned());
        last = Some(commit.record.clone());
    }
    assert_eq!(heard, rig.history(&id));
    assert_eq!(*last.unwrap(), rig.record(&id));
}
