//! A kill at each step of a rerun, which is itself what an earlier kill left to do.

use std::time::Duration;

use serde_json::json;
use steadyhand_core::step::Step;

use super::{
    POLICY,
    journal::{self, Trail},
    load::plan,
    start_timed,
};
use crate::support::{Builder, Stack, ports::free_base};

/// The steps of a rerun. All but the first leave one more attempt in the journal.
const STEPS: [Step; 5] =
    [Step::BeforeDispatch, Step::Dispatched, Step::Executed, Step::Verified, Step::OutcomeDurable];

/// The exit code for ports in use, of which another test may be the reason.
const IN_USE: i32 = 9;
/// It dies as it starts.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// How a start ends that does so by itself; `None`: by a signal.
async fn end(home: &Builder) -> Option<i32> {
    loop {
        let mut child = home.spawn(free_base());
        let ended = tokio::time::timeout(END_PATIENCE, child.wait()).await;
        let code = ended.expect("it dies at a step of the rerun").unwrap().code();
        if code != Some(IN_USE) {
            return code;
        }
    }
}

#[tokio::test]
async fn a_rerun_that_died_runs_again_as_the_same_action() {
    let home = Stack::builder().policy(POLICY);
    let armed = |step: Step| home.clone().env("STEADYHAND_CRASH_AT", step.as_str());
    let request = json!({"intent": "file.write", "params": {"path": "free.txt", "content": "once"},
        "idempotency_key": "k"});
    let (mut stack, _) = start_timed(&armed(Step::Executed)).await;
    plan(&stack.gateway(), &request).await.unwrap_err();
    assert_eq!(stack.ended().await, None);
    for step in STEPS {
        assert_eq!(end(&armed(step)).await, None, "it was to die at {}", step.as_str());
    }
    let (stack, _) = start_timed(&home).await;
    journal::verifies(&stack).await;
    let client = stack.gateway();
    let answer = plan(&client, &request).await.unwrap();
    assert_eq!(answer["state"], "succeeded", "{answer}");
    assert_eq!(answer["execution"]["retries_used"], STEPS.len() - 1, "{answer}");
    let trail = Trail::of(&client, answer["action_id"].as_str().unwrap()).await;
    trail.is_lawful();
    assert_eq!(trail.recovered(), ["rerun"; STEPS.len() - 1], "{trail:#?}");
    assert_eq!(trail.dispatches(), STEPS.len(), "{trail:#?}");
    assert_eq!(std::fs::read_to_string(stack.root().join("free.txt")).unwrap(), "once");
    assert_eq!(journal::newest(&client, |_| false).await.len(), 1, "it is one action");
}
