//! A folder for one test, and the store in it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use steadyhand_core::store::Store;
use steadyhand_store::{Auditor, OpenError, Options, SqliteStore};
use steadyhand_testkit::{chance::Seeded, store_conformance::Home, time::ManualClock};
use tempfile::TempDir;

/// A folder that goes with the test.
pub(crate) struct Folder {
    dir: TempDir,
    pub(crate) options: Options,
    pub(crate) clock: Arc<ManualClock>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, options: Options::default(), clock: Arc::default() }
    }

    /// The store's folder. It doesn't exist before the first start.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn open(&self) -> Result<SqliteStore, OpenError> {
        open_at(&self.path(), self.options, &self.clock)
    }

    /// The problems that an audit of the closed or running store finds.
    pub(crate) fn problems(&self) -> Vec<String> {
        problems(&self.path(), &self.clock)
    }

    /// Writes to the database behind the store's back.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file("journal.db")).unwrap()
    }
}

pub(crate) fn open_at(
    path: &Path,
    options: Options,
    clock: &Arc<ManualClock>,
) -> Result<SqliteStore, OpenError> {
    // Another seed each time, for a nonce must never repeat under one key.
    static STARTS: AtomicU64 = AtomicU64::new(1);
    let seed = STARTS.fetch_add(1, Ordering::Relaxed);
    SqliteStore::open(path, options, Arc::clone(clock) as _, Arc::new(Seeded::new(seed)))
}

pub(crate) fn problems(path: &Path, clock: &ManualClock) -> Vec<String> {
    use steadyhand_core::time::Clock as _;
    match Auditor::open(path).unwrap().verify(clock.now()) {
        Ok(report) => {
            assert_eq!(report.ok, report.problems.is_empty());
            report.problems
        }
        Err(error) => vec![error.to_string()],
    }
}

#[async_trait]
impl Home for Folder {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Self::open(self).unwrap())
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }
}
