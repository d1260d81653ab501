//! A person decides, once, about exactly what was shown, within 120 s (D-4).

use futures_util::future::join_all;
use serde_json::json;
use steadyhand_core::{action::State, caller::Caller, id::ActionId, store::StoreError};
use steadyhand_pipeline::{APPROVAL_LIFE, PipelineError};
use steadyhand_testkit::{
    builder::{ALLOW_ALL, ask, shell, write},
    fake_executor::Script,
};

use crate::rig::{Said, pass, rig, s, settle};

const ASK_ALL: &str = "[[rule]]\nname = \"all\"\ncapability = \"*\"\ndecision = \"ask\"\n";
const DENY_ALL: &str = "[[rule]]\nname = \"all\"\ncapability = \"*\"\ndecision = \"deny\"\n";

#[tokio::test(start_paused = true)]
async fn of_a_hundred_racing_yeses_one_releases() {
    let rig = rig().script("shell.run", [Script::Slow(s(1))]).build();
    let id = rig.pending(shell("id")).await;
    let answers = join_all((0..100).map(|_| rig.approve(&id))).await;
    let released: Vec<_> = answers.iter().filter(|a| a.ok).collect();
    assert_eq!(released.len(), 1);
    assert_eq!(released[0].state(), State::Succeeded);
    assert!(answers.iter().filter(|a| !a.ok).all(|a| a.code() == "INVALID_STATE" && a.id() == id));
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_yes_a_no_and_a_cancel_at_once_one_counts() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    let (yes, no, cancelled) = tokio::join!(rig.approve(&id), rig.deny(&id), rig.cancel(&id));
    let went_through = [&yes, &no, &cancelled].iter().filter(|a| a.ok).count();
    assert_eq!(went_through, 1, "{yes:?} {no:?} {cancelled:?}");
}

