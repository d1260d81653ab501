//! What a command gives back.

use std::{fs, time::Duration};

use steadyhand_core::{
    executor::{Probe, Verdict},
    failure::{Effect, Failure, FailureClass, Status},
};
use steadyhand_executors::{sandbox, shell::Shell};
use tokio_util::sync::CancellationToken;

use crate::fixture::{attempt, fixture, with_config, within};

#[tokio::test]
async fn a_file_under_the_root_is_read() {
    let at = fixture();
    let executed = at.run("cat a").await.unwrap();
    let result = &executed.result;
    assert_eq!(result["command"], "cat a");
    assert_eq!(result["return_code"], 0);
    assert_eq!(result["stdout"], "one\ntwo\n");
    assert_eq!(result["stderr"], "");
    assert_eq!(result["success"], true);
    assert_eq!(result["stdout_truncated"], false);
    assert_eq!(result["stdout_bytes"], 8);
    assert!(result["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(result["sandbox"], sandbox::level());
    assert_eq!(executed.side_effects.len(), 1);
    assert_eq!(executed.side_effects[0].kind, "process_started");
    assert!(executed.side_effects[0].target.starts_with("cat (pid "));
}

#[tokio::test]
async fn every_program_of_the_contract_works_in_the_sandbox() {
    let at = fixture();
    for (command, says) in [
        ("ls -l", "a\n"),
        ("pwd", "/root\n"),
        ("date -u +%Z", "UTC"),
        ("uname -s", "Linux"),
        ("id -un", ""),
        ("whoami", ""),
        ("df .", "Filesystem"),
        ("free -m", "Mem:"),
        ("uptime", "load average"),
        ("ps -ef", "PID"),
        ("stat -c %s a", "8\n"),
        ("wc -l a", "2 a"),
        ("file -b a", "text"),
        ("du -s a", "a\n"),
        ("sha256sum a", "  a\n"),
        ("cat -n a", "2\ttwo"),
        ("head -1 a", "one\n"),
        ("tail -n 1 a", "two\n"),
    ] {
        let (code, stdout, stderr) = at.output(command).await;
        assert_eq!((code, stderr.as_str()), (0, ""), "{command}: {stdout}");
        assert!(stdout.contains(says), "{command}: {stdout}");
    }
}

#[tokio::test]
async fn a_non_zero_exit_is_a_result_and_confirmed() {
    let at = fixture();
    let executed = at.run("cat absent").await.unwrap();
    assert_eq!(executed.result["return_code"], 1);
    assert_eq!(executed.result["success"], false);
    assert!(executed.result["stderr"].as_str().unwrap().contains("No such file"));
    let verification = at.shell.verify(&attempt("cat absent"), &executed);
    assert_eq!((verification.verdict, verification.evidence.as_str()), (Verdict::Confirmed, "exit_status"));
    assert_eq!(at.shell.probe(&attempt("cat absent")), Probe::Undecidable);
}

#[tokio::test]
async fn a_signal_gives_128_and_its_number() {
    let at = fixture();
    assert_eq!(at.sh("kill -TERM $$").await.0, 143);
    assert_eq!(at.sh("kill -KILL $$").await.0, 137);
    assert_eq!(at.sh("exit 7").await.0, 7);
}

#[tokio::test]
async fn much_output_is_cut_and_never_blocks_the_program() {
    let at = fixture();
    let executed = at.run("sh -c 'yes | head -c 3000000; yes | head -c 2000000 >&2; exit 3'").await.unwrap();
    let result = executed.result;
    assert_eq!(result["return_code"], 3);
    assert_eq!(result["stdout"].as_str().unwrap().chars().count(), sandbox::OUTPUT_CHARS_MAX);
    assert_eq!(result["stderr"].as_str().unwrap().chars().count(), sandbox::OUTPUT_CHARS_MAX);
    assert_eq!((&result["stdout_truncated"], &result["stderr_truncated"]), (&true.into(), &true.into()));
    assert_eq!((&result["stdout_bytes"], &result["stderr_bytes"]), (&3_000_000.into(), &2_000_000.into()));
}

#[tokio::test]
async fn standard_input_is_empty() {
    let at = fixture();
    assert_eq!(at.output("cat -").await, (0, String::new(), String::new()));
    assert_eq!(at.output("wc -c").await.1.trim(), "0");
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_were_split() {
    let at = fixture();
    let (_, stdout, _) = at.output("perl -e 'print join \"|\", @ARGV' -- 'a b' \"c'd\" '$HOME' '*' ''").await;
    assert_eq!(stdout, "a b|c'd|$HOME|*|");
}

#[tokio::test]
async fn thirty_two_at_once_all_answer() {
    let at = fixture();
    let runs = (0..32).map(|n| {
        let shell = at.shell.clone();
        tokio::spawn(async move {
            let attempt = attempt(&format!("sh -c 'echo {n}'"));
            let executed = shell.execute(&attempt, &CancellationToken::new()).await.unwrap();
            assert_eq!(executed.result["stdout"], format!("{n}\n"));
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}

#[tokio::test]
async fn refusals_have_the_contracts_words_and_class() {
    let at = fixture();
    let denied = (Status::PolicyDenied, FailureClass::PolicyDenied);
    let wrong = (Status::Error, FailureClass::ValidationFailed);
    let error = (Status::Error, FailureClass::ExecutionError);
    for (command, (status, class), text) in [
        ("rm a", denied, "Command 'rm' not in allowlist"),
        ("./ls", denied, "Command './ls' not in allowlist"),
        ("cat ../outside", denied, "Path '../outside' is outside sandbox or is protected"),
        ("cat /etc/passwd", denied, "Path '/etc/passwd' is outside sandbox or is protected"),
        ("cat linked", denied, "Path 'linked' is outside sandbox or is protected"),
        ("cat kept/secret", denied, "Path 'kept/secret' is outside sandbox or is protected"),
        ("tail -f a", denied, "Option '-f' of 'tail' not in allowlist"),
        (
            "ls; id",
            denied,
            "';' at position 3 has no meaning here: no shell runs; quote it with single quotes to pass it on as \
             it is",
        ),
        ("ls 'a", wrong, "the single quote at position 4 is never closed"),
        ("", error, "command argument required"),
        ("  ", error, "command argument required"),
        ("nosuchprogram", error, "'nosuchprogram' isn't installed in /usr/local/bin:/usr/bin:/bin"),
    ] {
        let failure = at.run(command).await.unwrap_err();
        assert_eq!((failure.status, failure.class), (status, class), "{command}");
        assert_eq!((failure.message.as_str(), failure.effect), (text, Effect::None), "{command}");
        assert_eq!(at.shell.prepare(&attempt(command)).await.unwrap_err(), failure, "{command}");
    }
}

#[tokio::test]
async fn a_timeout_over_the_maximum_is_refused() {
    let at = fixture();
    let go = |ms| {
        let attempt = within("cat a", Duration::from_millis(ms));
        let shell = at.shell.clone();
        async move { shell.execute(&attempt, &CancellationToken::new()).await }
    };
    assert!(go(15_000).await.is_ok());
    assert_eq!(go(15_001).await, Err(Failure::invalid("Timeout 15001ms exceeds maximum 15000ms")));
}

#[tokio::test]
async fn program_and_files_are_sealed_and_checked_again() {
    let at = fixture();
    let prepared = at.shell.prepare(&attempt("cat -n a absent")).await.unwrap();
    let sealed: Vec<_> = prepared.operands.iter().map(|o| (o.param.as_str(), o.path.clone())).collect();
    let path = |name| at.path(name).to_string_lossy().into_owned();
    let program = fs::canonicalize("/usr/bin/cat").unwrap().to_string_lossy().into_owned();
    assert_eq!(sealed, [("program", program), ("command", path("root/a")), ("command", path("root/absent"))]);
    assert!(prepared.operands[0].digest.is_some() && prepared.operands[2].digest.is_none());
    assert_eq!(prepared.pre_image, None);

    let mut sealed = attempt("cat -n a absent");
    sealed.operands = prepared.operands;
    let cancel = CancellationToken::new();
    assert!(at.shell.execute(&sealed, &cancel).await.is_ok());
    fs::write(at.path("root/a"), "changed").unwrap();
    let failure = at.shell.execute(&sealed, &cancel).await.unwrap_err();
    assert_eq!((failure.status, failure.code.as_deref()), (Status::PolicyDenied, Some("APPROVAL_STALE")));
    assert!(failure.message.contains("root/a"));
    fs::write(at.path("root/a"), "one\ntwo\n").unwrap();
    assert!(at.shell.execute(&sealed, &cancel).await.is_ok());
    fs::write(at.path("root/absent"), "new").unwrap();
    assert!(at.shell.execute(&sealed, &cancel).await.is_err());
    sealed.operands.pop();
    assert!(at.shell.execute(&sealed, &cancel).await.is_err());
}

#[tokio::test]
async fn without_a_working_stage_nothing_was_reached() {
    for stage in ["/nowhere/at/all", "/bin/true", "/bin/false", "/etc/passwd", "/bin/cat"] {
        let at = with_config(|config| config.stage = stage.into());
        let failure = at.run("cat a").await.unwrap_err();
        assert_eq!(
            (failure.status, failure.effect),
            (Status::NotReached, Effect::None),
            "{stage}: {failure}"
        );
        assert_eq!(failure.class, FailureClass::ConnectionBootstrap);
    }
}

#[tokio::test]
async fn the_level_is_known_before_anything_runs() {
    assert_eq!(Shell::level(), sandbox::level());
    assert_eq!(
        Shell::is_confined(),
        sandbox::level().contains("landlock") && sandbox::level().contains("seccomp")
    );
}
