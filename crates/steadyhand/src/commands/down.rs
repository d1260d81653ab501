//! `down`: ends the stack that runs on a data folder, in order.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::Session;
use crate::{config, exit::Exit, fault::Fault, stack::Stack};

/// Longer than the longest drain that can be configured.
const PATIENCE: Duration = Duration::from_secs(660);
/// How often it looks whether the stack is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs the command. Returns when the stack is gone.
pub(crate) async fn run(session: &Session) -> Result<Exit, Fault> {
    let places = config::places(&session.common.given(None), &session.around)?;
    let stack = Stack::read(&places.stack_file())?.filter(Stack::runs);
    let Some(stack) = stack else {
        let nothing = format!("nothing runs on {}", places.data_dir.display());
        return Ok(say(session, &nothing, None));
    };
    let pid = i32::try_from(stack.pid).ok().and_then(Pid::from_raw).ok_or_else(|| {
        Fault::new(Exit::Configuration, format!("{} names no process", places.stack_file().display()))
    })?;
    kill_process(pid, Signal::TERM)
        .map_err(|e| Fault::new(Exit::NotAllowed, format!("can't stop process {}: {e}", stack.pid)))?;
    let began = Instant::now();
    while stack.runs() {
        if began.elapsed() > PATIENCE {
            return Err(Fault::new(Exit::Busy, format!("process {} doesn't end", stack.pid)));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(say(session, &format!("stopped process {}", stack.pid), Some(stack.pid)))
}

fn say(session: &Session, line: &str, stopped: Option<u32>) -> Exit {
    if session.out.json {
        session.out.value(&json!({"stopped": stopped}));
    } else {
        session.out.line(line);
    }
    Exit::Done
}
