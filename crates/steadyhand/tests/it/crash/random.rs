//! Kills at random moments, while clients work and while the program starts.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use steadyhand_testkit::chance::Seeded;
use tokio::{
    sync::watch,
    task::{JoinSet, LocalSet},
};

use super::{
    POLICY, SERVING_WITHIN,
    journal::{self, Trail},
    load::{self, Answered, Busy, Work},
    start_timed,
};
use crate::support::{Builder, Call, Stack, ports::free_base};

/// Kills of every test run; with those at steps at least 50.
const KILLS: u64 = 20;
/// How many kills a drill makes instead.
const DRILL: &str = "STEADYHAND_DRILL";
/// Repeats the choices of an earlier run.
const SEED: &str = "STEADYHAND_SEED";

/// A life ends after at most this many answers.
const ANSWERS_MAX: u64 = 60;
/// The kill comes up to this long after the answer that was waited for.
const KILL_WITHIN_US: u64 = 4_000;
/// One start in so many is killed, too, at most this long after it began.
const STARTS_PER_KILL: u64 = 4;
const START_KILLED_WITHIN_US: u64 = 150_000;
/// Answers of earlier lives that are repeated after each start.
const REPEATS: usize = 8;
/// Temporary files that are older than this belong to nobody any more.
const HOUR: Duration = Duration::from_secs(3_600);

struct Drill {
    home: Builder,
    chance: Seeded,
    clients: Vec<Busy>,
    /// All that was answered in lives that have ended.
    answered: HashMap<String, Answered>,
    order: Vec<String>,
    kills: u64,
    slowest: Duration,
}

impl Drill {
    fn new(seed: u64) -> Self {
        let home = Stack::builder().policy(POLICY);
        let root = home.root();
        let clients =
            Work::ALL.into_iter().enumerate().map(|(n, work)| Busy::new(n, work, &root, seed)).collect();
        Self {
            home,
            chance: Seeded::new(seed),
            clients,
            answered: HashMap::new(),
            order: Vec::new(),
            kills: 0,
            slowest: Duration::ZERO,
        }
    }

    async fn start(&mut self) -> Stack {
        if self.chance.next().is_multiple_of(STARTS_PER_KILL) {
            let mut child = self.home.spawn(free_base());
            tokio::time::sleep(Duration::from_micros(self.chance.next() % START_KILLED_WITHIN_US)).await;
            child.kill().await.unwrap();
            self.kills += 1;
        }
        let (stack, took) = start_timed(&self.home).await;
        self.slowest = self.slowest.max(took);
        stack
    }

    /// Lets all clients work, and kills the program at a random moment.
    async fn live(&mut self, mut stack: Stack) {
        let client = stack.gateway();
        let (answers, mut count) = watch::channel(0);
        let (local, mut lives) = (LocalSet::new(), JoinSet::new());
        for busy in self.clients.drain(..) {
            lives.spawn_local_on(busy.live(client.clone(), answers.clone()), &local);
        }
        drop(answers);
        let enough = 1 + self.chance.next() % ANSWERS_MAX;
        let delay = Duration::from_micros(self.chance.next() % KILL_WITHIN_US);
        let killed = async {
            // Closed: all clients have ended, which their results explain.
            let _ = count.wait_for(|n| *n >= enough).await;
            tokio::time::sleep(delay).await;
            stack.signal(rustix::process::Signal::KILL);
            assert_eq!(stack.ended().await, None, "it ended by itself: {}", stack.stderr());
            lives.join_all().await
        };
        self.clients = local.run_until(killed).await;
        self.kills += 1;
        for busy in &mut self.clients {
            for answered in busy.answered.drain(..) {
                self.order.push(answered.id.clone());
                self.answered.insert(answered.id.clone(), answered);
            }
        }
    }

