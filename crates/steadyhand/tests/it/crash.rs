//! The program is killed, at each named step and at random moments under load. What it had promised
//! holds after: nothing accepted is lost, no effect is doubled, the chain verifies, and it serves again
//! soon (contract 1.9.3, 1.9.5, D-1, D-22).

mod journal;
mod load;
mod random;
#[cfg(feature = "crash-points")]
mod rerun;
#[cfg(feature = "crash-points")]
mod road;
#[cfg(feature = "crash-points")]
mod steps;

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Builder, Stack};

/// Kill to serving may take 1 s; a debug build that shares two cores with other tests gets this long.
const SERVING_WITHIN: Duration = Duration::from_secs(5);

/// What may be done without asking: writing files whose names begin with `free`, and commands.
const POLICY: &str = r#"
[shell]
allow = ["sleep"]

[[rule]]
name = "free-files"
decision = "allow"
capability = "file.write"
args = { path = { glob = "free*" } }

[[rule]]
name = "commands"
decision = "allow"
capability = "shell.run"
"#;

/// Starts a stack and takes the time until all of it answers.
async fn start_timed(home: &Builder) -> (Stack, Duration) {
    let began = Instant::now();
    let stack = home.clone().start().await;
    let took = began.elapsed();
    assert!(took <= SERVING_WITHIN, "serving only after {took:?}: {}", stack.stderr());
    (stack, took)
}
