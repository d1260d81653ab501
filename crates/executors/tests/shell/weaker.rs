//! Kernels that lack Landlock, seccomp or both. The lack is made real: a filter on the thread that starts
//! the stage refuses the calls, and everything started from it inherits that.

use std::{collections::BTreeMap, time::Duration};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use serde_json::Value;
use steadyhand_core::{
    executor::Executed,
    failure::{Failure, Status},
};
use tokio_util::sync::CancellationToken;

use crate::fixture::{attempt, fixture, is_there, quote};

/// Runs a script where the kernel doesn't know `lacking`.
fn run_without(
    lacking: &[i64],
    script: &str,
    allow_bare: bool,
    limit: Duration,
) -> Result<Executed, Failure> {
    let rules: BTreeMap<_, _> = lacking.iter().map(|&number| (number, vec![])).collect();
    let mut attempt = attempt(&format!("perl -e {}", quote(script)));
    (attempt.allow_bare, attempt.timeout) = (allow_bare, limit);
    let target = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, unknown, target).unwrap();
    let filter = BpfProgram::try_from(filter).unwrap();
    let run = std::thread::spawn(move || {
        apply_filter(&filter).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { fixture().shell.execute(&attempt, &CancellationToken::new()).await })
    });
    run.join().unwrap()
}

const LANDLOCK: &[i64] = &[libc::SYS_landlock_create_ruleset];
const SECCOMP: &[i64] = &[libc::SYS_seccomp];
const BOTH: &[i64] = &[libc::SYS_landlock_create_ruleset, libc::SYS_seccomp];
const LONG: Duration = Duration::from_secs(10);

#[test]
fn without_policys_leave_nothing_runs() {
    for (lacking, missing) in [
        (LANDLOCK, "the kernel offers no Landlock"),
        (BOTH, "the kernel offers no Landlock"),
        (SECCOMP, "seccomp"),
    ] {
        let failure = run_without(lacking, "print 1", false, LONG).unwrap_err();
        assert_eq!(failure.status, Status::PolicyDenied);
        assert_eq!(failure.code.as_deref(), Some("SANDBOX_UNAVAILABLE"));
        assert!(failure.message.contains(missing) && failure.message.contains("policy"), "{failure}");
    }
}

#[test]
fn with_it_the_level_says_what_is_missing() {
    for (lacking, level) in [(LANDLOCK, "seccomp"), (SECCOMP, "landlock-abi"), (BOTH, "bare")] {
        let result = run_without(lacking, "print 1", true, LONG).unwrap().result;
        let reached = result["sandbox"].as_str().unwrap();
        assert!(reached.starts_with(level) && !reached.contains('+'), "{reached}");
        assert_eq!(result["stdout"], "1");
    }
}

#[test]
fn without_landlock_no_file_grows_and_no_socket_is_made() {
    let script = r#"
        $SIG{XFSZ} = "IGNORE";
        open(my $f, ">", "new") and syswrite($f, "x") and print "written ";
        socket(my $s, 2, 1, 0) and print "connected ";
        print "end";
    "#;
    assert_eq!(run_without(LANDLOCK, script, true, LONG).unwrap().result["stdout"], "end");
}

#[test]
fn without_any_of_them_what_detaches_itself_is_ended_all_the_same() {
    let script = r#"
        use POSIX; $| = 1;
        for (1 .. 5) {
            next if fork;
            POSIX::setsid() > 0 or print "refused\n";
            if (!fork) { POSIX::setsid(); print "$$\n"; sleep 600 }
            print "$$\n"; sleep 600;
        }
        sleep 600;
    "#;
    let failure = run_without(BOTH, script, true, Duration::from_secs(1)).unwrap_err();
    assert_eq!(failure.status, Status::Timeout);
    let pids: Vec<&str> = failure.partial["stdout"].as_str().map(|text| text.lines().collect()).unwrap();
    assert_eq!(pids.len(), 10, "{pids:?}");
    assert!(pids.iter().all(|pid| !is_there(pid)));
    assert_eq!(failure.partial["stderr"], Value::from(""));
}