#[tokio::test(start_paused = true)]
async fn a_no_ends_it_and_names_who_said_so() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    let answer = rig.deny(&id).await;
    assert!(answer.ok && answer.state() == State::Denied, "{answer:?}");
    let record = rig.record(&id);
    assert_eq!(record.decided_by.as_deref(), Some("operator"));
    assert!(record.execution.is_none() && record.completed_at.is_some());
    let late = rig.approve(&id).await;
    assert_eq!((late.ok, late.state(), late.code()), (false, State::Denied, "INVALID_STATE"));
    assert_eq!(late.message(), "Cannot approve action in state 'denied'");
    let again = rig.deny(&id).await;
    assert_eq!(again.message(), "Cannot deny action in state 'denied'");
    assert!(rig.hands.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_decision_on_what_waits_for_none_is_refused_with_its_state() {
    let rig = rig().build();
    let id = rig.run(ask("window.list", json!({}))).await.id();
    for answer in [rig.approve(&id).await, rig.deny(&id).await] {
        assert_eq!((answer.ok, answer.state(), answer.code()), (false, State::Succeeded, "INVALID_STATE"));
    }
    let nobody = ActionId::from("act_0000000000000000");
    for answer in [rig.approve(&nobody).await, rig.deny(&nobody).await, rig.cancel(&nobody).await] {
        assert_eq!((answer.ok, answer.code(), answer.message()), (false, "NOT_FOUND", "Action not found"));
        let refused = answer.refused.unwrap();
        assert_eq!((refused.action_id, refused.intent.as_str()), (nobody.0.clone(), "unknown"));
        assert_eq!(refused.state, State::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_lives_120_seconds_and_not_a_moment_longer() {
    let rig = rig().build();
    assert_eq!(APPROVAL_LIFE, s(120));
    let (in_time, too_late) = (rig.pending(shell("a")).await, rig.pending(shell("b")).await);
    pass(s(120) - std::time::Duration::from_millis(2)).await;
    assert!(rig.approve(&in_time).await.ok);
    pass(std::time::Duration::from_millis(2)).await;
    let answer = rig.approve(&too_late).await;
    assert_eq!((answer.ok, answer.state(), answer.code()), (false, State::Cancelled, "INVALID_STATE"));
    assert_eq!(rig.record(&too_late).error.unwrap().code, "APPROVAL_EXPIRED");
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_needs_nobody_to_ask() {
    let rig = rig().build();
    let id = rig.pending(shell("a")).await;
    pass(s(121)).await;
    assert_eq!(rig.record(&id).state, State::Cancelled);
    assert_eq!(rig.events(&id).last(), Some(&"approval_expired"));
    let late = rig.deny(&id).await;
    assert_eq!((late.state(), late.code()), (State::Cancelled, "INVALID_STATE"));
}

#[tokio::test(start_paused = true)]
async fn what_isnt_as_shown_any_more_doesnt_run() {
    type Change = fn(&crate::rig::Rig);
    let changes: [(&str, Change); 5] = [
        ("the content", |rig| rig.hands.put("/r/a", "somebody else's")),
        ("policy asks by another rule", |rig| rig.set_policy(ASK_ALL)),
        ("policy allows now", |rig| rig.set_policy(ALLOW_ALL)),
        ("policy denies now", |rig| rig.set_policy(DENY_ALL)),
        ("it can't be looked at", |rig| {
            rig.hands.prepare_fails("file.write", steadyhand_core::failure::Failure::error("gone"));
        }),
    ];
    for (what, change) in changes {
        let rig = rig().build();
        rig.hands.put("/r/a", "old");
        let id = rig.pending(write("/r/a", "new")).await;
        change(&rig);
        let answer = rig.approve(&id).await;
        assert_eq!(
            (answer.ok, answer.state(), answer.code()),
            (false, State::Cancelled, "APPROVAL_STALE"),
            "{what}"
        );
        assert!(rig.hands.calls().is_empty() && rig.hands.file("/r/a").as_deref() != Some("new"), "{what}");
        assert_eq!(rig.approve(&id).await.code(), "INVALID_STATE", "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_absent_when_shown_must_be_absent_still() {
    let rig = rig().build();
    let id = rig.pending(write("/r/a", "new")).await;
    rig.hands.put("/r/a", "somebody else's");
    assert_eq!(rig.approve(&id).await.code(), "APPROVAL_STALE");
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("somebody else's"));
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_a_retry_waits_isnt_overwritten() {
    let full = Script::Fail(steadyhand_core::failure::Failure {
        retry_after: Some(s(2)),
        ..steadyhand_core::failure::Failure::full("busy")
    });
    let rig = rig().script("file.write", [full]).build();
    rig.hands.put("/r/a", "old");
    let id = rig.pending(write("/r/a", "new")).await;
    let (answer, ()) = tokio::join!(rig.approve(&id), async {
        rig.hands.called(1).await;
        settle().await;
        rig.hands.put("/r/a", "somebody else's");
    });
    assert_eq!(
        (answer.ok, answer.state(), answer.code()),
        (false, State::Failed, "APPROVAL_STALE"),
        "{answer:?}"
    );
    assert_eq!(rig.hands.file("/r/a").as_deref(), Some("somebody else's"));
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_may_have_fifty_questions_open_and_nothing_is_kept_of_one_more() {
    let rig = rig().build();
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(rig.pending(shell(&format!("{n}")).session("s")).await);
    }
    let commits = rig.store.commits();
    let refused = rig.run(shell("one more").session("s").key("k")).await;
    assert_eq!((refused.ok, refused.code(), refused.state()), (false, "APPROVAL_LIMIT", State::Planned));
    assert!(refused.record.is_none() && rig.all().len() == 50 && rig.store.commits() == commits);
    rig.pending(shell("another session").session("t")).await;
    rig.pending(shell("no session")).await;
    rig.deny(&ids[0]).await;
    rig.pending(shell("one more").session("s").key("k")).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_have_a_thousand_questions_open_outside_sessions() {
    let rig = rig().build();
    let first = rig.pending(shell("first")).await;
    for n in 1..1000 {
        rig.pending(shell(&format!("{n}"))).await;
    }
    assert_eq!(rig.run(shell("one more")).await.code(), "APPROVAL_LIMIT");
    let other = rig.pipeline.run(Caller::operator(), shell("id").request()).await.unwrap();
    assert!(other.ok, "another caller has its own count");
    rig.pending(shell("in a session").session("s")).await;
    rig.deny(&first).await;
    rig.pending(shell("one more")).await;
    pass(s(121)).await;
    rig.pending(shell("expiry makes room")).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_isnt_durable_was_never_asked() {
    let rig = rig().build();
    rig.store.fail_next(StoreError::DiskFull);
    assert_eq!(rig.try_run(shell("id")).await.unwrap_err(), PipelineError::Journal(StoreError::DiskFull));
    assert!(rig.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_cant_be_written_leaves_the_question_open() {
    let fatal = || StoreError::Fatal("a bad sector".to_owned());
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    rig.store.fail_next(StoreError::DiskFull);
    rig.pipeline.approve(&id, &Caller::operator()).await.unwrap_err();
    assert_eq!((rig.record(&id).state, rig.hands.calls().len()), (State::PendingApproval, 0));
    rig.store.fail_next(fatal());
    rig.pipeline.deny(&id, &Caller::operator(), None).await.unwrap_err();
    rig.store.fail_next(fatal());
    rig.pipeline.cancel(&id, &Caller::agent()).await.unwrap_err();
    assert_eq!(rig.record(&id).state, State::PendingApproval);
    assert!(rig.approve(&id).await.ok);
    assert_eq!(rig.hands.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_left_open_by_a_full_disk_still_expires_in_time() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    pass(s(60)).await;
    rig.store.fail_next(StoreError::DiskFull);
    rig.pipeline.approve(&id, &Caller::operator()).await.unwrap_err();
    pass(s(61)).await;
    assert_eq!(rig.record(&id).state, State::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_goes_away_midway_has_decided_all_the_same() {
    let rig = rig().build();
    let (approved, denied, cancelled) =
        (rig.pending(shell("a")).await, rig.pending(shell("b")).await, rig.pending(shell("c")).await);
    assert!(tokio::time::timeout(s(0), rig.approve(&approved)).await.is_err());
    assert!(tokio::time::timeout(s(0), rig.deny(&denied)).await.is_err());
    assert!(tokio::time::timeout(s(0), rig.cancel(&cancelled)).await.is_err());
    settle().await;
    assert_eq!(rig.record(&approved).state, State::Succeeded);
    assert_eq!(rig.record(&denied).state, State::Denied);
    assert_eq!(rig.record(&cancelled).state, State::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_policy_asks_about_runs_after_a_yes() {
    let rig = rig().policy(ASK_ALL).build();
    let id = rig.pending(ask("window.list", json!({}))).await;
    assert!(rig.approve(&id).await.ok);
    assert_eq!((rig.hands.calls().len(), rig.store.commits()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_was_asked_about_reads_what_was_shown() {
    let rig = rig().policy(ASK_ALL).build();
    rig.hands.put("/r/a", "shown");
    let id = rig.pending(steadyhand_testkit::builder::read("/r/a")).await;
    let busy = steadyhand_core::failure::Failure {
        retry_after: Some(s(5)),
        ..steadyhand_core::failure::Failure::full("busy")
    };
    rig.hands.then("file.read", [Script::Fail(busy)]);
    let (answer, ()) = tokio::join!(rig.approve(&id), async {
        rig.hands.called(1).await;
        settle().await;
        rig.hands.put("/r/a", "another secret");
    });
    assert_eq!((answer.ok, answer.code(), &answer.output), (false, "APPROVAL_STALE", &None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_too_one_decision_counts() {
    for seed in 0..20 {
        let rig = rig().seed(seed).build();
        let id = rig.pending(shell("id")).await;
        let decide = |n: u32| {
            let (pipeline, id) = (rig.pipeline.clone(), id.clone());
            tokio::spawn(async move {
                let by = Caller::operator();
                if n.is_multiple_of(3) {
                    pipeline.deny(&id, &by, None).await
                } else {
                    pipeline.approve(&id, &by).await
                }
            })
        };
        let answers = join_all((0..100).map(decide)).await;
        let counted = answers.iter().filter(|a| a.as_ref().unwrap().as_ref().unwrap().ok).count();
        assert_eq!(counted, 1);
        assert!(rig.hands.calls().len() <= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_delays_an_expiry_and_doesnt_lose_it() {
    let rig = rig().build();
    let id = rig.pending(shell("id")).await;
    rig.set_back(s(60));
    pass(s(121)).await;
    assert_eq!(rig.record(&id).state, State::PendingApproval);
    pass(s(121)).await;
    assert_eq!(rig.record(&id).state, State::Cancelled);
}
