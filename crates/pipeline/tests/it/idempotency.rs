//! Same key, same caller: same action, once (contract 1.9.5).

use futures_util::future::join_all;
use serde_json::{Value, json};
use steadyhand_core::{
    action::State,
    caller::Caller,
    failure::Failure,
    store::{CLAIM_LIFE, PayloadKind, StoreError},
};
use steadyhand_testkit::{
    builder::{ALLOW_ALL, ask, read, shell, write},
    fake_executor::Script,
};

use crate::rig::{Said, pass, rig, s, settle};

#[tokio::test(start_paused = true)]
async fn of_a_hundred_racing_requests_one_runs_and_all_hear_of_it() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Slow(s(1))]).build();
    let answers = join_all((0..100).map(|_| rig.run(shell("id").key("k")))).await;
    let id = rig.only().action_id;
    assert!(answers.iter().all(|a| a.ok && a.id() == id && a.state() == State::Succeeded));
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn racing_repeats_of_an_ended_action_all_find_it() {
    let rig = rig().policy(ALLOW_ALL).build();
    let id = rig.run(shell("id").key("k")).await.id();
    let answers = join_all((0..100).map(|_| rig.run(shell("id").key("k")))).await;
    assert!(answers.iter().all(|a| a.ok && a.record.is_some() && a.id() == id));
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn racing_reads_and_racing_questions_are_one_action_too() {
    for asked in [ask("window.list", json!({})), shell("id"), read("/r/a").dry_run()] {
        let rig = rig().build();
        let answers = join_all((0..20).map(|_| rig.run(asked.clone().key("k")))).await;
        let id = rig.only().action_id;
        assert!(answers.iter().all(|a| a.ok && a.id() == id), "{answers:#?}");
        assert!(rig.hands.calls().len() <= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_request_conflicts_and_names_the_first_action() {
    let rig = rig().policy(ALLOW_ALL).build();
    let id = rig.run(shell("id").key("k")).await.id();
    for other in [shell("whoami"), ask("window.list", json!({})), shell("id").dry_run()] {
        let answer = rig.run(other.key("k")).await;
        assert!(!answer.ok);
        assert_eq!((answer.code(), answer.id()), ("IDEMPOTENCY_CONFLICT", id.clone()));
    }
    // What doesn't say what is to be done may differ.
    for same in [shell("id").timeout(s(3)), shell("id").max_retries(1), shell("id").session("s")] {
        assert_eq!(rig.run(same.key("k")).await.id(), id);
    }
    assert_eq!((rig.hands.calls().len(), rig.all().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_that_races_with_the_first_request_names_its_action_too() {
    for (policy, first) in [("", shell("id")), (ALLOW_ALL, shell("id")), ("", ask("window.list", json!({})))]
    {
        let rig = rig().policy(policy).build();
        rig.store.commits_take(s(1));
        let first = rig.spawn(first.key("k"));
        settle().await;
        let others = (0..5).map(|n| rig.run(shell(&format!("other {n}")).key("k")));
        let answers = join_all(others).await;
        let id = first.await.unwrap().unwrap().id();
        assert!(answers.iter().all(|a| a.code() == "IDEMPOTENCY_CONFLICT" && a.id() == id), "{answers:#?}");
        assert_eq!(rig.all().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_first_comes_to_nothing_the_next_with_its_key_runs() {
    let rig = rig().policy(ALLOW_ALL).build();
    rig.store.commits_take(s(1));
    rig.store.fail_next(StoreError::DiskFull);
    let first = rig.spawn(shell("id").key("k"));
    settle().await;
    let second = rig.spawn(shell("id").key("k"));
    first.await.unwrap().unwrap_err();
    let answer = second.await.unwrap().unwrap();
    assert!(answer.ok && answer.state() == State::Succeeded, "{answer:?}");
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_callers_key_is_another_key() {
    let rig = rig().policy(ALLOW_ALL).build();
    let mine = rig.run(shell("id").key("k")).await.id();
    let theirs = rig.pipeline.run(Caller::operator(), shell("id").key("k").request()).await.unwrap();
    assert_ne!(theirs.id(), mine);
    assert_eq!(rig.hands.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_stands_for_a_day_across_restarts() {
    let rig = rig().policy(ALLOW_ALL).build();
    let id = rig.run(shell("id").key("k")).await.id();
    let (next, _) = rig.restart().await;
    pass(CLAIM_LIFE - s(1)).await;
    assert_eq!(next.run(shell("id").key("k")).await.id(), id);
    pass(s(2)).await;
    assert_ne!(next.run(shell("id").key("k")).await.id(), id);
    assert_eq!(next.hands.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn however_it_ended_a_repeat_hears_the_same_and_runs_nothing() {
    let failed = [Script::Fail(Failure::error("broken"))];
    let rig = rig().script("shell.run", failed).script("window.list", [Script::HangForever]).build();
    let (denied, expired, failed) =
        (shell("a").key("denied"), shell("b").key("expired"), shell("c").key("failed"));
    let id = rig.pending(denied.clone()).await;
    rig.deny(&id).await;
    let id = rig.pending(failed.clone()).await;
    rig.approve(&id).await;
    let _ = rig.pending(expired.clone()).await;
    pass(s(121)).await;
    let cases = [
        (denied, State::Denied, ""),
        (expired, State::Cancelled, "APPROVAL_EXPIRED"),
        (failed, State::Failed, "EXECUTION_FAILED"),
    ];
    let commits = rig.store.commits();
    for (asked, state, code) in cases {
        let answer = rig.run(asked).await;
        assert!(!answer.ok);
        assert_eq!((answer.state(), answer.code()), (state, code));
    }
    let invalid = ask("teleport", json!({})).key("invalid");
    let first = rig.run(invalid.clone()).await;
    let again = rig.run(invalid).await;
    assert_eq!((again.id(), again.code()), (first.id(), "VALIDATION_FAILED"));
    assert_eq!((rig.hands.calls().len(), rig.store.commits()), (1, commits + 1));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_what_runs_waits_as_long_as_its_own_timeout() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Slow(s(8))]).build();
    let first = rig.spawn(shell("id").key("k"));
    rig.hands.called(1).await;
    let began = tokio::time::Instant::now();
    let early = rig.run(shell("id").key("k").timeout(s(2))).await;
    assert_eq!((early.state(), began.elapsed().as_secs()), (State::Executing, 2));
    let late = rig.run(shell("id").key("k").timeout(s(10))).await;
    assert_eq!((late.state(), began.elapsed().as_secs()), (State::Succeeded, 8));
    assert_eq!(first.await.unwrap().unwrap().id(), late.id());
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_waits_for_what_a_person_released() {
    let rig = rig().script("shell.run", [Script::Slow(s(5))]).build();
    let id = rig.pending(shell("id").key("k")).await;
    let (approved, repeat) = tokio::join!(rig.approve(&id), async {
        rig.hands.called(1).await;
        rig.run(shell("id").key("k")).await
    });
    assert_eq!((approved.state(), repeat.state()), (State::Succeeded, State::Succeeded));
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_went_away_finds_its_outcome() {
    let output = Script::Output(json!({"stdout": "hello"}));
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [output]).build();
    let gone = tokio::time::timeout(s(0), rig.run(shell("id").key("k"))).await;
    assert!(gone.is_err(), "the caller left before there was an answer");
    let answer = rig.run(shell("id").key("k")).await;
    assert_eq!(answer.output, Some(json!({"stdout": "hello"})));
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn output_is_kept_by_size_and_key() {
    // (bytes of output as JSON, key given) -> (kept for a repeat, shown whole in the record)
    let frame = json!({"text": ""}).to_string().len();
    let cases = [
        (16 * 1024, true, true, true),
        (16 * 1024, false, true, true),
        (16 * 1024 + 1, true, true, false),
        (16 * 1024 + 1, false, false, false),
    ];
    for (bytes, keyed, kept, whole) in cases {
        let output = json!({"text": "x".repeat(bytes - frame)});
        let rig = rig().script("window.list", [Script::Output(output.clone())]).build();
        let asked = ask("window.list", json!({}));
        let answer = rig.run(if keyed { asked.clone().key("k") } else { asked.clone() }).await;
        assert_eq!(answer.output.as_ref(), Some(&output), "the first answer has it all");
        let execution = rig.only().execution.unwrap();
        assert_eq!(execution.output_bytes, bytes as u64);
        assert_eq!(execution.output_evicted, !kept, "{bytes} {keyed}");
        assert_eq!(execution.output == output, whole, "{bytes} {keyed}");
        if !whole {
            assert_eq!(execution.output["bytes"], Value::from(bytes));
        }
        if keyed {
            assert_eq!(rig.run(asked.key("k")).await.output, Some(output));
            assert_eq!(rig.hands.calls().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_output_is_exact_in_a_repeat_and_redacted_in_the_record() {
    let rig = rig().build();
    rig.hands.put("/r/a", "the content");
    rig.run(read("/r/a").key("k")).await;
    let repeat = rig.run(read("/r/a").key("k")).await;
    assert_eq!(repeat.output, Some(json!({"content": "the content"})));
    assert!(!serde_json::to_string(&rig.all()[0].1).unwrap().contains("the content"));
}

#[tokio::test(start_paused = true)]
async fn an_evicted_output_is_said_to_be_and_nothing_runs_again() {
    let output = json!({"text": "x".repeat(20_000)});
    let rig = rig().script("window.list", [Script::Output(output)]).build();
    let id = rig.run(ask("window.list", json!({})).key("k")).await.id();
    rig.store.expire(&id, PayloadKind::Output);
    let repeat = rig.run(ask("window.list", json!({})).key("k")).await;
    assert_eq!((repeat.id(), repeat.output), (id, None));
    assert!(repeat.record.unwrap().execution.as_ref().unwrap().output_evicted);
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_process_took_first_gives_its_action() {
    let rig = rig().policy(ALLOW_ALL).build();
    let first = rig.run(shell("id").key("k")).await.id();
    let second = rig.second();
    second.store.miss_next_claim();
    assert_eq!(second.run(shell("id").key("k")).await.id(), first);
    second.store.miss_next_claim();
    let other = second.run(write("/r/a", "x").key("k")).await;
    assert_eq!((other.code(), other.id()), ("IDEMPOTENCY_CONFLICT", first));
    assert_eq!((rig.all().len(), rig.hands.calls().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_lost_its_key_to_another_process_gives_its_place_back() {
    let limits = steadyhand_pipeline::Limits { pending_per_caller_max: 1, ..Default::default() };
    let rig = rig().limits(limits).build();
    let first = rig.pending(shell("id").key("k")).await;
    let second = rig.second();
    second.store.miss_next_claim();
    let repeat = second.run(shell("id").key("k")).await;
    assert_eq!((repeat.ok, repeat.id(), repeat.state()), (true, first, State::PendingApproval));
    second.pending(shell("another")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_too_a_key_is_one_action() {
    for seed in 0..20 {
        let rig = rig().seed(seed).policy(ALLOW_ALL).build();
        let answers = join_all((0..100).map(|_| rig.spawn(shell("id").key("k")))).await;
        let id = rig.only().action_id;
        assert!(answers.into_iter().all(|a| a.unwrap().unwrap().id() == id));
        assert_eq!(rig.hands.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_what_runs_is_heard_at_once() {
    let rig = rig().policy(ALLOW_ALL).script("shell.run", [Script::Slow(s(8))]).build();
    let first = rig.spawn(shell("id").key("k"));
    rig.hands.called(1).await;
    let began = tokio::time::Instant::now();
    let answer = rig.run(shell("whoami").key("k")).await;
    assert_eq!((answer.code(), began.elapsed()), ("IDEMPOTENCY_CONFLICT", s(0)));
    assert_eq!(first.await.unwrap().unwrap().id(), answer.id());
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_what_isnt_in_the_journal_yet_names_its_action_when_its_time_is_up() {
    let rig = rig().build();
    rig.store.commits_take(s(5));
    let first = rig.spawn(shell("id").key("k"));
    settle().await;
    for (asked, code) in [(shell("id"), "TIMEOUT"), (shell("other"), "IDEMPOTENCY_CONFLICT")] {
        let began = tokio::time::Instant::now();
        let early = rig.run(asked.key("k").timeout(s(1))).await;
        assert_eq!((early.ok, early.code(), began.elapsed()), (false, code, s(1)));
        let refused = early.refused.unwrap();
        assert_eq!((refused.state, refused.intent.as_str()), (State::Planned, "shell.run"));
        assert!(refused.action_id.starts_with("act_"));
    }
    first.await.unwrap().unwrap();
}
