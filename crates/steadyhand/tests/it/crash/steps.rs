//! A kill at each step of each road, and what must be there afterwards.

use std::{fmt, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use steadyhand_core::step::Step;

use super::{
    POLICY,
    journal::{self, Trail},
    road::{BEFORE, Road, Then, content},
    start_timed,
};
use crate::support::{Builder, Call, Client, Stack};

/// One road, driven through all steps on one folder.
struct Drill {
    road: Road,
    home: Builder,
    stack: Stack,
    /// Records that have ended, which nothing may change.
    ended: Vec<Value>,
    kills: u32,
    slowest: Duration,
}

impl fmt::Display for Drill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} kills at steps, slowest start {:?}", self.road, self.kills, self.slowest)
    }
}

impl Drill {
    async fn start(road: Road) -> Self {
        let home = Stack::builder().policy(POLICY);
        for step in Step::ALL {
            std::fs::write(home.root().join(road.file(step)), BEFORE).unwrap();
        }
        let (stack, slowest) = start_timed(&home).await;
        Self { road, home, stack, ended: Vec::new(), kills: 0, slowest }
    }

    /// Starts the stack so that it dies at `step`, or not.
    async fn restart(&mut self, armed: Option<Step>) {
        // One that killed itself is gone already.
        self.stack.kill().await;
        let at = armed.map(Step::as_str).unwrap_or_default();
        let (stack, took) = start_timed(&self.home.clone().env("STEADYHAND_CRASH_AT", at)).await;
        self.stack = stack;
        self.slowest = self.slowest.max(took);
    }

    async fn cross(&mut self, step: Step) {
        let client = self.stack.gateway();
        // What is to be undone must be there before anything is armed.
        let done = match self.road {
            Road::Undo => Some(plan(&client, self.road.request(step)).await.unwrap()),
            _ => None,
        };
        self.restart(Some(step)).await;
        let (asked, answer) = self.play(step, done).await;
        let then = self.road.then(step);
        if then == Then::Unharmed {
            let answer = answer.unwrap_or_else(|e| panic!("{:?} died at {}: {e}", self.road, step.as_str()));
            let expected = if self.road == Road::Undo { "rolled_back" } else { "succeeded" };
            assert_eq!(answer["state"], expected, "{answer}");
        } else {
            assert!(answer.is_err(), "it was to die at {}: {answer:?}", step.as_str());
            assert_eq!(self.stack.ended().await, None, "killed by a signal");
            self.kills += 1;
        }
        self.restart(None).await;
        journal::verifies(&self.stack).await;
        self.nothing_was_forgotten().await;
        self.settle(step, then, asked).await;
    }

    /// Asks for the action, and decides on it or undoes it where that is the road. Gives the action as it
    /// was last answered, and the last answer, which may have broken off.
    async fn play(&self, step: Step, done: Option<Value>) -> (Option<Value>, Result<Value, String>) {
        let client = self.stack.gateway();
        if let Some(done) = done {
            let undone = decide(&client, "undo", &done).await;
            return (Some(done), undone);
        }
        let answer = plan(&client, self.road.request(step)).await;
        match answer {
            Ok(asked) if asked["state"] == "pending_approval" => {
                let decided = decide(&client, "approve", &asked).await;
                (Some(asked), decided)
            }
            answer => (answer.clone().ok(), answer),
        }
    }

    async fn nothing_was_forgotten(&self) {
        let client = self.stack.gateway();
        for before in &self.ended {
            let id = before["action_id"].as_str().expect("a record has an id");
            assert_eq!(&journal::record(&client, id).await, before);
        }
    }

