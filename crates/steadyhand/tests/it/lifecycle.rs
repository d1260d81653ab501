//! Starting and stopping: what keeps the program from starting, and what a signal leaves behind.
//!
//! - the first signal lets what runs end and answer, and the exit code is 0; the second leaves at once
//! - a kill leaves commands dead and their actions in doubt, told as `OUTCOME_UNKNOWN`, never repeated
//! - folders, ports, configuration, policy, tokens and journal: refused with what is wrong, and a code

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Builder, Call, Ended, Stack, is_running, sleep_of_its_own, soon, until};

const SLEEP: &str = "[shell]\nallow = [\"sleep\"]\n[[rule]]\nname = \"t\"\ncapability = \"shell.run\"\ndecision = \"allow\"\n";

/// Asks for a command and returns once it runs; the task has its answer, if one comes.
async fn begin(stack: &Stack, command: &str) -> (Value, tokio::task::JoinHandle<Result<Value, String>>) {
    let client = stack.agent();
    let request = json!({"intent": "shell.run", "params": {"command": command}});
    let call = tokio::spawn(async move {
        client.try_send(Call::post("/v1/actions/plan", &request)).await.map(|answer| answer.ok())
    });
    soon("the command to run", || is_running(command)).await;
    let all = stack.get("/v1/actions").await.ok();
    (all["actions"][0].clone(), call)
}

#[tokio::test]
async fn the_first_signal_lets_what_runs_end_and_answer() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut stack = Stack::builder().auth(true).policy(SLEEP).start().await;
        let (action, call) = begin(&stack, &sleep_of_its_own("0.7")).await;
        stack.signal(signal);
        assert_eq!(stack.ended().await, Some(0), "{}", stack.stderr());
        let answer = call.await.unwrap().expect("an answer before the end");
        assert_eq!((&answer["ok"], &answer["state"]), (&json!(true), &json!("succeeded")), "{answer}");
        assert!(stack.gateway().try_send(Call::get("/healthz")).await.is_err(), "nothing listens any more");
        stack.start_again().await;
        assert_eq!(stack.record(&action).await["state"], "succeeded");
    }
}

#[tokio::test]
async fn what_outlives_the_drain_is_cancelled() {
    let config = "[shutdown]\ndrain_seconds = 0\n";
    let mut stack = Stack::builder().config(config).policy(SLEEP).start().await;
    let command = sleep_of_its_own("65.");
    let (action, call) = begin(&stack, &command).await;
    stack.stop().await;
    assert!(!is_running(&command));
    if let Ok(answer) = call.await.unwrap() {
        assert_eq!(answer["state"], "cancelled", "{answer}");
    }
    stack.start_again().await;
    assert_eq!(stack.record(&action).await["state"], "cancelled");
}

#[tokio::test]
async fn the_second_signal_and_a_kill_leave_the_outcome_in_doubt_and_no_command_behind() {
    for kill in [false, true] {
        let command = sleep_of_its_own("66.");
        let mut stack = Stack::builder().policy(SLEEP).start().await;
        let (action, call) = begin(&stack, &command).await;
        if kill {
            stack.kill().await;
        } else {
            stack.signal(Signal::TERM);
            let closed =
                async || stack.gateway().try_send(Call::get("/healthz")).await.is_err().then_some(());
            until("the first signal to be heard", closed).await;
            stack.signal(Signal::TERM);
            assert_eq!(stack.ended().await, Some(130));
        }
        assert!(call.await.unwrap().is_err(), "no answer is better than a guess");
        soon("the command to be gone", || !is_running(&command)).await;
        stack.start_again().await;
        let record = stack.record(&action).await;
        assert_eq!(record["state"], "failed", "{record}");
        assert_eq!(record["execution"]["error_code"], "OUTCOME_UNKNOWN", "{record}");
        assert_eq!(record["execution"]["failure_class"], "unknown", "{record}");
        assert!(!is_running(&command), "it isn't run again");
    }
}

#[tokio::test]
async fn a_second_instance_and_a_taken_port_are_refused_and_harm_nothing() {
    let stack = Stack::builder().start().await;
    let taken = stack.beside().refused().await;
    assert_eq!(taken.code, Some(9), "{taken:?}");
    assert!(taken.stderr.contains(&format!("port {} is taken", stack.base())), "{taken:?}");
    let same_data = until("a base that is free", async || {
        let ended = stack.beside().port_base(crate::support::ports::free_base()).refused().await;
        (!ended.stderr.contains("is taken")).then_some(ended)
    })
    .await;
    assert_eq!(same_data.code, Some(9), "{same_data:?}");
    assert!(same_data.stderr.contains("another Steadyhand works on this folder"), "{same_data:?}");
    assert_eq!(stack.plan("file.read", json!({"path": "none"})).await["state"], "failed");
    assert_eq!(stack.cli(&["health"]).await.code, Some(0), "its description is still there");
}

