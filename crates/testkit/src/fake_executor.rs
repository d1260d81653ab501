//! Hands that follow a script, in a world that is a map: what a capability did can be seen there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use steadyhand_core::{
    approval::Operand,
    digest::Digest,
    executor::{
        Attempt, Availability, Executed, Executor, Prepared, Probe, SideEffect, UndoError, UndoMode, Undone,
        Verdict, Verification,
    },
    failure::{Effect, Failure},
    id::{ActionId, AttemptId},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The capability whose effect is a file of the world.
pub const FILE_WRITE: &str = "file.write";
/// The capability that reads a file of the world.
pub const FILE_READ: &str = "file.read";

/// How long a test waits for calls: far longer than any takes, in virtual time no time at all.
const CALLS_WITHIN: Duration = Duration::from_secs(600);

/// What one call does. A call beyond the script is [`Script::Done`].
#[derive(Debug, Clone)]
pub enum Script {
    /// Has its effect and answers.
    Done,
    /// Has its effect and answers with this output.
    Output(Value),
    /// Has its effect and answers after this time.
    Slow(Duration),
    /// Has no effect and fails.
    Fail(Failure),
    /// Has its effect and fails all the same.
    FailAfterEffect(Failure),
    /// Says it has done it, and hasn't.
    Lie,
    /// Has no effect, and gives no answer until cancelled.
    HangUntilCancelled,
    /// Has no effect, and never gives an answer, cancelled or not.
    HangForever,
    /// Has its effect, and never gives an answer.
    EffectThenHang,
}

/// One call that was made.
#[derive(Debug, Clone)]
pub struct Call {
    /// The attempt, as it was handed over.
    pub attempt: Attempt,
    /// When, on tokio's clock.
    pub at: tokio::time::Instant,
}

#[derive(Default)]
struct World {
    files: HashMap<String, String>,
    scripts: HashMap<String, VecDeque<Script>>,
    verdicts: HashMap<String, Verdict>,
    probes: HashMap<String, Probe>,
    calls: Vec<Call>,
    effects: Vec<ActionId>,
    undone: Vec<ActionId>,
    undo_script: VecDeque<Script>,
    undo_look_takes: VecDeque<Duration>,
    prepare_failures: HashMap<String, Failure>,
    looks_hang: bool,
}

/// Scripted hands. Clones work in the same world.
#[derive(Clone, Default)]
pub struct FakeExecutor {
    world: Arc<Mutex<World>>,
    /// Told at each call, after it was counted.
    called: Arc<Notify>,
}

impl FakeExecutor {
    /// Adds to the script of a capability's calls.
    #[must_use]
    pub fn script(self, intent: &str, calls: impl IntoIterator<Item = Script>) -> Self {
        self.then(intent, calls);
        self
    }

    /// Adds to the script of a capability's calls.
    pub fn then(&self, intent: &str, calls: impl IntoIterator<Item = Script>) {
        self.lock().scripts.entry(intent.to_owned()).or_default().extend(calls);
    }

    /// Adds to the script of undos that really are done.
    pub fn then_undo(&self, calls: impl IntoIterator<Item = Script>) {
        self.lock().undo_script.extend(calls);
    }

    /// How long the next descriptions of an undo take, from the look to the answer.
    pub fn undo_looks_take(&self, times: impl IntoIterator<Item = Duration>) {
        self.lock().undo_look_takes.extend(times);
    }

    /// What verification of a capability says, whatever the world holds.
    pub fn verdict(&self, intent: &str, verdict: Verdict) {
        self.lock().verdicts.insert(intent.to_owned(), verdict);
    }

    /// What a probe of a capability says, whatever the world holds.
    pub fn probe_says(&self, intent: &str, probe: Probe) {
        self.lock().probes.insert(intent.to_owned(), probe);
    }

    /// Lets every look at a capability's operands fail.
    pub fn prepare_fails(&self, intent: &str, failure: Failure) {
        self.lock().prepare_failures.insert(intent.to_owned(), failure);
    }

    /// Lets every look at the world hang from now on, or answer again.
    pub fn looks_hang(&self, hang: bool) {
        self.lock().looks_hang = hang;
    }

