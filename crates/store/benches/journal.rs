//! What a durable commit costs, alone and with 32 at once, beside the limits of the same disk at the same
//! time, in turns: a bare append with its sync, a bare one-row transaction, and 32 rows in one.
//! Prints one JSON line per figure, each the median of the turns. Budget: 34,000 commits/s at 32.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{fs::File, io::Write as _, path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use serde_json::json;
use steadyhand_core::{
    store::{Commit, Store as _},
    time::Clock as _,
};
use steadyhand_store::{Options, SqliteStore};
use steadyhand_testkit::{
    chance::Seeded,
    histories::{Draft, any_event},
    time::ManualClock,
};
use tokio::time::Instant;

const TURNS: usize = 5;
const ALONE: usize = 1_500;
const WAITERS: usize = 32;
const EACH: usize = 600;
const BODY_BYTES: usize = 400;

/// The times of one turn: all together, and each one's own.
struct Turn {
    whole: Duration,
    each: Vec<Duration>,
}

fn main() {
    let folder = tempfile::tempdir_in(".").expect("a temporary folder can be made on the disk");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let bare = bare_database(folder.path());
    let clock = Arc::new(ManualClock::default());
    let path = folder.path().join("journal");
    let store = SqliteStore::open(&path, Options::default(), clock.clone(), Arc::new(Seeded::new(1)));
    let store = Arc::new(store.expect("a new journal opens"));
    let mut next = 0;
    let mut commits = |count: usize| -> Vec<Commit> {
        next += count as u64;
        (next - count as u64..next).map(|n| one_action(n, &clock)).collect()
    };
    let mut figures: [(&str, usize, Vec<Turn>); 5] = [
        ("bare_append_and_sync", 1, Vec::new()),
        ("bare_one_row_transaction", 1, Vec::new()),
        ("bare_32_rows_a_transaction", WAITERS, Vec::new()),
        ("commit", 1, Vec::new()),
        ("commit", WAITERS, Vec::new()),
    ];
    for _ in 0..TURNS {
        figures[0].2.push(appends(folder.path()));
        figures[1].2.push(transactions(&bare, ALONE, 1));
        figures[2].2.push(transactions(&bare, EACH, WAITERS));
        let alone = vec![commits(ALONE)];
        figures[3].2.push(runtime.block_on(run(&store, alone)));
        let together = (0..WAITERS).map(|_| commits(EACH)).collect();
        figures[4].2.push(runtime.block_on(run(&store, together)));
    }
    for (figure, waiters, turns) in figures {
        println!("{}", line(figure, waiters, turns));
    }
    runtime.block_on(async {
        let report = store.audit().await.expect("it was just written");
        assert!(report.ok, "{:?}", report.problems);
        store.close().await.expect("the disk holds");
    });
}

/// The one commit of an action that only validates: about what a dry run or a read leaves.
fn one_action(n: u64, clock: &ManualClock) -> Commit {
    let now = clock.now();
    let mut draft = Draft::plan(n, now);
    draft.push(now, any_event(0, 1, now)).succeed(now);
    draft.commit()
}

async fn run(store: &Arc<SqliteStore>, work: Vec<Vec<Commit>>) -> Turn {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for commits in work {
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let mut each = Vec::with_capacity(commits.len());
            for commit in commits {
                let asked = Instant::now();
                store.commit(commit).await.expect("the disk holds");
                each.push(asked.elapsed());
            }
            each
        }));
    }
    let mut each = Vec::new();
    for task in tasks {
        each.extend(task.await.expect("nothing panics"));
    }
    Turn { whole: began.elapsed(), each }
}

fn bare_database(folder: &Path) -> Connection {
    let conn = Connection::open(folder.join("bare.db")).expect("a new database opens");
    conn.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = full;
         CREATE TABLE rows (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;",
    )
    .expect("the schema is right");
    conn
}

/// `count` transactions of `rows` rows each.
fn transactions(conn: &Connection, count: usize, rows: usize) -> Turn {
    let body = [7_u8; BODY_BYTES];
    measured(count, rows, || {
        conn.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
        for _ in 0..rows {
            let insert = "INSERT INTO rows (id, body) VALUES (lower(hex(randomblob(8))), ?1)";
            let mut insert = conn.prepare_cached(insert).expect("the statement is right");
            insert.execute([&body[..]]).expect("the disk holds");
        }
        conn.execute_batch("COMMIT").expect("the disk holds");
    })
}

/// Appends of 4 KiB, each synced.
fn appends(folder: &Path) -> Turn {
    let mut file = File::create(folder.join("appended")).expect("a file can be made");
    measured(ALONE, 1, || {
        file.write_all(&[7; 4_096]).expect("the disk holds");
        file.sync_data().expect("the disk holds");
    })
}

fn measured(count: usize, rows: usize, mut once: impl FnMut()) -> Turn {
    let mut each = Vec::with_capacity(count * rows);
    let began = Instant::now();
    for _ in 0..count {
        let asked = Instant::now();
        once();
        each.extend(std::iter::repeat_n(asked.elapsed(), rows));
    }
    Turn { whole: began.elapsed(), each }
}

fn line(figure: &str, waiters: usize, turns: Vec<Turn>) -> serde_json::Value {
    let mut turns: Vec<_> = turns
        .into_iter()
        .map(|mut turn| {
            turn.each.sort_unstable();
            let at = |share: f64| {
                let index = (turn.each.len() - 1) as f64 * share;
                turn.each[index as usize].as_secs_f64() * 1_000.0
            };
            (turn.each.len() as f64 / turn.whole.as_secs_f64(), at(0.5), at(0.99))
        })
        .collect();
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    let round = |ms: f64| (ms * 1_000.0).round() / 1_000.0;
    let (rate, p50, p99) = turns[turns.len() / 2];
    json!({
        "bench": "journal",
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "figure": figure,
        "waiters": waiters,
        "per_s": rate.round(),
        "per_s_least": turns[0].0.round(),
        "per_s_most": turns[turns.len() - 1].0.round(),
        "p50_ms": round(p50),
        "p99_ms": round(p99),
    })
}
