//! Clients that go on with what they were at when the program died, and know what may be there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use steadyhand_testkit::chance::Seeded;
use tokio::sync::watch;

use crate::support::{Call, Client, until};

/// What a file that is read or written over holds at first.
const BASE: &str = "as it was";
/// How many questions a client leaves open before it decides on the oldest.
const LEFT_OPEN_MAX: usize = 4;

/// Far longer than any action here takes.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// The connection broke: the program died.
#[derive(Debug)]
pub(super) struct Broken;

/// An action whose outcome was answered: nothing may change it.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) request: Value,
}

/// What a client does, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Reads one file.
    Read,
    /// Writes a number that grows to a file of its own.
    Count,
    /// Asks for a new file and decides on it, at once or later.
    Ask,
    /// Writes and puts back.
    Undo,
    /// Runs a command that is never repeated, and may cancel it.
    Command,
}

impl Work {
    /// One client each; counting is done by three.
    pub(super) const ALL: [Self; 7] =
        [Self::Read, Self::Count, Self::Count, Self::Count, Self::Ask, Self::Undo, Self::Command];
}

/// A person's decision, or none for now.
const DECISIONS: [(&str, &str); 4] =
    [("approve", "succeeded"), ("deny", "denied"), ("cancel", "cancelled"), ("", "pending_approval")];

/// One client.
pub(super) struct Busy {
    work: Work,
    name: String,
    root: PathBuf,
    chance: Seeded,
    turn: u64,
    /// Whether this turn's request has been sent in an earlier life of the program.
    doubted: bool,
    /// Whether the decision, undo or cancel of this turn has been sent.
    decided: bool,
    /// This turn's decision.
    decision: (&'static str, &'static str),
    /// Questions left open, oldest first.
    open: Vec<Answered>,
    pub(super) answered: Vec<Answered>,
    /// Requests that broke off.
    pub(super) doubts: u32,
}

impl Busy {
    pub(super) fn new(number: usize, work: Work, root: &Path, seed: u64) -> Self {
        let name = format!("{work:?}{number}").to_lowercase();
        let chance = Seeded::new(seed.wrapping_add(number as u64));
        let mut busy = Self {
            work,
            name,
            root: root.to_owned(),
            chance,
            turn: 1,
            doubted: false,
            decided: false,
            decision: DECISIONS[0],
            open: Vec::new(),
            answered: Vec::new(),
            doubts: 0,
        };
        if work != Work::Ask {
            std::fs::write(busy.path(), busy.before()).unwrap();
        }
        busy.draw();
        busy
    }

    /// Works until the program dies; each answer is counted.
    pub(super) async fn live(mut self, client: Client, answers: watch::Sender<u64>) -> Self {
        while let Ok(()) = self.work_once(&client).await {
            self.turn += 1;
            (self.doubted, self.decided) = (false, false);
            self.draw();
            answers.send_modify(|n| *n += 1);
        }
        self.doubts += 1;
        self.doubted = true;
        self
    }

    fn draw(&mut self) {
        self.decision = DECISIONS[(self.chance.next() % 4) as usize];
    }

    async fn work_once(&mut self, client: &Client) -> Result<(), Broken> {
        match self.work {
            Work::Read => self.read(client).await,
            Work::Count => self.count(client).await,
            Work::Ask => self.ask(client).await,
            Work::Undo => self.undo(client).await,
            Work::Command => self.command(client).await,
        }
    }

    fn file(&self) -> String {
        match self.work {
            Work::Ask => format!("{}-{}.txt", self.name, self.turn),
            _ => format!("free-{}.txt", self.name),
        }
    }

    fn path(&self) -> PathBuf {
        self.root.join(self.file())
    }

    fn on_disk(&self) -> Option<String> {
        std::fs::read_to_string(self.path()).ok()
    }

    /// What the file holds before this turn.
    fn before(&self) -> String {
        if self.work == Work::Count { self.content(self.turn - 1) } else { BASE.to_owned() }
    }

    fn content(&self, turn: u64) -> String {
        format!("{} {turn}", self.name)
    }

    fn request(&self, intent: &str, params: Value) -> Value {
        json!({"intent": intent, "params": params, "idempotency_key": format!("{}-{}", self.name, self.turn)})
    }

    fn write(&self) -> Value {
        self.request("file.write", json!({"path": self.file(), "content": self.content(self.turn)}))
    }

    fn keep(&mut self, answer: &Value, request: Value) {
        self.answered.push(answered(answer, request));
    }

    async fn read(&mut self, client: &Client) -> Result<(), Broken> {
        let request = self.request("file.read", json!({"path": self.file()}));
        let answer = plan(client, &request).await?;
        assert_eq!(answer["execution"]["output"]["content"], BASE, "{answer}");
        self.keep(&answer, request);
        Ok(())
    }

    async fn count(&mut self, client: &Client) -> Result<(), Broken> {
        let (before, after) = (self.content(self.turn - 1), self.content(self.turn));
        let now = self.on_disk().expect("nobody removes it");
        assert!(now == before || (self.doubted && now == after), "{now:?} in turn {}", self.turn);
        let request = self.write();
        let answer = plan(client, &request).await?;
        assert_eq!(answer["state"], "succeeded", "{answer}");
        assert_eq!(self.on_disk(), Some(after), "{answer}");
        self.keep(&answer, request);
        Ok(())
    }