    async fn before_a_look(&self) {
        tokio::task::yield_now().await;
        let hangs = self.lock().looks_hang;
        if hangs {
            std::future::pending::<()>().await;
        }
    }

    /// Puts a file into the world, as somebody else would.
    pub fn put(&self, path: &str, content: &str) {
        self.lock().files.insert(path.to_owned(), content.to_owned());
    }

    /// A file of the world.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<String> {
        self.lock().files.get(path).cloned()
    }

    /// The calls that were made, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The identifiers of the attempts, in order of their calls.
    #[must_use]
    pub fn attempt_ids(&self) -> Vec<AttemptId> {
        self.lock().calls.iter().map(|c| c.attempt.attempt_id.clone()).collect()
    }

    /// How often an action had its effect.
    #[must_use]
    pub fn effects_of(&self, id: &ActionId) -> usize {
        self.lock().effects.iter().filter(|e| *e == id).count()
    }

    /// How often anything had its effect.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.lock().effects.len()
    }

    /// How often anything was put back.
    #[must_use]
    pub fn undone(&self) -> usize {
        self.lock().undone.len()
    }

    /// Returns once `count` calls were made in all.
    ///
    /// # Panics
    /// If they aren't within [`CALLS_WITHIN`].
    pub async fn called(&self, count: usize) {
        let calls = async {
            loop {
                let told = self.called.notified();
                if self.lock().calls.len() >= count {
                    return;
                }
                told.await;
            }
        };
        tokio::time::timeout(CALLS_WITHIN, calls).await.expect("the calls are made in time");
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no test panics under this lock")
    }

    fn begin(&self, attempt: &Attempt) -> Script {
        let mut world = self.lock();
        world.calls.push(Call { attempt: attempt.clone(), at: tokio::time::Instant::now() });
        let script = world.scripts.get_mut(&attempt.intent).and_then(VecDeque::pop_front);
        drop(world);
        self.called.notify_waiters();
        script.unwrap_or(Script::Done)
    }
}

impl World {
    fn operand(&self, path: &str) -> Operand {
        let content = self.files.get(path);
        Operand {
            param: "path".to_owned(),
            path: path.to_owned(),
            identity: "1:1".to_owned(),
            digest: content.map(|c| Digest::of(c.as_bytes())),
            size: content.map_or(0, |c| c.len() as u64),
        }
    }

    /// Does it, unless the sealed operands are gone.
    fn effect(&mut self, attempt: &Attempt) -> Result<Executed, Failure> {
        let mut side_effects = Vec::new();
        let mut result = json!({"success": true});
        match attempt.intent.as_str() {
            FILE_WRITE => {
                let (path, content) = (text(attempt, "path"), text(attempt, "content"));
                if attempt.operands.first() != Some(&self.operand(path)) {
                    return Err(Failure::denied("the file changed").with_code("APPROVAL_STALE"));
                }
                self.files.insert(path.to_owned(), content.to_owned());
                side_effects.push(SideEffect { kind: "file_written".to_owned(), target: path.to_owned() });
            }
            FILE_READ => {
                let path = text(attempt, "path");
                if attempt.operands.first().is_some_and(|o| *o != self.operand(path)) {
                    return Err(Failure::denied("the file changed").with_code("APPROVAL_STALE"));
                }
                let content = self.files.get(path).ok_or_else(|| Failure::error("no such file"))?;
                result = json!({"content": content});
            }
            _ => {}
        }
        self.effects.push(attempt.action_id.clone());
        Ok(Executed { result, side_effects })
    }
}

impl World {
    fn put_back(
        &mut self,
        attempt: &Attempt,
        pre_image: Option<&[u8]>,
        mode: UndoMode,
    ) -> Result<Undone, UndoError> {
        let (path, content) = (text(attempt, "path"), text(attempt, "content"));
        if self.files.get(path).map(String::as_str) != Some(content) {
            return Err(UndoError::Conflict { message: format!("{path} changed since"), diff: None });
        }
        if mode == UndoMode::Real {
            match pre_image {
                Some(bytes) => {
                    let before = String::from_utf8(bytes.to_vec()).expect("the map holds text");
                    self.files.insert(path.to_owned(), before);
                }
                None => drop(self.files.remove(path)),
            }
            self.undone.push(attempt.action_id.clone());
        }
        Ok(Undone { summary: format!("{path} as it was before"), diff: None })
    }
}

