//! Waiting for something that another process does: looked at often, and given up after a bound.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Far beyond what anything takes on a busy machine; reached only by a failure.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// Looks until there is something, and returns it; fails the test after 30 s.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(GIVE_UP_AFTER, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited {GIVE_UP_AFTER:?} in vain for {what}"))
}

/// Looks until it is so; fails the test after 30 s.
pub(crate) async fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    until(what, async || is_so().then_some(())).await;
}

/// A command that sleeps for a bit more than so many seconds and that no other test has: it is looked for
/// by its words among all processes of the machine.
pub(crate) fn sleep_of_its_own(seconds: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    format!("sleep {seconds}{:07}{made:02}", std::process::id())
}

/// Whether a process with exactly this command line runs on this machine.
pub(crate) fn is_running(command: &str) -> bool {
    let words = format!("{}\0", command.replace(' ', "\0"));
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes.flatten().any(|process| {
        std::fs::read(process.path().join("cmdline")).is_ok_and(|line| line == words.as_bytes())
    })
}