    async fn ask(&mut self, client: &Client) -> Result<(), Broken> {
        if self.open.len() > LEFT_OPEN_MAX {
            return self.decide_on_the_oldest(client).await;
        }
        let request = self.write();
        let mut answer = plan(client, &request).await?;
        let (verb, end) = self.decision;
        if answer["state"] == "pending_approval" && !verb.is_empty() {
            assert_eq!(self.on_disk(), None, "{answer}");
            self.decided = true;
            answer = decide(client, verb, &answer).await?;
            assert_eq!(answer["ok"], true, "{answer}");
        } else if answer["state"] != "pending_approval" {
            assert!(self.decided, "nobody decided: {answer}");
        }
        assert_eq!(answer["state"], end, "{verb}: {answer}");
        let expected = (end == "succeeded").then(|| self.content(self.turn));
        assert_eq!(self.on_disk(), expected, "{verb}: {answer}");
        if verb.is_empty() {
            self.open.push(answered(&answer, request));
        } else {
            self.keep(&answer, request);
        }
        Ok(())
    }

    /// A question that was left open, over any number of deaths, is answered with a yes.
    async fn decide_on_the_oldest(&mut self, client: &Client) -> Result<(), Broken> {
        let request = self.open[0].request.clone();
        let mut answer = plan(client, &request).await?;
        assert_eq!(answer["action_id"], self.open[0].id.as_str(), "{answer}");
        if answer["state"] == "pending_approval" {
            self.decided = true;
            answer = decide(client, "approve", &answer).await?;
        } else {
            assert!(self.decided, "nobody decided: {answer}");
        }
        assert_eq!(answer["state"], "succeeded", "{answer}");
        let file = self.root.join(request["params"]["path"].as_str().expect("a path is a text"));
        let content = request["params"]["content"].as_str().expect("a content is a text");
        assert_eq!(std::fs::read_to_string(file).unwrap(), content, "{answer}");
        self.open.remove(0);
        self.keep(&answer, request);
        Ok(())
    }

    async fn undo(&mut self, client: &Client) -> Result<(), Broken> {
        let request = self.write();
        let mut answer = plan(client, &request).await?;
        if answer["state"] == "succeeded" {
            assert_eq!(self.on_disk(), Some(self.content(self.turn)), "{answer}");
            self.decided = true;
            answer = decide(client, "undo", &answer).await?;
            assert_eq!(answer["ok"], true, "{answer}");
        } else {
            assert!(self.decided, "nobody asked for an undo: {answer}");
        }
        assert_eq!(answer["state"], "rolled_back", "{answer}");
        assert_eq!(self.on_disk().as_deref(), Some(BASE), "{answer}");
        self.keep(&answer, request);
        Ok(())
    }

    async fn command(&mut self, client: &Client) -> Result<(), Broken> {
        let cancels = self.decision.0 == "cancel";
        let command = if cancels { "sleep 5".to_owned() } else { format!("cat {}", self.file()) };
        let request = self.request("shell.run", json!({"command": command}));
        let key = request["idempotency_key"].as_str().expect("a key is a text").to_owned();
        let mut running = Box::pin(plan(client, &request));
        let answer = if cancels {
            tokio::select! {
                answer = &mut running => answer?,
                found = executing(client, &key) => {
                    self.decided = true;
                    decide(client, "cancel", &found?).await?;
                    running.as_mut().await?
                }
            }
        } else {
            running.as_mut().await?
        };
        drop(running);
        let unknown = answer["error"]["code"] == "OUTCOME_UNKNOWN";
        match answer["state"].as_str() {
            Some("succeeded") => assert!(!cancels, "{answer}"),
            Some("cancelled") => assert!(self.decided, "{answer}"),
            Some("failed") => assert!(unknown && self.doubted, "{answer}"),
            _ => panic!("{answer}"),
        }
        self.keep(&answer, request);
        Ok(())
    }
}

fn answered(answer: &Value, request: Value) -> Answered {
    let text = |name: &str| answer[name].as_str().expect("an answer has an id and a state").to_owned();
    Answered { id: text("action_id"), state: text("state"), request }
}

/// The running action that holds a key.
async fn executing(client: &Client, key: &str) -> Result<Value, Broken> {
    let look = async || {
        let rows = call(client, Call::get("/v1/actions?state=executing")).await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(broken) => return Some(Err(broken)),
        };
        let found = rows["actions"].as_array()?.iter().find(|row| row["idempotency_key"] == key);
        found.cloned().map(Ok)
    };
    until("the command to run", look).await
}

/// Asks for an action.
pub(super) async fn plan(client: &Client, request: &Value) -> Result<Value, Broken> {
    call(client, Call::post("/v1/actions/plan", request)).await
}

async fn decide(client: &Client, verb: &str, action: &Value) -> Result<Value, Broken> {
    let id = action["action_id"].as_str().expect("an action has an id");
    call(client, Call::post(&format!("/v1/actions/{id}/{verb}"), &json!({}))).await
}

async fn call(client: &Client, call: Call) -> Result<Value, Broken> {
    let told = format!("{call:?}");
    let answer = tokio::time::timeout(ANSWER_PATIENCE, client.try_send(call)).await;
    let answer = answer.unwrap_or_else(|_| panic!("neither an answer nor an end: {told}"));
    answer.map(|answer| answer.ok()).map_err(|_| Broken)
}