    /// What was answered in the last life is there as it was answered, and a repeat hears it again.
    async fn nothing_was_forgotten(&self, stack: &Stack, since: usize) {
        let client = stack.gateway();
        let mut missing: HashSet<&str> = self.order[since..].iter().map(String::as_str).collect();
        let rows = journal::newest(&client, |page| {
            for row in page {
                let id = row["action_id"].as_str().expect("a row has an id");
                missing.remove(id);
                if let Some(answered) = self.answered.get(id) {
                    assert_eq!(row["state"], answered.state.as_str(), "{row}");
                }
            }
            missing.is_empty()
        })
        .await;
        assert!(missing.is_empty(), "answered and lost: {missing:?}");
        journal::keys_are_held_once(&rows);
    }

    async fn repeats_hear_the_same(&self, stack: &Stack) {
        if self.order.is_empty() {
            return;
        }
        let client = stack.gateway();
        for _ in 0..REPEATS {
            let id = &self.order[self.chance.next() as usize % self.order.len()];
            let answered = &self.answered[id];
            let before = Trail::of(&client, id).await;
            let answer = load::plan(&client, &answered.request).await.expect("it runs");
            assert_eq!(
                (&answer["action_id"], &answer["state"]),
                (&id.as_str().into(), &answered.state.as_str().into())
            );
            assert_eq!(Trail::of(&client, id).await, before, "{id}");
        }
    }

    /// What a death in the middle of a write left is swept once it is old.
    async fn leftovers_are_swept(&self, stack: &Stack) -> usize {
        let left = temporaries(&stack.root());
        for name in &left {
            let file = std::fs::File::options().write(true).open(stack.root().join(name)).unwrap();
            file.set_modified(file.metadata().unwrap().modified().unwrap() - HOUR).unwrap();
        }
        let request =
            serde_json::json!({"intent": "file.write", "params": {"path": "free.txt", "content": "x"}});
        let answer = stack.gateway().send(Call::post("/v1/actions/plan", &request)).await.ok();
        assert_eq!(answer["state"], "succeeded", "{answer}");
        assert_eq!(temporaries(&stack.root()), [""; 0]);
        left.len()
    }
}

fn temporaries(root: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|n| n.ends_with(".tmp")).collect()
}

/// What recoveries found, summed over all starts, as the log tells it.
fn recoveries(log: &str) -> HashMap<String, u64> {
    let mut sums = HashMap::new();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for line in lines.filter(|line| line["event"] == "recovered") {
        for (name, count) in line["detail"].as_object().into_iter().flatten() {
            *sums.entry(name.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
    }
    sums
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

#[tokio::test]
async fn kills_under_load_lose_nothing_and_double_nothing() {
    let seed = number(SEED).unwrap_or_else(|| RandomState::new().hash_one(SEED));
    let kills = number(DRILL).unwrap_or(KILLS);
    println!("{SEED}={seed}");
    let mut drill = Drill::new(seed);
    let mut since = 0;
    while drill.kills < kills {
        let stack = drill.start().await;
        journal::verifies(&stack).await;
        drill.nothing_was_forgotten(&stack, since).await;
        drill.repeats_hear_the_same(&stack).await;
        since = drill.order.len();
        drill.live(stack).await;
        println!("{} kills, {} answers", drill.kills, drill.order.len());
    }
    let stack = drill.start().await;
    journal::verifies(&stack).await;
    drill.nothing_was_forgotten(&stack, 0).await;
    let trails = Trail::all(&stack.gateway()).await;
    trails.iter().for_each(Trail::is_lawful);
    let swept = drill.leftovers_are_swept(&stack).await;
    let doubts: u32 = drill.clients.iter().map(|busy| busy.doubts).sum();
    println!(
        "{} kills, {} actions, {} answered, {doubts} requests broken off, {swept} temporary files swept, \
         slowest start {:?} (bound {SERVING_WITHIN:?}), recovered: {:?}",
        drill.kills,
        trails.len(),
        drill.order.len(),
        drill.slowest,
        recoveries(&stack.stdout()),
    );
}
