//! Contract 1.9.5, 5.3: large contents, as large as they may be.

use serde_json::{Value, json};

use crate::support::{Stack, both_auths};

const MIB: usize = 1 << 20;
const ALLOW: &str = "[[rule]]\nname = \"t\"\ncapability = \"*\"\ndecision = \"allow\"\n";

async fn plan(stack: &Stack, request: Value) -> Value {
    stack.post("/v1/actions/plan", request).await.ok()
}

#[tokio::test]
async fn a_large_file_is_written_read_undone_and_repeated() {
    let stack = Stack::builder().auth(true).policy(ALLOW).start().await;
    let content = "ü✓\n".repeat(MIB / 6);
    let write = json!({"intent": "file.write", "params": {"path": "big.txt", "content": content},
        "idempotency_key": "w"});
    let wrote = plan(&stack, write.clone()).await;
    assert_eq!(wrote["execution"]["output"]["bytes_written"], content.len(), "{wrote}");
    assert_eq!(plan(&stack, write).await["action_id"], wrote["action_id"]);
    let read = json!({"intent": "file.read", "params": {"path": "big.txt"}, "idempotency_key": "r"});
    let first = plan(&stack, read.clone()).await;
    assert!(first["execution"]["output"]["content"] == content.as_str(), "the content came back changed");
    std::fs::write(stack.root().join("big.txt"), &content[..content.len() - 1]).unwrap();
    let repeat = plan(&stack, read).await;
    assert!(repeat["execution"]["output"] == first["execution"]["output"], "kept whole, for a key was given");
    std::fs::write(stack.root().join("big.txt"), &content).unwrap();
    assert_eq!(stack.decide("undo", &wrote).await["state"], "rolled_back");
    assert!(!stack.root().join("big.txt").exists());
    let over =
        json!({"intent": "file.write", "params": {"path": "over.txt", "content": "x".repeat(10 * MIB + 1)}});
    let over = plan(&stack, over).await;
    assert_eq!(over["ok"], false);
    assert!(!stack.root().join("over.txt").exists());
}

#[tokio::test]
async fn a_command_that_says_much_is_cut_and_says_so() {
    both_auths(async |stack| {
        for n in 0..400 {
            std::fs::write(stack.root().join(format!("{n:0100}")), "").unwrap();
        }
        let asked = stack.plan("shell.run", json!({"command": "ls"})).await;
        let answer = stack.decide("approve", &asked).await;
        let output = &answer["execution"]["output"];
        assert_eq!(output["stdout"].as_str().unwrap().chars().count(), 10_000, "{answer}");
        assert_eq!((&output["stdout_truncated"], &output["stdout_bytes"]), (&json!(true), &json!(400 * 101)));
        assert_eq!((&output["stderr_truncated"], &output["success"]), (&json!(false), &json!(true)));
    })
    .await;
}

#[tokio::test]
async fn beyond_the_running_actions_one_more_is_told_to_wait_and_not_kept() {
    let config = "[limits]\nactions_running_max = 1\n";
    let policy = "[shell]\nallow = [\"sleep\"]\n[[rule]]\nname = \"sleeps\"\ncapability = \"shell.run\"\n\
                  decision = \"allow\"\n[rule.args]\ncommand = { regex = \"^sleep \" }\n";
    for auth in [false, true] {
        let stack = Stack::builder().auth(auth).config(config).policy(policy).start().await;
        let waiting = stack.plan("shell.run", json!({"command": "ls"})).await;
        assert_eq!(waiting["state"], "pending_approval", "{waiting}");
        let client = stack.gateway();
        let request = json!({"intent": "shell.run", "params": {"command": "sleep 69.5"}});
        let call = tokio::spawn(async move { client.post("/v1/actions/plan", request).await.ok() });
        let running = crate::support::until("the first to run", async || {
            stack.get("/v1/actions?state=executing").await.ok()["actions"]
                .as_array()
                .unwrap()
                .first()
                .cloned()
        })
        .await;
        let more =
            stack.post("/v1/actions/plan", json!({"intent": "file.read", "params": {"path": "a"}})).await;
        assert_eq!((more.status, &more.body["error"]["code"]), (503, &json!("OVERLOADED")), "{}", more.text);
        assert_eq!(more.header("retry-after"), "1");
        assert_eq!(stack.get("/v1/actions").await.ok()["total"], 2);
        let path = format!("/v1/actions/{}/approve", waiting["action_id"].as_str().unwrap());
        let approve = stack.gateway().act(&path).await;
        assert_eq!(
            (approve.status, &approve.body["error"]["code"]),
            (503, &json!("OVERLOADED")),
            "{}",
            approve.text
        );
        assert_eq!(stack.record(&waiting).await["state"], "pending_approval", "the yes wasn't used up");
        assert_eq!(stack.decide("cancel", &running).await["state"], "cancelled");
        assert_eq!(call.await.unwrap()["state"], "cancelled");
        assert_eq!(
            stack.plan("file.read", json!({"path": "a"})).await["state"],
            "failed",
            "there is room again"
        );
    }
}
