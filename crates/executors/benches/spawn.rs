//! What the restrictions cost: a restricted command beside a bare spawn of the same program, in turns, so
//! that both see the same machine. Prints one JSON line. Budget: 5 ms more at p50.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figure")]

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::json;
use steadyhand_core::time::millis;
use steadyhand_executors::sandbox::{self, Spec};
use tokio::{process::Command, time::Instant};
use tokio_util::sync::CancellationToken;

const PROGRAM: &str = "/usr/bin/true";
const WARM_UP: usize = 20;
const ROUNDS: usize = 400;

#[tokio::main]
async fn main() {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    let stage = Path::new(env!("CARGO_BIN_EXE_steadyhand-exec-stage"));
    let spec = Spec {
        program: PROGRAM.into(),
        argv: vec!["true".to_owned()],
        roots: vec![root.path().to_owned()],
        protected: vec![],
        user: None,
        cpu_seconds: 5,
        allow_bare: false,
        time_zone: None,
    };
    let (mut bare, mut restricted) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + ROUNDS {
        bare.push(bare_spawn().await);
        let began = Instant::now();
        let ran = sandbox::run(stage, &spec, Duration::from_secs(5), &CancellationToken::new()).await;
        assert_eq!(ran.expect("it runs").code, 0);
        restricted.push(began.elapsed());
    }
    let (bare, restricted) = (percentiles(bare), percentiles(restricted));
    let line = json!({
        "bench": "restricted_spawn",
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "sandbox": sandbox::level(),
        "rounds": ROUNDS,
        "bare_ms": { "p50": bare.0, "p99": bare.1 },
        "restricted_ms": { "p50": restricted.0, "p99": restricted.1 },
        "added_p50_ms": restricted.0 - bare.0,
        "budget_p50_ms": 5.0,
    });
    println!("{line}");
}

async fn bare_spawn() -> Duration {
    let began = Instant::now();
    let child = Command::new(PROGRAM)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let output = child.wait_with_output().await.expect("it ends");
    assert!(output.status.success());
    began.elapsed()
}

fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    let times = &mut times[WARM_UP..];
    times.sort_unstable();
    (millis(times[times.len() / 2]), millis(times[times.len() * 99 / 100]))
}