/// A start that must be refused, with its exit code and words that must be in the text.
async fn refused(builder: Builder, code: i32, words: &[&str]) -> Ended {
    let ended = builder.refused().await;
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` isn't in {ended:?}");
    }
    assert!(ended.stderr.starts_with("steadyhand: "), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    ended
}

#[tokio::test]
async fn a_wrong_configuration_is_named_with_its_place() {
    for (config, words) in [
        ("port_base = ", ["config.toml:1:", ""]),
        ("[limits]\nbody_bytes_max = 1\n", ["config.toml:2:", "65536"]),
        ("[limits]\nbody_byte_max = 70000\n", ["config.toml:2:", "body_bytes_max"]),
        ("auth = \"perhaps\"\n", ["config.toml:1:", "on"]),
        ("roots = []\n", ["config.toml:1:", "roots"]),
        ("\u{0}", ["config.toml:1:", ""]),
    ] {
        refused(Stack::builder().config(config), 8, &words).await;
    }
    let words = ["STEADYHAND_LIMITS_BODY_BYTES_MAX", "65536"];
    refused(Stack::builder().env("STEADYHAND_LIMITS_BODY_BYTES_MAX", "many"), 8, &words).await;
    let open = Stack::builder().env("STEADYHAND_BIND", "0.0.0.0");
    refused(open, 8, &["auth"]).await;
}

#[tokio::test]
async fn a_wrong_policy_is_named_with_its_place() {
    for (policy, words) in [
        ("[[rule]\n", ["policy.toml:1:", ""]),
        ("[[rule]]\nname = \"a\"\n", ["policy.toml:1:", "decision"]),
        (
            "[[rule]]\nname = \"a\"\ncapability = \"file.reed\"\ndecision = \"deny\"\n",
            ["policy.toml:", "file.read"],
        ),
        (
            "[[rule]]\nname = \"a\"\ncapability = \"file.read\"\ndecision = \"maybe\"\n",
            ["policy.toml:4:", "allow"],
        ),
        ("[shell]\nallow = [\"/bin/ls\"]\n", ["policy.toml:2:", "/bin/ls"]),
    ] {
        refused(Stack::builder().policy(policy), 8, &words).await;
    }
}

#[tokio::test]
async fn folders_that_can_not_be_used_are_named() {
    let builder = Stack::builder();
    std::fs::write(builder.data(), "").unwrap();
    refused(builder, 8, &["data"]).await;
    let builder = Stack::builder();
    std::os::unix::fs::symlink("/proc/nothing-can-be-made-here", builder.data()).unwrap();
    refused(builder, 8, &["data"]).await;
    let builder = Stack::builder();
    std::fs::remove_dir(builder.root()).unwrap();
    std::fs::write(builder.root(), "").unwrap();
    refused(builder, 8, &["root", "--root"]).await;
}

async fn stopped() -> Builder {
    let mut stack = Stack::builder().auth(true).start().await;
    stack.plan("file.read", json!({"path": "none"})).await;
    stack.stop().await;
    stack.beside()
}

#[tokio::test]
async fn a_token_that_others_can_read_or_nobody_understands_is_not_in_force() {
    type Spoil = fn(&std::path::Path);
    let spoils: [Spoil; 2] = [
        |file| std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap(),
        |file| std::fs::write(file, std::fs::read_to_string(file).unwrap().replace("sth_", "sth-")).unwrap(),
    ];
    for spoil in spoils {
        let builder = stopped().await;
        let stack = builder.clone().start().await;
        let agent = stack.agent();
        drop(stack);
        spoil(&builder.data().join("tokens/agent.toml"));
        let stack = builder.start().await;
        let answer = agent.get("/v1/actions").await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert_eq!(stack.get("/v1/actions").await.status, 200, "the others are as before");
        let doctor = stack.cli(&["doctor"]).await;
        assert_eq!(doctor.code, Some(8), "{doctor:?}");
        assert!(doctor.stdout.contains("agent.toml"), "{doctor:?}");
        assert!(!format!("{doctor:?}{}", stack.stderr()).contains("sth-"), "the secret isn't shown");
    }
}

#[tokio::test]
async fn a_journal_that_does_not_hold_together_is_not_built_upon() {
    let builder = stopped().await;
    std::fs::write(builder.data().join("journal.db"), "this is no database, whatever its name").unwrap();
    for leftover in ["journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(builder.data().join(leftover));
    }
    refused(builder, 8, &["journal"]).await;
}

#[tokio::test]
async fn an_empty_home_is_all_a_first_start_needs() {
    let builder = Stack::builder();
    std::fs::remove_dir(builder.root()).unwrap();
    let stack = builder.auth(true).start().await;
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(stack.root()), 0o700);
    assert_eq!(mode(stack.data()), 0o700);
    for token in ["agent", "operator", "service"] {
        assert_eq!(mode(stack.data().join("tokens").join(format!("{token}.toml"))), 0o600);
    }
    assert_eq!(stack.cli(&["audit", "verify"]).await.code, Some(0));
}
