//! A pipeline of fakes: `rig().policy(ALLOW_ALL).build()`.

use std::{
    panic::resume_unwind,
    sync::{Arc, Mutex},
    time::Duration,
};

use steadyhand_core::{
    action::{ActionRecord, State},
    caller::Caller,
    event::{Entry, Event},
    executor::UndoMode,
    id::ActionId,
    step::{Observer, Step},
    time::{Clock, Timestamp},
};
use steadyhand_pipeline::{Answer, Limits, Parts, Pipeline, PipelineError, PolicySource, Recovery};
use steadyhand_policy::Policy;
use steadyhand_reliability::retry::Taxonomy;
use steadyhand_testkit::{
    builder::{Asked, registry},
    chance::Seeded,
    fake_executor::{FakeExecutor, Script},
    fake_store::FakeStore,
    time::TokioClock,
};

use crate::laws;

/// What is being built.
pub(crate) struct Builder {
    policy: String,
    hands: FakeExecutor,
    limits: Limits,
    seed: u64,
}

/// Begins a rig with the built-in policy and hands that always succeed.
pub(crate) fn rig() -> Builder {
    Builder { policy: String::new(), hands: FakeExecutor::default(), limits: Limits::default(), seed: 1 }
}

impl Builder {
    pub(crate) fn policy(mut self, text: &str) -> Self {
        text.clone_into(&mut self.policy);
        self
    }

    pub(crate) fn script(mut self, intent: &str, calls: impl IntoIterator<Item = Script>) -> Self {
        self.hands = self.hands.script(intent, calls);
        self
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn build(self) -> Rig {
        let policy = Arc::new(Switch(Mutex::new(Arc::new(parse(&self.policy)))));
        let shared = Shared {
            policy,
            clock: Arc::new(Wall { runs: TokioClock::start(), behind: Mutex::default() }),
            chance: Arc::new(Seeded::new(self.seed)),
            limits: self.limits,
        };
        Rig::start(FakeStore::default(), self.hands, shared)
    }
}

/// A policy that a test may change.
struct Switch(Mutex<Arc<Policy>>);

impl PolicySource for Switch {
    fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

/// The wall clock, which a test may set back.
struct Wall {
    runs: TokioClock,
    behind: Mutex<Duration>,
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        self.runs.now().minus(*self.behind.lock().unwrap())
    }
}

/// Ends an action's task at a step, as the end of the process would.
#[derive(Default)]
pub(crate) struct Reaper {
    at: Mutex<Option<Step>>,
    seen: Mutex<Vec<Step>>,
}

impl Observer for Reaper {
    fn reached(&self, step: Step, _: &ActionId) {
        self.seen.lock().unwrap().push(step);
        let hit = self.at.lock().unwrap().take_if(|at| *at == step).is_some();
        if hit {
            // As a panic, but without its noise.
            resume_unwind(Box::new("the process ends here"));
        }
    }
}

/// What outlives a crash.
#[derive(Clone)]
struct Shared {
    policy: Arc<Switch>,
    clock: Arc<Wall>,
    chance: Arc<Seeded>,
    limits: Limits,
}

/// A pipeline with its journal, its hands and its world. Every test ends with the laws.
pub(crate) struct Rig {
    pub(crate) pipeline: Pipeline,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) hands: FakeExecutor,
    reaper: Arc<Reaper>,
    shared: Shared,
}

impl Rig {
    fn start(store: FakeStore, hands: FakeExecutor, shared: Shared) -> Self {
        let (store, reaper) = (Arc::new(store), Arc::new(Reaper::default()));
        let pipeline = Pipeline::new(Parts {
            registry: Arc::new(registry()),
            executor: Arc::new(hands.clone()),
            store: store.clone(),
            policy: shared.policy.clone(),
            retry: Arc::new(Taxonomy),
            clock: shared.clock.clone(),
            entropy: shared.chance.clone(),
            observer: reaper.clone(),
            limits: shared.limits,
        });
        Self { pipeline, store, hands, reaper, shared }
    }

    /// The process ends where it is; another starts on the same journal and recovers.
    pub(crate) async fn restart(&self) -> (Self, Recovery) {
        let next = Self::start(self.store.crash(), self.hands.clone(), self.shared.clone());
        let recovery = next.pipeline.recover().await.unwrap();
        (next, recovery)
    }

    /// Another process on the same journal.
    pub(crate) fn second(&self) -> Self {
        Self::start(self.store.handle(), self.hands.clone(), self.shared.clone())
    }

