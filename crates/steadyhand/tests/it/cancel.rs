//! Contract 9: cancel ends a waiting or running action, and what had begun.

use serde_json::{Value, json};

use crate::support::{Stack, is_running, sleep_of_its_own, soon, until};

const SLEEP: &str = "[shell]\nallow = [\"sleep\"]\n[[rule]]\nname = \"t\"\ncapability = \"shell.run\"\ndecision = \"allow\"\n";

async fn running(stack: &Stack) -> Value {
    until("an action to run", async || {
        let all = stack.get("/v1/actions?state=executing").await.ok();
        all["actions"].as_array().unwrap().first().cloned()
    })
    .await
}

#[tokio::test]
async fn a_running_command_is_killed_and_its_caller_hears_of_it() {
    for auth in [false, true] {
        let command = sleep_of_its_own("64.");
        let stack = Stack::builder().auth(auth).policy(SLEEP).start().await;
        let client = stack.agent();
        let request = json!({"intent": "shell.run", "params": {"command": command}});
        let call = tokio::spawn(async move { client.post("/v1/actions/plan", request).await.ok() });
        let action = running(&stack).await;
        soon("the command to run", || is_running(&command)).await;
        let cancelled = stack.decide("cancel", &action).await;
        assert_eq!(
            (&cancelled["ok"], &cancelled["state"]),
            (&json!(true), &json!("cancelled")),
            "{cancelled}"
        );
        assert!(!is_running(&command), "it is gone when the answer is there");
        let heard = call.await.unwrap();
        assert_eq!((&heard["ok"], &heard["state"]), (&json!(false), &json!("cancelled")), "{heard}");
        assert_eq!(heard["error"]["code"], "CANCELLED", "{heard}");
        assert_eq!(heard["action_id"], action["action_id"]);
        let late = stack.decide("cancel", &action).await;
        assert_eq!(late["error"]["message"], "Cannot cancel action in state 'cancelled'");
        assert!(stack.record(&action).await["completed_at"].is_string());
    }
}

#[tokio::test]
async fn a_waiting_action_is_cancelled_and_stays_so() {
    for auth in [false, true] {
        let mut stack = Stack::builder().auth(auth).start().await;
        let asked = stack.plan("file.write", json!({"path": "a.txt", "content": "x"})).await;
        let cancelled = stack.decide("cancel", &asked).await;
        assert_eq!(
            (&cancelled["ok"], &cancelled["state"]),
            (&json!(true), &json!("cancelled")),
            "{cancelled}"
        );
        assert!(cancelled.get("execution").is_none());
        assert_eq!(stack.decide("approve", &asked).await["error"]["code"], "INVALID_STATE");
        stack.restart().await;
        assert_eq!(stack.record(&asked).await["state"], "cancelled");
        assert!(!stack.root().join("a.txt").exists());
    }
}
