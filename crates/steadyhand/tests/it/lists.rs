//! Contract 1.9.6, 9, D-15, D-16: one action, and lists of them.
//!
//! - `GET /v1/actions`: `ok`, `actions`, `total` (pinned), newest first, `filters` with its nulls
//! - every filter narrows `total` too; unknown words give an empty list
//! - `limit` and `offset` are clamped; `cursor` walks all pages, also while new actions come

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Stack, both_auths};

async fn some_of_everything(stack: &Stack) -> Vec<Value> {
    std::fs::write(stack.root().join("a.txt"), "x").unwrap();
    let rows = [
        ("file.read", json!({"path": "a.txt"}), "s1"),
        ("file.read", json!({"path": "none"}), "s1"),
        ("file.read", json!({"path": "/etc/passwd"}), "s2"),
        ("file.write", json!({"path": "b.txt", "content": "x"}), "s1"),
        ("shell.run", json!({"command": "ls"}), "s2"),
        ("no.such", json!({}), "s2"),
    ];
    let mut made = Vec::new();
    for (intent, params, session) in rows {
        let request = json!({"intent": intent, "params": params, "session_id": session});
        made.push(stack.post("/v1/actions/plan", request).await.ok());
    }
    made
}

fn ids(list: &Value) -> Vec<&str> {
    list["actions"].as_array().unwrap().iter().map(|a| a["action_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_newest_first_and_tells_its_filters() {
    both_auths(async |stack| {
        let empty = stack.get("/v1/actions").await.ok();
        let filters = json!({"state": null, "session_id": null, "limit": 50, "offset": 0});
        assert_eq!(empty, json!({"ok": true, "actions": [], "total": 0, "filters": filters}));
        let made = some_of_everything(stack).await;
        let list = stack.get("/v1/actions").await.ok();
        let newest_first: Vec<&str> = made.iter().rev().map(|a| a["action_id"].as_str().unwrap()).collect();
        assert_eq!(ids(&list), newest_first);
        assert_eq!(list["total"], 6);
        for (row, answer) in list["actions"].as_array().unwrap().iter().zip(made.iter().rev()) {
            assert_eq!(*row, stack.record(answer).await, "a row is the whole record");
        }
    })
    .await;
}

#[tokio::test]
async fn every_filter_narrows_list_and_total() {
    both_auths(async |stack| {
        let made = some_of_everything(stack).await;
        let middle = stack.record(&made[2]).await["created_at"].as_str().unwrap().to_owned();
        let rows = [
            ("state=succeeded", vec![0]),
            ("state=failed", vec![2, 1]),
            ("state=pending_approval", vec![4, 3]),
            ("state=planned", vec![5]),
            ("state=no_such_state", vec![]),
            ("state=", vec![]),
            ("session_id=s1", vec![3, 1, 0]),
            ("session_id=s1&state=failed", vec![1]),
            ("session_id=none", vec![]),
            ("intent=file.read", vec![2, 1, 0]),
            ("intent=file", vec![]),
            ("failure_class=policy_denied", vec![2]),
            ("failure_class=execution_error&session_id=s1", vec![1]),
            ("failure_class=no_such_class", vec![]),
            (&format!("since={middle}Z"), vec![5, 4, 3, 2]),
            (&format!("until={middle}Z"), vec![1, 0]),
            (&format!("since={middle}Z&intent=file.read"), vec![2]),
            ("since=2000-01-01T00:00:00Z", vec![5, 4, 3, 2, 1, 0]),
            ("until=2000-01-01T00:00:00Z", vec![]),
            ("unknown=field", vec![5, 4, 3, 2, 1, 0]),
        ];
        for (query, expected) in rows {
            let list = stack.get(&format!("/v1/actions?{query}")).await.ok();
            let expected: Vec<&str> =
                expected.iter().map(|n: &usize| made[*n]["action_id"].as_str().unwrap()).collect();
            assert_eq!(ids(&list), expected, "{query}");
            assert_eq!(list["total"], expected.len(), "{query}");
            let page = stack.get(&format!("/v1/actions?{query}&limit=1")).await.ok();
            assert_eq!(page["total"], expected.len(), "the total is of all pages: {query}");
            assert_eq!(ids(&page), expected.iter().take(1).copied().collect::<Vec<_>>(), "{query}");
        }
        let told = stack.get("/v1/actions?state=failed&session_id=s1&limit=7&offset=2").await.ok();
        let filters = json!({"state": "failed", "session_id": "s1", "limit": 7, "offset": 2});
        assert_eq!(told["filters"], filters);
        for query in ["since=yesterday", "until=12:00", "cursor=abc", "cursor=-1"] {
            assert_eq!(stack.get(&format!("/v1/actions?{query}")).await.status, 422, "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn numbers_beyond_their_bounds_are_clamped() {
    both_auths(async |stack| {
        let made = some_of_everything(stack).await;
        for (query, limit, offset, rows) in [
            ("limit=0", 1, 0, 1),
            ("limit=-5", 1, 0, 1),
            ("limit=501", 500, 0, 6),
            ("limit=99999999999999999999", 500, 0, 6),
            ("offset=-3", 50, 0, 6),
            ("offset=4", 50, 4, 2),
            ("offset=100", 50, 100, 0),
        ] {
            let answer = stack.get(&format!("/v1/actions?{query}")).await;
            let list = answer.ok();
            assert_eq!(
                (&list["filters"]["limit"], &list["filters"]["offset"]),
                (&json!(limit), &json!(offset)),
                "{query}"
            );
            assert_eq!((ids(&list).len(), &list["total"]), (rows, &json!(made.len())), "{query}");
            let trails = stack.get(&format!("/v1/audit-trails?{query}")).await.ok();
            assert_eq!(
                (trails["trails"].as_array().unwrap().len(), &trails["total"]),
                (rows, &json!(6)),
                "{query}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_cursor_walks_each_action_once_while_new_ones_come() {
    both_auths(async |stack| {
        let made = some_of_everything(stack).await;
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let from = cursor.map(|c| format!("&cursor={c}")).unwrap_or_default();
            let page = stack.get(&format!("/v1/actions?limit=2{from}")).await.ok();
            assert!(ids(&page).len() <= 2);
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            stack.plan("file.read", json!({"path": "came meanwhile"})).await;
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = Some(next.to_owned());
        }
        assert_eq!(seen.len(), seen.iter().collect::<BTreeSet<_>>().len(), "none twice");
        let expected: Vec<&str> = made.iter().rev().map(|a| a["action_id"].as_str().unwrap()).collect();
        assert_eq!(seen, expected, "none left out");
    })
    .await;
}