    /// The next time an action reaches `step`, its task ends there.
    pub(crate) fn dies_at(&self, step: Step) {
        *self.reaper.at.lock().unwrap() = Some(step);
    }

    /// Whether `step` was reached, and died at where that was asked for.
    pub(crate) fn saw(&self, step: Step) -> bool {
        self.reaper.seen.lock().unwrap().contains(&step)
    }

    /// Sets the wall clock back; waits go on as before.
    pub(crate) fn set_back(&self, by: Duration) {
        *self.shared.clock.behind.lock().unwrap() += by;
    }

    pub(crate) fn set_policy(&self, text: &str) {
        *self.shared.policy.0.lock().unwrap() = Arc::new(parse(text));
    }

    /// As the agent.
    pub(crate) async fn try_run(&self, asked: Asked) -> Result<Answer, PipelineError> {
        self.pipeline.run(Caller::agent(), asked.request()).await
    }

    /// As the agent, with an answer.
    pub(crate) async fn run(&self, asked: Asked) -> Answer {
        self.try_run(asked).await.unwrap()
    }

    /// As the agent, in a task of its own.
    pub(crate) fn spawn(&self, asked: Asked) -> tokio::task::JoinHandle<Result<Answer, PipelineError>> {
        let pipeline = self.pipeline.clone();
        tokio::spawn(async move { pipeline.run(Caller::agent(), asked.request()).await })
    }

    /// Asks for what asks, and gives its identifier.
    pub(crate) async fn pending(&self, asked: Asked) -> ActionId {
        let answer = self.run(asked).await;
        assert_eq!(answer.state(), State::PendingApproval, "{answer:?}");
        answer.id()
    }

    pub(crate) async fn approve(&self, id: &ActionId) -> Answer {
        self.pipeline.approve(id, &Caller::operator()).await.unwrap()
    }

    pub(crate) async fn deny(&self, id: &ActionId) -> Answer {
        self.pipeline.deny(id, &Caller::operator(), None).await.unwrap()
    }

    pub(crate) async fn cancel(&self, id: &ActionId) -> Answer {
        self.pipeline.cancel(id, &Caller::agent()).await.unwrap()
    }

    pub(crate) async fn undo(&self, id: &ActionId, mode: UndoMode) -> Answer {
        self.pipeline.undo(id, &Caller::operator(), mode).await.unwrap()
    }

    pub(crate) fn record(&self, id: &ActionId) -> ActionRecord {
        self.all().into_iter().find(|(r, _)| r.action_id == *id).expect("the action is in the journal").0
    }

    pub(crate) fn history(&self, id: &ActionId) -> Vec<Entry> {
        self.all().into_iter().find(|(r, _)| r.action_id == *id).expect("the action is in the journal").1
    }

    /// The names of an action's events.
    pub(crate) fn events(&self, id: &ActionId) -> Vec<&'static str> {
        self.history(id).iter().map(|e| Event::name(&e.event)).collect()
    }

    pub(crate) fn all(&self) -> Vec<(ActionRecord, Vec<Entry>)> {
        self.store.all()
    }

    /// The only action that there is.
    pub(crate) fn only(&self) -> ActionRecord {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.into_iter().next().unwrap().0
    }

    /// Waits in virtual time until an action has ended.
    pub(crate) async fn ended(&self, id: &ActionId) -> ActionRecord {
        for _ in 0..10_000 {
            let record = self.record(id);
            if record.ended() && !record.undoing {
                return record;
            }
            pass(Duration::from_millis(50)).await;
        }
        panic!("{id} doesn't end: {:#?}", self.history(id));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            laws::hold(&self.store, &self.hands);
        }
    }
}

fn parse(text: &str) -> Policy {
    Policy::parse(text, "policy.toml").unwrap()
}

/// Lets virtual time pass.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets every task that can run come to rest, without time passing.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Seconds.
pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What tests ask of an answer.
pub(crate) trait Said {
    fn state(&self) -> State;
    fn id(&self) -> ActionId;
    fn code(&self) -> &str;
    fn message(&self) -> &str;
}

impl Said for Answer {
    fn state(&self) -> State {
        match (&self.record, &self.refused) {
            (Some(record), _) => record.state,
            (None, Some(refused)) => refused.state,
            (None, None) => panic!("an answer shows a state"),
        }
    }

    fn id(&self) -> ActionId {
        self.record.as_ref().expect("an answer with a record").action_id.clone()
    }

    fn code(&self) -> &str {
        self.error.as_ref().map_or("", |e| &e.code)
    }

    fn message(&self) -> &str {
        self.error.as_ref().map_or("", |e| &e.message)
    }
}
