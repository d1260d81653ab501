//! A disk that fails: the kernel itself refuses, in a child process that the test starts.

use std::{env, path::PathBuf, process::ExitStatus, sync::Arc};

use steadyhand_core::{
    store::{Commit, Query, Store as _, StoreError},
    time::Clock as _,
};
use steadyhand_store::{Options, SqliteStore};
use steadyhand_testkit::{
    chance::Seeded,
    faults::{Disk, refuse},
    histories::Draft,
    time::ManualClock,
};

use crate::home::Folder;

/// Names the store's folder to the child.
const FOLDER: &str = "STEADYHAND_TEST_FOLDER";
/// How a child says that all went as it should; other ends are a panic's or a signal's.
const AS_EXPECTED: i32 = 42;

/// Runs this test again as a child, on `folder`.
fn again(test: &str, folder: &Folder) -> ExitStatus {
    #[expect(clippy::disallowed_methods, reason = "the test is its own child; nothing else is started")]
    let mut child = std::process::Command::new(env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env(FOLDER, folder.path()).status().unwrap()
}

/// In the child: what to do there, then its end.
fn in_child(disk: Disk) {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(ManualClock::default());
        let chance = Arc::new(Seeded::new(1));
        let store = SqliteStore::open(&folder, Options::default(), clock.clone(), chance).unwrap();
        let store = Arc::new(store);
        let now = clock.now();
        for n in 0..3 {
            store.commit(Draft::plan(n, now).commit()).await.unwrap();
        }
        refuse(disk).unwrap();
        let waiting: Vec<_> = (3..9)
            .map(|n| {
                let (store, commit) = (Arc::clone(&store), Draft::plan(n, now).commit());
                tokio::spawn(async move { store.commit(commit).await })
            })
            .collect();
        for task in waiting {
            expect(disk, task.await.unwrap());
        }
        expect(disk, store.commit(Draft::plan(9, now).commit()).await);
        match disk {
            Disk::SyncFails => {
                assert!(store.failed().await.contains("disk I/O error"), "{}", store.failed().await);
                assert!(matches!(store.close().await, Err(StoreError::Fatal(_))));
            }
            Disk::Full => {
                // It still serves, and nothing of what failed is there.
                let page = store.actions(&Query { limit: 10, ..Query::default() }).await.unwrap();
                assert_eq!(page.total, 3);
                assert!(store.audit().await.unwrap().ok);
                assert_eq!(store.close().await, Err(StoreError::DiskFull), "the last head finds no place");
            }
        }
    });
    std::process::exit(AS_EXPECTED);
}

fn expect(disk: Disk, result: Result<u64, StoreError>) {
    match (disk, result) {
        (Disk::SyncFails, Err(StoreError::Fatal(_))) | (Disk::Full, Err(StoreError::DiskFull)) => {}
        (_, other) => panic!("{disk:?}: {other:?}"),
    }
}

/// In the parent: what the child left holds together, and goes on.
async fn goes_on(folder: &Folder, at_most: u64) {
    let store = folder.open().unwrap();
    let kept = store.actions(&Query { limit: 100, ..Query::default() }).await.unwrap().total;
    assert!((3..=at_most).contains(&kept), "{kept}");
    let report = store.audit().await.unwrap();
    assert!(report.ok, "{:?}", report.problems);
    let commit: Commit = Draft::plan(100, folder.clock.now()).commit();
    assert_eq!(store.commit(commit).await, Ok(kept + 1));
    store.close().await.unwrap();
    assert_eq!(folder.problems(), [""; 0]);
}

#[test]
fn a_failed_sync_is_fatal_for_all_who_wait() {
    in_child(Disk::SyncFails);
    let folder = Folder::new();
    let ended = again("faults::a_failed_sync_is_fatal_for_all_who_wait", &folder);
    assert_eq!(ended.code(), Some(AS_EXPECTED));
    // Nobody can say what of the failed group is there, but it's all of it or nothing.
    tokio::runtime::Runtime::new().unwrap().block_on(goes_on(&folder, 9));
}

#[test]
fn a_full_disk_fails_the_commit_and_nothing_else() {
    in_child(Disk::Full);
    let folder = Folder::new();
    let ended = again("faults::a_full_disk_fails_the_commit_and_nothing_else", &folder);
    assert_eq!(ended.code(), Some(AS_EXPECTED));
    tokio::runtime::Runtime::new().unwrap().block_on(goes_on(&folder, 3));
}
