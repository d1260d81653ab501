//! Port bases for stacks of tests that run at the same time in separate processes.

use std::{
    fs::File,
    net::TcpListener,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

/// Below the range that Linux takes outgoing connections' ports from (32768 and up).
const FIRST: u32 = 10_000;
/// A stack takes the base and up to 50 above it.
const STRIDE: u32 = 64;
const BASES: u32 = 350;

static TRIED: AtomicU32 = AtomicU32::new(0);
/// The locks of the bases that this process has; the system lets go of them when it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A base that no other test process gets while this one lives, and whose ports are free at this moment:
/// a stack finds them free again when it is restarted. Processes begin to look at different places.
pub(crate) fn free_base() -> u16 {
    let folder = std::env::temp_dir().join("steadyhand-test-ports");
    std::fs::create_dir_all(&folder).unwrap();
    // Neighbouring process ids start far apart (37 and 350 have no common factor).
    let start = std::process::id().wrapping_mul(37);
    for _ in 0..BASES {
        let turn = TRIED.fetch_add(1, Ordering::Relaxed);
        let base = FIRST + STRIDE * (start.wrapping_add(turn) % BASES);
        let base = u16::try_from(base).expect("FIRST + STRIDE * BASES fits");
        let lock = File::create(folder.join(base.to_string())).unwrap();
        let free = |offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok();
        if lock.try_lock().is_ok() && [0, 40, 50].into_iter().all(free) {
            HELD.lock().unwrap().push(lock);
            return base;
        }
    }
    panic!("no free ports for a stack");
}
