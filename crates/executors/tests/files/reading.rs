//! What `file.read` gives.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use steadyhand_core::{
    executor::{Attempt, Executor},
    failure::{Effect, FailureClass, Status},
};
use tokio_util::sync::CancellationToken;

use crate::fixture::{World, attempt};

const MAX: u64 = 10_485_760;

#[tokio::test]
async fn the_result_is_the_contracts() {
    let world = World::new();
    world.put("ü.txt", "grüß\r\ngott\u{feff}");
    let executed = world.read("ü.txt").await.unwrap();
    let Value::Object(mut result) = executed.result else { panic!("a result is an object") };
    assert!(result.remove("elapsed_ms").unwrap().as_f64().unwrap() >= 0.0);
    let path = world.root.join("ü.txt");
    let content = "grüß\r\ngott\u{feff}";
    let expected = json!({"path": path, "size_bytes": content.len(), "content": content, "success": true});
    assert_eq!(Value::Object(result), expected);
    assert_eq!(executed.side_effects, []);
}

#[tokio::test]
async fn a_file_of_the_largest_size_is_read_and_one_more_byte_is_not() {
    let world = World::new();
    let file = fs::File::create(world.root.join("large")).unwrap();
    file.set_len(MAX).unwrap();
    let content = world.read("large").await.unwrap();
    assert_eq!(content.result["size_bytes"], MAX);
    file.set_len(MAX + 1).unwrap();
    let failure = world.read("large").await.unwrap_err();
    assert_eq!(failure.message, "File too large: 10485761 bytes (max 10485760)");
    assert_eq!((failure.status, failure.class), (Status::Error, FailureClass::ExecutionError));
    file.set_len(1 << 40).unwrap();
    let failure = world.read("large").await.unwrap_err();
    assert_eq!(failure.message, "File too large: 1099511627776 bytes (max 10485760)");
}

#[tokio::test]
async fn what_is_not_text_is_refused_with_the_place() {
    let world = World::new();
    world.put("binary", b"ab\xff\xfe");
    let failure = world.read("binary").await.unwrap_err();
    assert_eq!(failure.message, "Not a text file (invalid UTF-8 at byte 2)");
    world.put("cut", b"gr\xc3");
    let failure = world.read("cut").await.unwrap_err();
    assert_eq!(failure.message, "Not a text file (invalid UTF-8 at byte 2)");
    world.put("empty", "");
    assert_eq!(world.read("empty").await.unwrap().result["content"], "");
}

#[tokio::test]
async fn bad_arguments_are_refused_in_the_contracts_words() {
    let world = World::new();
    for (params, message, class) in [
        (json!({}), "path argument required", FailureClass::ExecutionError),
        (json!({"path": null}), "path argument required", FailureClass::ExecutionError),
        (json!({"path": ""}), "path argument required", FailureClass::ExecutionError),
        (
            json!({"path": 1}),
            "Parameter 'path' must be a string, got a number",
            FailureClass::ValidationFailed,
        ),
        (json!([]), "path argument required", FailureClass::ExecutionError),
        (json!(null), "path argument required", FailureClass::ExecutionError),
    ] {
        let failure = world.execute(&attempt("file.read", params.clone())).await.unwrap_err();
        assert_eq!((failure.message.as_str(), failure.class), (message, class), "{params}");
    }
}

#[tokio::test]
async fn a_timeout_over_the_maximum_is_refused() {
    let world = World::new();
    for (ms, refused) in [(15_000, false), (15_001, true), (600_000, true)] {
        for intent in ["file.read", "file.write"] {
            let timeout = Duration::from_millis(ms);
            let attempt = Attempt { timeout, ..attempt(intent, json!({"path": "a.txt", "content": "new"})) };
            match world.execute(&attempt).await {
                Ok(_) => assert!(!refused, "{intent} {ms}"),
                Err(failure) => {
                    assert_eq!(failure.message, format!("Timeout {ms}ms exceeds maximum 15000ms"));
                    assert!(refused);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_cancelled_read_reads_nothing() {
    let world = World::new();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let failure =
        world.hands.execute(&attempt("file.read", json!({"path": "a.txt"})), &cancel).await.unwrap_err();
    assert_eq!((failure.status, failure.effect), (Status::Cancelled, Effect::None));
}
