//! What must be true of the journal at any time, as far as it can be seen from outside.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::{Client, Stack};

/// Rows of a page; the most there are.
const PAGE: usize = 500;
/// The most pages that a drill fills.
const PAGES_MAX: usize = 1_000;

/// Every record is where it was, signed heads hold, and records are what their events add up to.
pub(super) async fn verifies(stack: &Stack) {
    let ended = stack.cli(&["audit", "verify", "--json"]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

/// One action's record.
#[cfg(feature = "crash-points")]
pub(super) async fn record(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/actions/{id}")).await.ok()["action"].clone()
}

/// The newest actions, newest first, page by page until `enough` says so of a page, or there are no more.
pub(super) async fn newest(client: &Client, mut enough: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let mut rows = Vec::new();
    for page in 0..PAGES_MAX {
        let path = format!("/v1/actions?limit={PAGE}&offset={}", page * PAGE);
        let Value::Array(found) = client.get(&path).await.ok()["actions"].take() else { panic!("no rows") };
        let done = enough(&found) || found.len() < PAGE;
        rows.extend(found);
        if done {
            return rows;
        }
    }
    panic!("more than {PAGES_MAX} pages");
}

/// No two actions hold the same key.
pub(super) fn keys_are_held_once(rows: &[Value]) {
    let mut holders: HashMap<&str, &Value> = HashMap::new();
    for row in rows {
        let Some(key) = row["idempotency_key"].as_str() else { continue };
        let other = holders.insert(key, &row["action_id"]);
        assert_eq!(other, None, "{key} is held twice, by {} too", row["action_id"]);
    }
}

/// One action's trail: its journal, told as phases.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trail {
    intent: String,
    events: Vec<Value>,
}

impl Trail {
    /// Reads it.
    pub(super) async fn of(client: &Client, id: &str) -> Self {
        let answer = client.get(&format!("/v1/audit-trails/{id}")).await.ok();
        Self::read(&answer["trail"])
    }

    /// The trails of all actions.
    pub(super) async fn all(client: &Client) -> Vec<Self> {
        let mut trails = Vec::new();
        for page in 0..PAGES_MAX {
            let path = format!("/v1/audit-trails?limit={PAGE}&offset={}", page * PAGE);
            let answer = client.get(&path).await.ok();
            let found = answer["trails"].as_array().expect("trails are an array");
            trails.extend(found.iter().map(Self::read));
            if found.len() < PAGE {
                return trails;
            }
        }
        panic!("more than {PAGES_MAX} pages");
    }

    fn read(trail: &Value) -> Self {
        let events = trail["events"].as_array().expect("a trail has events").clone();
        Self { intent: trail["intent"].as_str().unwrap_or_default().to_owned(), events }
    }

    /// How often a phase was told with this status.
    pub(super) fn count(&self, phase: &str, status: &str) -> usize {
        self.events.iter().filter(|e| e["phase"] == phase && e["status"] == status).count()
    }

    /// How often it was handed to the executor.
    pub(super) fn dispatches(&self) -> usize {
        self.count("dispatch", "durable")
    }

    /// What recovery decided, in order.
    #[cfg(feature = "crash-points")]
    pub(super) fn recovered(&self) -> Vec<&str> {
        let recovered = self.events.iter().filter(|e| e["phase"] == "recover");
        recovered.filter_map(|e| e["status"].as_str()).collect()
    }

    /// What holds of every action, however often the program died.
    pub(super) fn is_lawful(&self) {
        let told = format!("{self:#?}");
        let asked = self.count("approval", "pending");
        assert!(asked <= 1, "asked {asked} times: {told}");
        let approved = self.count("approval", "approved");
        assert!(approved <= asked, "approved {approved} times, asked {asked} times: {told}");
        let ends = self.count("execute", "succeeded") + self.count("execute", "failed");
        assert!(ends <= 1, "executed {ends} times: {told}");
        let undone = self.count("undo", "done");
        assert!(undone <= 1, "undone {undone} times: {told}");
        let complete = self.count("lifecycle", "complete");
        assert!(complete <= 1 + undone, "ended {complete} times: {told}");
        let reruns = self.count("recover", "rerun");
        let allowed = 1 + reruns + self.count("attempt", "failed");
        let dispatches = self.dispatches();
        assert!(dispatches <= allowed, "dispatched {dispatches} times, {allowed} allowed: {told}");
        if self.intent == "shell.run" {
            assert!(dispatches <= 1 && reruns == 0, "never to be repeated: {told}");
        }
        let numbers: Vec<u64> = self.events.iter().filter(|e| e["phase"] == "dispatch").map(number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "attempts {numbers:?}: {told}");
    }
}

fn number(event: &Value) -> u64 {
    event["attempt"].as_u64().expect("an attempt has a number")
}
