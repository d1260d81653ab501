use proptest::prelude::*;

use super::*;

/// A failure that everything speaks for repeating.
fn failed(class: FailureClass, attempt: u32) -> Failed {
    Failed {
        class,
        effect: Effect::None,
        repeat_safe: true,
        attempt,
        elapsed: Duration::ZERO,
        deadline: Duration::from_secs(3600),
        max_retries: None,
        retry_after: None,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Calls made in all when every one fails alike, and the waits between them.
fn calls(base: Failed, jitter: f64) -> (u32, Vec<Duration>, Why) {
    let mut waits = Vec::new();
    let mut now = base.elapsed;
    for attempt in 1..100 {
        match Taxonomy.decide(&Failed { attempt, elapsed: now, ..base }, jitter) {
            Decision::RetryIn(wait) => {
                now += wait;
                waits.push(wait);
            }
            Decision::GiveUp(why) => return (attempt, waits, why),
        }
    }
    panic!("it never gives up");
}

#[test]
fn the_founding_documents_table_holds() {
    for (class, retryable, max_retries, base_ms) in [
        ("connection_bootstrap", true, 3, 1000),
        ("timeout", true, 2, 2000),
        ("backpressure", true, 5, 500),
        ("circuit_open", false, 0, 0),
        ("policy_denied", false, 0, 0),
        ("validation_failed", false, 0, 0),
        ("execution_error", false, 0, 0),
        ("unknown", false, 0, 0),
    ] {
        let class = FailureClass::ALL.into_iter().find(|c| c.as_str() == class).unwrap();
        let budget = Taxonomy::budget(class);
        assert_eq!(budget.is_retryable(), retryable, "{class}");
        assert_eq!((budget.max_retries, budget.base), (max_retries, ms(base_ms)), "{class}");
    }
}

#[test]
fn waits_double_up_to_the_cap() {
    for (class, waits_ms) in [
        (FailureClass::ConnectionBootstrap, &[1000, 2000, 4000][..]),
        (FailureClass::Timeout, &[2000, 4000]),
        (FailureClass::Backpressure, &[500, 1000, 2000, 4000, 8000]),
        (FailureClass::ExecutionError, &[]),
    ] {
        let (made, waits, _) = calls(failed(class, 1), 1.0);
        assert_eq!(waits, waits_ms.iter().map(|w| ms(*w)).collect::<Vec<_>>(), "{class}");
        assert_eq!(made as usize, 1 + waits_ms.len(), "{class}");
    }
    let budget = Budget { max_retries: 9, base: ms(2000) };
    for (retry, delay_ms) in [(0, 2000), (1, 2000), (4, 16_000), (5, 30_000), (6, 30_000), (u32::MAX, 30_000)]
    {
        assert_eq!(budget.delay_max(retry), ms(delay_ms), "retry {retry}");
    }
}

#[test]
fn what_speaks_against_a_repeat_decides() {
    use Decision::{GiveUp, RetryIn};
    let base = failed(FailureClass::Timeout, 1);
    let second = ms(1000);
    for (name, failed, decision) in [
        ("half of the longest wait", base, RetryIn(second)),
        ("unknown effect, safe", Failed { effect: Effect::Unknown, ..base }, RetryIn(second)),
        ("no effect, unsafe", Failed { repeat_safe: false, ..base }, RetryIn(second)),
        (
            "unknown effect, unsafe",
            Failed { effect: Effect::Unknown, repeat_safe: false, ..base },
            GiveUp(Why::RepeatUnsafe),
        ),
        (
            "done, unsafe",
            Failed { effect: Effect::Done, repeat_safe: false, ..base },
            GiveUp(Why::RepeatUnsafe),
        ),
        (
            "the class goes before safety",
            Failed {
                class: FailureClass::ExecutionError,
                effect: Effect::Unknown,
                repeat_safe: false,
                ..base
            },
            GiveUp(Why::NotRetryable),
        ),
        ("no retries wanted", Failed { max_retries: Some(0), ..base }, GiveUp(Why::RetriesSpent)),
        ("one wanted, first failure", Failed { max_retries: Some(1), ..base }, RetryIn(second)),
        (
            "one wanted, second failure",
            Failed { max_retries: Some(1), attempt: 2, ..base },
            GiveUp(Why::RetriesSpent),
        ),
        (
            "five wanted don't raise two",
            Failed { max_retries: Some(5), attempt: 3, ..base },
            GiveUp(Why::RetriesSpent),
        ),
        ("asked to wait less", Failed { retry_after: Some(ms(10)), ..base }, RetryIn(second)),
        ("asked to wait longer", Failed { retry_after: Some(ms(45_000)), ..base }, RetryIn(ms(45_000))),
        (
            "asked to wait past the deadline",
            Failed { retry_after: Some(Duration::MAX), ..base },
            GiveUp(Why::DeadlineTooClose),
        ),
        ("a moment before the deadline", Failed { deadline: ms(1001), ..base }, RetryIn(second)),
        ("at the deadline", Failed { deadline: second, ..base }, GiveUp(Why::DeadlineTooClose)),
        (
            "after the deadline",
            Failed { elapsed: ms(9000), deadline: ms(8000), ..base },
            GiveUp(Why::DeadlineTooClose),
        ),
    ] {
        assert_eq!(Taxonomy.decide(&failed, 0.5), decision, "{name}");
    }
}

#[test]
fn a_broken_source_of_chance_costs_the_longest_wait() {
    for (jitter, wait_ms) in
        [(f64::NAN, 2000), (f64::INFINITY, 2000), (7.0, 2000), (-1.0, 0), (-0.0, 0), (f64::MIN, 0)]
    {
        let decision = Taxonomy.decide(&failed(FailureClass::Timeout, 1), jitter);
        assert_eq!(decision, Decision::RetryIn(ms(wait_ms)), "{jitter}");
    }
}

#[test]
fn another_taxonomy_can_take_its_place() {
    struct Never;
    impl RetryDecision for Never {
        fn decide(&self, _: &Failed, _: f64) -> Decision {
            Decision::GiveUp(Why::NotRetryable)
        }
    }
    let decisions: [Box<dyn RetryDecision>; 2] = [Box::new(Taxonomy), Box::new(Never)];
    let failed = failed(FailureClass::Timeout, 1);
    let answers = decisions.map(|decision| decision.decide(&failed, 0.0));
    assert_eq!(answers, [Decision::RetryIn(Duration::ZERO), Decision::GiveUp(Why::NotRetryable)]);
}

fn any_class() -> impl Strategy<Value = FailureClass> {
    proptest::sample::select(FailureClass::ALL.to_vec())
}

fn any_failed() -> impl Strategy<Value = Failed> {
    let effect = proptest::sample::select(vec![Effect::None, Effect::Unknown, Effect::Done]);
    let time = || (0_u64..700_000).prop_map(ms);
    (
        (any_class(), effect, any::<bool>(), 0_u32..9),
        (time(), time(), proptest::option::of(0_u8..7), proptest::option::of(time())),
    )
        .prop_map(
            |((class, effect, repeat_safe, attempt), (elapsed, deadline, max_retries, retry_after))| Failed {
                class,
                effect,
                repeat_safe,
                attempt,
                elapsed,
                deadline,
                max_retries,
                retry_after,
            },
        )
}

proptest! {
    #[test]
    fn all_retries_are_made_and_no_more(
        class in any_class(), wanted in proptest::option::of(0_u8..9), jitter in 0.0..1.0,
    ) {
        let (made, _, why) = calls(Failed { max_retries: wanted, ..failed(class, 1) }, jitter);
        let own = Taxonomy::budget(class).max_retries;
        prop_assert_eq!(made, 1 + u32::from(wanted.map_or(own, |w| w.min(own))));
        prop_assert_eq!(why, if own == 0 { Why::NotRetryable } else { Why::RetriesSpent });
    }

    #[test]
    fn no_wait_reaches_the_deadline_or_passes_its_cap(failed in any_failed(), jitter in 0.0..1.0) {
        if let Decision::RetryIn(wait) = Taxonomy.decide(&failed, jitter) {
            prop_assert!(failed.elapsed + wait < failed.deadline);
            let cap = Taxonomy::budget(failed.class).delay_max(failed.attempt);
            prop_assert!(cap <= DELAY_MAX);
            prop_assert!(wait <= cap.max(failed.retry_after.unwrap_or_default()));
            prop_assert!(wait >= failed.retry_after.unwrap_or_default());
            prop_assert!(failed.effect == Effect::None || failed.repeat_safe);
        }
    }

    #[test]
    fn the_wait_is_the_drawn_share(class in any_class(), attempt in 1_u32..6, jitter in 0.0..1.0) {
        if let Decision::RetryIn(wait) = Taxonomy.decide(&failed(class, attempt), jitter) {
            let longest = Taxonomy::budget(class).delay_max(attempt).as_secs_f64();
            prop_assert!((wait.as_secs_f64() - longest * jitter).abs() < 1e-6);
        }
    }

    #[test]
    fn only_time_and_chance_turn_a_retry_into_too_late(failed in any_failed(), jitter in 0.0..1.0) {
        let ample = Failed { elapsed: Duration::ZERO, deadline: Duration::MAX, ..failed };
        let with_time = Taxonomy.decide(&ample, jitter);
        match Taxonomy.decide(&failed, jitter) {
            Decision::GiveUp(Why::DeadlineTooClose) => {
                prop_assert!(matches!(with_time, Decision::RetryIn(wait) if failed.elapsed + wait >= failed.deadline));
            }
            decision => prop_assert_eq!(decision, with_time),
        }
    }

    #[test]
    fn any_input_is_decided(
        attempt: u32, elapsed: u64, deadline: u64, retry_after: Option<u64>, jitter: f64, class in any_class(),
    ) {
        let failed = Failed {
            attempt,
            elapsed: Duration::new(elapsed, 999_999_999),
            deadline: Duration::from_secs(deadline),
            retry_after: retry_after.map(Duration::from_secs),
            ..failed(class, 1)
        };
        Taxonomy.decide(&failed, jitter);
    }
}
