//! Port bases for stacks of tests that run at the same time in separate processes.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below the range that Linux takes outgoing connections' ports from (32768 and up).
const FIRST: u32 = 10_000;
/// A stack takes the base and up to 50 above it.
const STRIDE: u32 = 64;
const BASES: u32 = 350;

static TRIED: AtomicU32 = AtomicU32::new(0);

/// A base whose ports are free at this moment. Successive calls go on from where the last one ended;
/// processes start at different places.
pub(crate) fn free_base() -> u16 {
    // Neighbouring process ids start far apart (37 and 350 have no common factor).
    let start = std::process::id().wrapping_mul(37);
    for _ in 0..BASES {
        let turn = TRIED.fetch_add(1, Ordering::Relaxed);
        let base = FIRST + STRIDE * (start.wrapping_add(turn) % BASES);
        let base = u16::try_from(base).expect("FIRST + STRIDE * BASES fits");
        if [0, 40, 50].into_iter().all(|offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok()) {
            return base;
        }
    }
    panic!("no free ports for a stack");
}
