//! Random scripts of operations and crashes. The laws hold whatever happens; a failure prints its seed.

use proptest::prelude::*;
use serde_json::json;
use steadyhand_core::{
    caller::Caller,
    executor::UndoMode,
    failure::{Effect, Failure},
    id::ActionId,
    step::Step,
    store::StoreError,
};
use steadyhand_testkit::{
    builder::{Asked, ask, read, shell, write},
    fake_executor::Script,
};

use crate::rig::{Rig, pass, rig, s, settle};

/// Asks about files, allows commands: all kinds of road are travelled.
const MIXED: &str = "[[rule]]\nname = \"a\"\ncapability = \"shell.run\"\nargs = { command = \"free\" }\ndecision = \"allow\"\n";

#[derive(Debug, Clone)]
enum Op {
    /// Asks for one of the kinds, perhaps under one of a few keys; without waiting for the answer.
    Plan {
        kind: u8,
        key: Option<u8>,
    },
    Approve(u8),
    Deny(u8),
    Cancel(u8),
    Undo(u8),
    /// What the next call does.
    Script(u8),
    FailCommit,
    /// The process ends at once, or when an action next reaches a step.
    Crash,
    DieAt(usize),
    Pass(u8),
    /// Somebody else writes to a file.
    Meddle(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u8..6, proptest::option::of(0_u8..4)).prop_map(|(kind, key)| Op::Plan { kind, key }),
        4 => (0_u8..12).prop_map(Op::Approve),
        1 => (0_u8..12).prop_map(Op::Deny),
        1 => (0_u8..12).prop_map(Op::Cancel),
        2 => (0_u8..12).prop_map(Op::Undo),
        3 => (0_u8..8).prop_map(Op::Script),
        1 => Just(Op::FailCommit),
        1 => Just(Op::Crash),
        1 => (0..Step::ALL.len()).prop_map(Op::DieAt),
        2 => (0_u8..130).prop_map(Op::Pass),
        1 => (0_u8..2).prop_map(Op::Meddle),
    ]
}

fn asked(kind: u8) -> Asked {
    match kind {
        0 => read("/r/0"),
        1 => shell("free"),
        2 => shell("asks"),
        3 => write("/r/0", "zero"),
        4 => write("/r/1", "one").dry_run(),
        _ => ask("clipboard.write", json!({"content": "x"})),
    }
}

fn script(n: u8) -> Script {
    match n {
        0 => Script::Fail(Failure::full("busy")),
        1 => Script::Fail(Failure::not_reached("down")),
        2 => Script::FailAfterEffect(Failure::timeout("lost", Effect::Unknown)),
        3 => Script::Fail(Failure::timeout("lost", Effect::Unknown)),
        4 => Script::EffectThenHang,
        5 => Script::HangForever,
        6 => Script::Slow(s(4)),
        _ => Script::FailAfterEffect(Failure::failed_midway("broken")),
    }
}

/// The action that `n` names among those that there are.
fn pick(rig: &Rig, n: u8) -> Option<ActionId> {
    let all = rig.all();
    let n = usize::from(n).checked_rem(all.len())?;
    all.into_iter().nth(n).map(|(record, _)| record.action_id)
}

async fn play(ops: Vec<Op>, seed: u64) {
    let mut rig = rig().seed(seed).policy(MIXED).build();
    rig.hands.put("/r/0", "old");
    for op in ops {
        let pipeline = rig.pipeline.clone();
        match op {
            Op::Plan { kind, key } => {
                let asked = asked(kind);
                drop(rig.spawn(match key {
                    Some(key) => asked.key(&format!("{kind} {key}")),
                    None => asked,
                }));
            }
            Op::Approve(n) => {
                let Some(id) = pick(&rig, n) else { continue };
                tokio::spawn(async move { pipeline.approve(&id, &Caller::operator()).await });
            }
            Op::Deny(n) => {
                let Some(id) = pick(&rig, n) else { continue };
                tokio::spawn(async move { pipeline.deny(&id, &Caller::operator(), None).await });
            }
            Op::Cancel(n) => {
                let Some(id) = pick(&rig, n) else { continue };
                tokio::spawn(async move { pipeline.cancel(&id, &Caller::agent()).await });
            }
            Op::Undo(n) => {
                let Some(id) = pick(&rig, n) else { continue };
                tokio::spawn(async move { pipeline.undo(&id, &Caller::operator(), UndoMode::Real).await });
            }
            Op::Script(n) => {
                for intent in ["shell.run", "file.write", "clipboard.write"] {
                    rig.hands.then(intent, [script(n)]);
                }
            }
            Op::FailCommit => rig.store.fail_next(StoreError::DiskFull),
            Op::Crash => rig = rig.restart().await.0,
            Op::DieAt(n) => rig.dies_at(Step::ALL[n]),
            Op::Pass(n) => pass(s(u64::from(n))).await,
            Op::Meddle(n) => rig.hands.put(&format!("/r/{n}"), "somebody else's"),
        }
        settle().await;
    }
    // The last start settles all that is in doubt; what waits expires.
    let (last, _) = rig.restart().await;
    drop(rig);
    pass(s(600)).await;
    for (record, history) in last.all() {
        assert!(record.ended() && !record.undoing, "{record:#?} {history:#?}");
    }
    keys_stand_for_one_action(&last);
}

fn keys_stand_for_one_action(rig: &Rig) {
    let mut seen = std::collections::HashMap::new();
    for (record, _) in rig.all() {
        if let Some(key) = record.idempotency_key {
            assert_eq!(seen.insert(key, record.action_id), None, "one action to a key");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_script_of_operations_and_crashes_breaks_the_laws(
        ops in proptest::collection::vec(op(), 1..60),
        seed in any::<u64>(),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(ops, seed));
    }
}
