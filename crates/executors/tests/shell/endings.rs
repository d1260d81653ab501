//! However a command ends, nothing of it is left.

use std::{fs, io::Write, os::fd::OwnedFd, process::Stdio, time::Duration};

use steadyhand_core::failure::{Effect, Status};
use steadyhand_executors::sandbox::{STAGE_ARGUMENT, Spec};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, attempt, eventually, fixture, is_there, marked, quote, within};

/// Starts 40 processes: children, grandchildren, and some that detach as far as they can. Each prints its
/// number; none ends by itself.
const BROOD: &str = r#"
    use POSIX; $| = 1; $SIG{$_} = "IGNORE" for qw(HUP TERM INT);
    print "$$\n";
    for (1 .. 13) {
        next if fork;
        print "$$\n";
        if (!fork) { POSIX::setsid(); print "$$\n"; POSIX::setpgid(0, 0); if (!fork) { print "$$\n"; sleep 600 } exit }
        sleep 600;
    }
    sleep 600;
"#;

fn brood() -> String {
    format!("perl -e {}", quote(BROOD))
}

fn all_printed_and_gone(stdout: &str) {
    let pids: Vec<&str> = stdout.lines().collect();
    assert_eq!(pids.len(), 40, "{stdout}");
    for pid in pids {
        assert!(!is_there(pid), "{pid} is still there");
    }
}

#[tokio::test]
async fn at_the_deadline_every_descendant_is_gone_and_the_output_kept() {
    let at = fixture();
    let limit = Duration::from_millis(1_500);
    let failure = at.shell.execute(&within(&brood(), limit), &CancellationToken::new()).await.unwrap_err();
    assert_eq!((failure.status, failure.effect), (Status::Timeout, Effect::Unknown));
    assert_eq!(failure.message, "Command timed out after 1500ms");
    all_printed_and_gone(failure.partial["stdout"].as_str().unwrap());
}

#[tokio::test]
async fn what_a_finished_program_left_running_is_ended_too() {
    let at = fixture();
    let (code, stdout, _) = at.sh("sleep 600 & echo $!; (sleep 600 & echo $!); exit 4").await;
    assert_eq!((code, stdout.lines().count()), (4, 2));
    assert!(stdout.lines().all(|pid| !is_there(pid)), "{stdout}");
}

/// A number of seconds that no other process sleeps for.
fn mark(test: u32) -> String {
    format!("6{test}.{}", std::process::id())
}

/// Runs `sleep <mark>` until it is there, then lets `act` end it, and sees it gone.
async fn is_ended_by(
    mark: &str,
    act: impl AsyncFnOnce(&Fixture, tokio::task::JoinHandle<()>, CancellationToken),
) {
    let at = fixture();
    let cancel = CancellationToken::new();
    let (shell, told) = (at.shell.clone(), cancel.clone());
    let attempt = attempt(&format!("sh -c 'sleep {mark} & sleep {mark}; true'"));
    let run = tokio::spawn(async move {
        let failure = shell.execute(&attempt, &told).await.unwrap_err();
        assert_eq!(failure.effect, Effect::Unknown, "{failure}");
        assert!(matches!(failure.status, Status::Cancelled | Status::Error), "{failure}");
    });
    // The shell and its two children.
    eventually("it runs", || marked(mark).len() == 3).await;
    act(&at, run, cancel).await;
    eventually("it is gone", || marked(mark).is_empty()).await;
}

#[tokio::test]
async fn cancelling_ends_it() {
    is_ended_by(&mark(1), async |_, run, cancel| {
        cancel.cancel();
        run.await.unwrap();
        assert!(marked(&mark(1)).is_empty(), "it was over before the answer");
    })
    .await;
}

#[tokio::test]
async fn dropping_the_call_ends_it() {
    is_ended_by(&mark(2), async |_, run, _| {
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
    })
    .await;
}

#[tokio::test]
async fn killing_the_stage_ends_the_program() {
    is_ended_by(&mark(3), async |_, run, _| {
        let stage = stage_of(&mark(3));
        let stage = rustix::process::Pid::from_raw(stage.parse().unwrap()).unwrap();
        rustix::process::kill_process(stage, rustix::process::Signal::KILL).unwrap();
        // The program asked for this; what it started itself goes with its group.
        run.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stopped_stage_is_killed_and_the_program_with_it() {
    is_ended_by(&mark(4), async |_, run, cancel| {
        let stage = rustix::process::Pid::from_raw(stage_of(&mark(4)).parse().unwrap()).unwrap();
        rustix::process::kill_process(stage, rustix::process::Signal::STOP).unwrap();
        cancel.cancel();
        run.await.unwrap();
    })
    .await;
}

/// The parent of the process group's leader.
fn stage_of(mark: &str) -> String {
    let leader = marked(&format!("sh -c sleep {mark}")).remove(0);
    let stat = fs::read_to_string(format!("/proc/{leader}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_call_cancelled_before_it_began_starts_nothing() {
    let at = fixture();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let failure = at.shell.execute(&attempt(&format!("sleep {}", mark(5))), &cancel).await.unwrap_err();
    assert_eq!((failure.status, failure.effect), (Status::Cancelled, Effect::None));
    assert!(marked(&mark(5)).is_empty());
}

/// The stage itself, spoken to by hand.
fn stage() -> (std::os::unix::net::UnixStream, tokio::process::Child) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_steadyhand-exec-stage"))
        .arg(STAGE_ARGUMENT)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (ours, child)
}

/// Has the stage run a perl script.
fn tell(link: &mut std::os::unix::net::UnixStream, at: &Fixture, script: String) {
    let spec = Spec {
        program: "/usr/bin/perl".into(),
        argv: vec!["perl".into(), "-e".into(), script],
        roots: vec![at.path("root")],
        protected: vec![],
        user: None,
        cpu_seconds: 5,
        allow_bare: false,
        time_zone: None,
    };
    let body = serde_json::to_vec(&spec).unwrap();
    link.write_all(&u32::try_from(body.len()).unwrap().to_le_bytes()).unwrap();
    link.write_all(&body).unwrap();
}

#[tokio::test]
async fn the_death_of_the_service_ends_it() {
    let (at, mark) = (fixture(), mark(6));
    let (mut link, mut child) = stage();
    tell(&mut link, &at, format!("fork; fork; exec 'sleep', '{mark}'"));
    eventually("it runs", || marked(&format!("sleep {mark}")).len() >= 4).await;
    // What the kernel does with a service that is killed: its end of the link closes.
    drop(link);
    assert!(child.wait().await.unwrap().success());
    assert!(marked(&mark).is_empty());
}

#[tokio::test]
async fn the_death_of_the_stage_ends_the_program_without_the_services_help() {
    let (at, mark) = (fixture(), mark(7));
    let (mut link, mut child) = stage();
    tell(&mut link, &at, format!("exec 'sleep', '{mark}'"));
    eventually("it runs", || marked(&format!("sleep {mark}")).len() == 1).await;
    child.kill().await.unwrap();
    eventually("it is gone", || marked(&mark).is_empty()).await;
}

#[tokio::test]
async fn a_stage_that_is_told_nonsense_runs_nothing() {
    for nonsense in [&b""[..], b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff{}", b"\x02\0\0\0[]", b"\x02\0\0\0{}"] {
        let (mut link, mut child) = stage();
        // It may have given up already.
        let _ = link.write_all(nonsense);
        drop(link);
        assert_eq!(child.wait().await.unwrap().code(), Some(1), "{nonsense:?}");
    }
}