fn text<'a>(attempt: &'a Attempt, param: &str) -> &'a str {
    attempt.params[param].as_str().unwrap_or_default()
}

#[async_trait]
impl Executor for FakeExecutor {
    async fn prepare(&self, attempt: &Attempt) -> Result<Prepared, Failure> {
        self.before_a_look().await;
        let world = self.lock();
        if let Some(failure) = world.prepare_failures.get(&attempt.intent) {
            return Err(failure.clone());
        }
        let path = text(attempt, "path");
        let pre_image = match attempt.intent.as_str() {
            FILE_WRITE => world.files.get(path).map(|c| c.clone().into_bytes()),
            FILE_READ => None,
            _ => return Ok(Prepared::default()),
        };
        Ok(Prepared { operands: vec![world.operand(path)], pre_image })
    }

    async fn execute(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure> {
        let script = self.begin(attempt);
        tokio::task::yield_now().await;
        match script {
            Script::Done => self.lock().effect(attempt),
            Script::Output(result) => {
                let executed = self.lock().effect(attempt)?;
                Ok(Executed { result, ..executed })
            }
            Script::Slow(time) => {
                tokio::select! {
                    () = tokio::time::sleep(time) => self.lock().effect(attempt),
                    () = cancel.cancelled() => Err(Failure::cancelled("stopped in time", Effect::None)),
                }
            }
            Script::Fail(failure) => Err(failure),
            Script::FailAfterEffect(failure) => {
                self.lock().effect(attempt)?;
                Err(failure)
            }
            Script::Lie => Ok(Executed { result: json!({"success": true}), side_effects: Vec::new() }),
            Script::HangUntilCancelled => {
                cancel.cancelled().await;
                Err(Failure::cancelled("stopped on request", Effect::Unknown))
            }
            Script::HangForever => std::future::pending().await,
            Script::EffectThenHang => {
                self.lock().effect(attempt)?;
                std::future::pending().await
            }
        }
    }

    async fn verify(&self, attempt: &Attempt, _: &Executed) -> Verification {
        self.before_a_look().await;
        let world = self.lock();
        let holds = || {
            let held = world.files.get(text(attempt, "path")).map(String::as_str);
            if held == Some(text(attempt, "content")) { Verdict::Confirmed } else { Verdict::NoOp }
        };
        let verdict = match world.verdicts.get(&attempt.intent) {
            Some(verdict) => *verdict,
            None if attempt.intent == FILE_WRITE => holds(),
            None => Verdict::Unverifiable,
        };
        Verification { verdict, evidence: "world".to_owned(), detail: "looked at the map".to_owned() }
    }

    async fn probe(&self, attempt: &Attempt) -> Probe {
        self.before_a_look().await;
        let world = self.lock();
        if let Some(probe) = world.probes.get(&attempt.intent) {
            return *probe;
        }
        if attempt.intent != FILE_WRITE {
            return Probe::Undecidable;
        }
        let (path, content) = (text(attempt, "path"), text(attempt, "content"));
        let held = world.files.get(path).map(String::as_str);
        if held == Some(content) {
            Probe::Done
        } else if attempt.operands.first() == Some(&world.operand(path)) {
            Probe::NotDone
        } else {
            Probe::Undecidable
        }
    }

    async fn undo(
        &self,
        attempt: &Attempt,
        pre_image: Option<&[u8]>,
        mode: UndoMode,
    ) -> Result<Undone, UndoError> {
        if mode == UndoMode::Real {
            let script = self.lock().undo_script.pop_front();
            tokio::task::yield_now().await;
            match script {
                Some(Script::Fail(failure)) => return Err(UndoError::Failed(failure)),
                Some(Script::HangForever) => std::future::pending().await,
                _ => {}
            }
        }
        let seen = self.lock().put_back(attempt, pre_image, mode);
        let takes = match mode {
            UndoMode::DryRun => self.lock().undo_look_takes.pop_front(),
            UndoMode::Real => None,
        };
        if let Some(takes) = takes {
            tokio::time::sleep(takes).await;
        }
        seen
    }

    fn availability(&self, _: &str) -> Availability {
        Availability { available: true, reason: None, sandbox: "none".to_owned() }
    }
}