    /// Looks at what is there, brings the action to its end, and checks that a repeat changes nothing.
    async fn settle(&mut self, step: Step, then: Then, asked: Option<Value>) {
        let client = self.stack.gateway();
        let request = self.road.request(step);
        let held = journal::newest(&client, |_| false).await;
        journal::keys_are_held_once(&held);
        let held = held.into_iter().find(|row| row["idempotency_key"] == step.as_str());
        let context = format!("{:?} at {}: {then:?}", self.road, step.as_str());
        if then == Then::NeverWas {
            assert_eq!(held, None, "{context}");
            self.file_holds(step, BEFORE);
        } else {
            let held = held.unwrap_or_else(|| panic!("{context}: lost"));
            if let Some(asked) = &asked {
                assert_eq!(held["action_id"], asked["action_id"], "{context}");
            }
        }
        let mut answer = plan(&client, request.clone()).await.unwrap();
        let expected = match then {
            Then::NeverWas if self.road == Road::AskedWrite => "pending_approval",
            Then::Waits => "pending_approval",
            Then::NeverWas | Then::RunsAgain | Then::Settled | Then::StillDone => "succeeded",
            Then::Unknown => "failed",
            Then::Unharmed | Then::PutBack if self.road == Road::Undo => "rolled_back",
            Then::Unharmed | Then::PutBack => "succeeded",
        };
        assert_eq!(answer["state"], expected, "{context}: {answer}");
        if expected == "pending_approval" {
            self.file_holds(step, BEFORE);
            answer = decide(&client, "approve", &answer).await.unwrap();
            assert_eq!(answer["state"], "succeeded", "{context}: {answer}");
        }
        if then == Then::Unknown {
            assert_eq!(answer["error"]["code"], "OUTCOME_UNKNOWN", "{context}: {answer}");
            assert_eq!(answer["execution"]["failure_class"], "unknown", "{context}: {answer}");
        }
        if then == Then::StillDone {
            self.file_holds(step, &content(step));
            answer = decide(&client, "undo", &answer).await.unwrap();
            assert_eq!(answer["state"], "rolled_back", "{context}: {answer}");
        }
        if self.road.writes() {
            let expected = if self.road == Road::Undo { BEFORE.to_owned() } else { content(step) };
            self.file_holds(step, &expected);
        }
        self.has_ended(&client, request, then, &answer, &context).await;
    }

    /// The action has ended: its trail says how, and neither a repeat nor a second decision changes it.
    async fn has_ended(
        &mut self,
        client: &Client,
        request: Value,
        then: Then,
        answer: &Value,
        context: &str,
    ) {
        let id = answer["action_id"].as_str().expect("an answer has an id");
        let record = journal::record(client, id).await;
        let trail = Trail::of(client, id).await;
        trail.is_lawful();
        let recovered: &[&str] = match then {
            Then::RunsAgain => &["rerun"],
            Then::Unknown => &["outcome_unknown"],
            _ => &[],
        };
        assert_eq!(trail.recovered(), recovered, "{context}: {trail:#?}");
        let dispatches = if then == Then::RunsAgain { 2 } else { 1 };
        assert_eq!(trail.dispatches(), dispatches, "{context}: {trail:#?}");
        let approvals = usize::from(self.road == Road::AskedWrite);
        assert_eq!(trail.count("approval", "approved"), approvals, "{context}: {trail:#?}");
        let again = plan(client, request).await.unwrap();
        assert_eq!((&again["action_id"], &again["state"]), (&answer["action_id"], &answer["state"]));
        let verb = if self.road == Road::Undo { "undo" } else { "approve" };
        let second = decide(client, verb, answer).await.unwrap();
        assert_eq!(second["error"]["code"], "INVALID_STATE", "{context}: {second}");
        assert_eq!(journal::record(client, id).await, record, "{context}");
        assert_eq!(Trail::of(client, id).await, trail, "{context}");
        self.ended.push(record);
    }

    fn file_holds(&self, step: Step, expected: &str) {
        let path: PathBuf = self.stack.root().join(self.road.file(step));
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected, "{:?} at {}", self.road, step.as_str());
    }

    fn nothing_is_left_over(&self) {
        let names = std::fs::read_dir(self.stack.root()).unwrap().map(|e| e.unwrap().file_name());
        let names: Vec<_> = names.filter(|n| !n.to_string_lossy().ends_with(".txt")).collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

async fn plan(client: &Client, request: Value) -> Result<Value, String> {
    client.try_send(Call::post("/v1/actions/plan", &request)).await.map(|answer| answer.ok())
}

async fn decide(client: &Client, verb: &str, action: &Value) -> Result<Value, String> {
    let id = action["action_id"].as_str().expect("an action has an id");
    let call = Call::post(&format!("/v1/actions/{id}/{verb}"), &json!({}));
    client.try_send(call).await.map(|answer| answer.ok())
}

async fn drill(road: Road) -> Drill {
    let mut drill = Drill::start(road).await;
    for step in Step::ALL {
        drill.cross(step).await;
    }
    drill.nothing_is_left_over();
    assert_eq!(drill.kills as usize, road.crashes().len());
    drill
}

#[tokio::test]
async fn a_read_that_died_is_read_anew_or_answered_as_it_was() {
    println!("{}", drill(Road::Read).await);
}

#[tokio::test]
async fn a_write_that_died_is_there_once() {
    println!("{}", drill(Road::Write).await);
}

#[tokio::test]
async fn an_approval_that_died_waits_again_or_is_used_once() {
    println!("{}", drill(Road::AskedWrite).await);
}

#[tokio::test]
async fn a_command_that_died_is_never_run_again() {
    println!("{}", drill(Road::Command).await);
}

#[tokio::test]
async fn an_undo_that_died_is_done_or_can_be_asked_for_again() {
    println!("{}", drill(Road::Undo).await);
}
