//! What every implementation of [`Store`] must hold, as one suite: [`store_conformance!`] makes a test of
//! each of its facts.

#![expect(clippy::unwrap_used, reason = "this is a test: an error must fail it")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use steadyhand_core::{
    digest::Digest,
    event::{Entry, Event},
    failure::FailureClass,
    id::ActionId,
    store::{
        CLAIM_LIFE, Claim, Commit, Found, Keep, Payload, PayloadKind, Query, Retention, Store, StoreError,
    },
    time::{Clock as _, Timestamp},
};

use crate::{
    histories::{Draft, EVENT_KINDS, any_event},
    time::ManualClock,
};

/// Where a store keeps what it keeps: opened, closed and opened again, it holds the same.
#[async_trait]
pub trait Home: Send + Sync {
    /// Opens the store. Only one may be open at a time.
    async fn open(&self) -> Arc<dyn Store>;

    /// The clock that the store reads.
    fn clock(&self) -> &ManualClock;
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Makes one test of each fact, on a fresh home made by `$home`.
#[macro_export]
macro_rules! store_conformance {
    ($home:expr) => {
        $crate::store_conformance!(@ $home;
            what_is_committed_is_seen
            every_kind_of_event_survives
            a_commit_without_a_record_is_folded
            places_rise_by_one
            an_action_is_unfinished_until_it_and_its_undo_end
            pages_are_newest_first_and_filtered
            pages_follow_a_cursor
            histories_are_newest_action_first
            a_key_stands_for_its_caller_for_24_hours
            a_taken_key_fails_its_commit_alone
            one_of_many_racing_claims_wins
            payloads_are_found_by_owner_and_kind
            shared_payloads_go_oldest_first
            documents_are_as_last_set
            the_services_own_events_are_no_action
            old_ended_actions_go_and_young_ones_stay
            unfinished_actions_and_standing_keys_stay
            the_oldest_ended_actions_go_for_the_quota
            everything_survives_a_restart
            a_closed_store_says_so
            a_commit_without_events_is_refused
        );
    };
    (@ $home:expr; $($fact:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                let home = $home;
                $crate::store_conformance::$fact(&home).await;
            }
        )*
    };
}

async fn audited(store: &dyn Store) {
    let report = store.audit().await.unwrap();
    assert!(report.ok, "{:?}", report.problems);
}

async fn commit(store: &dyn Store, draft: &mut Draft) -> u64 {
    store.commit(draft.commit()).await.unwrap()
}

fn claim_of(draft: &Draft, key: &str, at: Timestamp) -> Claim {
    Claim {
        caller: "agent".to_owned(),
        key: key.to_owned(),
        action_id: draft.id().clone(),
        request_digest: Digest::of(key.as_bytes()),
        at,
    }
}

fn payload(owner: &str, kind: PayloadKind, keep: Keep, bytes: &[u8]) -> Payload {
    Payload { owner: owner.to_owned(), kind, keep, bytes: bytes.to_vec() }
}

/// A commit is in every read as soon as it is answered.
pub async fn what_is_committed_is_seen(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut draft = Draft::plan(1, now);
    assert_eq!(store.action(draft.id()).await.unwrap(), None);
    assert_eq!(store.history(draft.id()).await.unwrap(), []);
    for last in [false, true] {
        if last {
            draft.push(now, any_event(6, 1, now)).succeed(now.plus(Duration::from_millis(5)));
        }
        commit(&*store, &mut draft).await;
        assert_eq!(store.action(draft.id()).await.unwrap().as_ref(), Some(&draft.record));
        assert_eq!(store.history(draft.id()).await.unwrap(), draft.history);
        let query = Query { limit: 10, ..Query::default() };
        assert_eq!(store.actions(&query).await.unwrap().records, [draft.record.clone()]);
        assert_eq!(store.unfinished().await.unwrap().len(), usize::from(!last));
    }
    audited(&*store).await;
}

/// What is read is what was written, to the last bit of a float.
pub async fn every_kind_of_event_survives(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut draft = Draft::plan(1, now);
    for kind in 0..EVENT_KINDS {
        for n in 0..12 {
            draft.push(now.plus(Duration::from_micros(n)), any_event(kind, n, now));
        }
        commit(&*store, &mut draft).await;
    }
    assert_eq!(store.history(draft.id()).await.unwrap(), draft.history);
    assert_eq!(store.action(draft.id()).await.unwrap(), Some(draft.record.clone()));
    audited(&*store).await;
}

/// A commit that brings no record counts as well.
pub async fn a_commit_without_a_record_is_folded(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut draft = Draft::plan(1, now);
    store.commit(Commit { record: None, ..draft.commit() }).await.unwrap();
    draft.push(now, any_event(6, 1, now));
    store.commit(Commit { record: None, ..draft.commit() }).await.unwrap();
    assert_eq!(store.action(draft.id()).await.unwrap(), Some(draft.record.clone()));
    audited(&*store).await;
}

/// Commits at once get places without gaps or doubles.
pub async fn places_rise_by_one(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut tasks = Vec::new();
    for n in 0..64 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move { store.commit(Draft::plan(n, now).commit()).await.unwrap() }));
    }
    let mut places = Vec::new();
    for task in tasks {
        places.push(task.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=64).collect::<Vec<_>>());
    audited(&*store).await;
}

/// Recovery sees exactly the actions that need it.
pub async fn an_action_is_unfinished_until_it_and_its_undo_end(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut draft = Draft::plan(1, now);
    let by = || "op".to_owned();
    let steps = [
        (any_event(2, 1, now), 1),
        (any_event(3, 1, now), 1),
        (any_event(6, 1, now), 1),
        (crate::histories::ended(steadyhand_core::action::State::Succeeded, None), 0),
        (Event::UndoDispatched { by: by() }, 1),
        (Event::UndoFailed { message: by() }, 0),
        (Event::UndoDispatched { by: by() }, 1),
        (Event::Undone { summary: by() }, 0),
    ];
    for (event, unfinished) in steps {
        let name = event.name();
        draft.push(now, event);
        commit(&*store, &mut draft).await;
        assert_eq!(store.unfinished().await.unwrap().len(), unfinished, "after {name}");
    }
}

/// Each filter narrows, all together, and `total` counts what they leave.
pub async fn pages_are_newest_first_and_filtered(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let at = |n: u64| now.plus(Duration::from_secs(n));
    for n in 0..8 {
        let mut draft = Draft::plan_as(n, at(n), |planned| {
            planned.intent = if n < 4 { "file.read" } else { "file.write" }.to_owned();
            planned.session_id = (n % 2 == 0).then(|| "s1".to_owned());
        });
        match n % 4 {
            0 => draft.succeed(at(n)),
            1 => draft.fail(at(n), FailureClass::Timeout),
            _ => &mut draft,
        };
        commit(&*store, &mut draft).await;
    }
    let text = |word: &str| Some(word.to_owned());
    let all = Query { limit: 100, ..Query::default() };
    let cases = [
        (all.clone(), 8, vec![7, 6, 5, 4, 3, 2, 1, 0]),
        (Query { state: text("succeeded"), ..all.clone() }, 2, vec![4, 0]),
        (Query { state: text("no such state"), ..all.clone() }, 0, vec![]),
        (Query { state: text("' OR 1=1 --"), ..all.clone() }, 0, vec![]),
        (Query { session_id: text("s1"), ..all.clone() }, 4, vec![6, 4, 2, 0]),
        (Query { intent: text("file.read"), ..all.clone() }, 4, vec![3, 2, 1, 0]),
        (Query { failure_class: text("timeout"), ..all.clone() }, 2, vec![5, 1]),
        (Query { since: Some(at(6)), ..all.clone() }, 2, vec![7, 6]),
        (Query { until: Some(at(2)), ..all.clone() }, 2, vec![1, 0]),
        (Query { since: Some(at(2)), until: Some(at(3)), ..all.clone() }, 1, vec![2]),
        (Query { session_id: text("s1"), intent: text("file.read"), ..all.clone() }, 2, vec![2, 0]),
        (Query { limit: 2, offset: 3, ..all.clone() }, 8, vec![4, 3]),
        (Query { offset: 100, ..all.clone() }, 8, vec![]),
        (Query { limit: 0, ..all.clone() }, 8, vec![7]),
    ];
    for (query, total, expected) in cases {
        let page = store.actions(&query).await.unwrap();
        let found: Vec<_> = page.records.iter().map(|r| r.action_id.clone()).collect();
        let expected: Vec<_> = expected.into_iter().map(|n| Draft::plan(n, now).id().clone()).collect();
        assert_eq!(found, expected, "{query:?}");
        assert_eq!(page.total, total, "{query:?}");
    }
}

/// Following the cursor sees each action once, though new ones come in between.
pub async fn pages_follow_a_cursor(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    for n in 0..7 {
        commit(&*store, &mut Draft::plan(n, now)).await;
    }
    let mut query = Query { limit: 3, ..Query::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.actions(&query).await.unwrap();
        assert_eq!(page.total, 7 + (seen.len() / 3) as u64);
        seen.extend(page.records.into_iter().map(|r| r.action_id));
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(cursor);
        commit(&*store, &mut Draft::plan(100 + seen.len() as u64, now)).await;
    }
    let expected: Vec<_> = (0..7).rev().map(|n| Draft::plan(n, now).id().clone()).collect();
    assert_eq!(seen, expected);
}

/// Histories come whole, newest action first, though their commits were interleaved.
pub async fn histories_are_newest_action_first(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut drafts: Vec<_> = (0..4).map(|n| Draft::plan(n, now)).collect();
    for draft in &mut drafts {
        commit(&*store, draft).await;
    }
    for draft in &mut drafts {
        draft.succeed(now);
        commit(&*store, draft).await;
    }
    drafts.reverse();
    let expected: Vec<_> = drafts.iter().map(|d| (d.id().clone(), d.history.clone())).collect();
    assert_eq!(store.histories(100, 0).await.unwrap(), (expected.clone(), 4));
    assert_eq!(store.histories(2, 1).await.unwrap(), (expected[1..3].to_vec(), 4));
    assert_eq!(store.histories(0, 0).await.unwrap(), (Vec::new(), 4));
}

/// A key is its caller's, for 24 hours to the microsecond, and free after that.
pub async fn a_key_stands_for_its_caller_for_24_hours(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut first = Draft::plan(1, now);
    let claim = claim_of(&first, "k", now);
    assert_eq!(store.claim("agent", "k", now).await.unwrap(), None);
    store.commit(Commit { claim: Some(claim.clone()), ..first.commit() }).await.unwrap();
    let last = now.plus(CLAIM_LIFE - Duration::from_micros(1));
    for (caller, key, at, found) in [
        ("agent", "k", now, true),
        ("agent", "k", last, true),
        ("agent", "k", now.plus(CLAIM_LIFE), false),
        ("agent", "K", now, false),
        ("other", "k", now, false),
    ] {
        let standing = store.claim(caller, key, at).await.unwrap();
        assert_eq!(standing, found.then(|| claim.clone()), "{caller} {key} {at:?}");
    }
    let mut late = Draft::plan(2, last);
    let refused = store.commit(Commit { claim: Some(claim_of(&late, "k", last)), ..late.commit() }).await;
    assert_eq!(refused, Err(StoreError::KeyTaken(first.id().clone())));
    let free = now.plus(CLAIM_LIFE);
    let mut next = Draft::plan(3, free);
    let renewed = claim_of(&next, "k", free);
    store.commit(Commit { claim: Some(renewed.clone()), ..next.commit() }).await.unwrap();
    assert_eq!(store.claim("agent", "k", free).await.unwrap(), Some(renewed));
    audited(&*store).await;
}

/// Nothing is kept of a commit whose key is taken, and its neighbours don't notice.
pub async fn a_taken_key_fails_its_commit_alone(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut holder = Draft::plan(0, now);
    store.commit(Commit { claim: Some(claim_of(&holder, "k", now)), ..holder.commit() }).await.unwrap();
    let mut tasks = Vec::new();
    for n in 1..=32 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut draft = Draft::plan(n, now);
            let taken = n % 2 == 0;
            let claim = taken.then(|| claim_of(&draft, "k", now));
            let kept = payload(draft.id().as_str(), PayloadKind::Params, Keep::WithAction, b"exact");
            let commit = Commit { claim, payloads: vec![kept], ..draft.commit() };
            (draft, taken, store.commit(commit).await)
        }));
    }
    for task in tasks {
        let (draft, taken, result) = task.await.unwrap();
        let known = store.action(draft.id()).await.unwrap();
        let kept = store.payload(draft.id().as_str(), PayloadKind::Params).await.unwrap();
        if taken {
            assert_eq!(result, Err(StoreError::KeyTaken(holder.id().clone())));
            assert_eq!((known, kept == Found::Never), (None, true));
            assert_eq!(store.history(draft.id()).await.unwrap(), []);
        } else {
            result.unwrap();
            assert_eq!((known, kept == Found::Bytes(b"exact".to_vec())), (Some(draft.record), true));
        }
    }
    // The holder itself may say it again.
    holder.succeed(now);
    store.commit(Commit { claim: Some(claim_of(&holder, "k", now)), ..holder.commit() }).await.unwrap();
    audited(&*store).await;
}

/// Of claims at once exactly one wins, and the others hear which.
pub async fn one_of_many_racing_claims_wins(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut tasks = Vec::new();
    for n in 0..32 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut draft = Draft::plan(n, now);
            let commit = Commit { claim: Some(claim_of(&draft, "k", now)), ..draft.commit() };
            (draft.id().clone(), store.commit(commit).await)
        }));
    }
    let (mut winners, mut told) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            (id, Ok(_)) => winners.push(id),
            (_, Err(StoreError::KeyTaken(by))) => told.push(by),
            (id, Err(other)) => panic!("{id}: {other}"),
        }
    }
    assert_eq!((winners.len(), told.len()), (1, 31));
    assert!(told.iter().all(|by| *by == winners[0]));
}

/// A payload comes back exact; one that never was differs from one that is gone.
pub async fn payloads_are_found_by_owner_and_kind(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut draft = Draft::plan(1, now);
    let owner = draft.id().as_str().to_owned();
    let big: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
    let payloads = vec![
        payload(&owner, PayloadKind::Params, Keep::WithAction, b"params"),
        payload(&owner, PayloadKind::PreImage, Keep::WithAction, &big),
        payload("att_1", PayloadKind::Output, Keep::WithAction, b""),
    ];
    store.commit(Commit { payloads, ..draft.commit() }).await.unwrap();
    let bytes = |bytes: &[u8]| Found::Bytes(bytes.to_vec());
    for (owner, kind, found) in [
        (owner.as_str(), PayloadKind::Params, bytes(b"params")),
        (owner.as_str(), PayloadKind::PreImage, bytes(&big)),
        (owner.as_str(), PayloadKind::Output, Found::Never),
        ("att_1", PayloadKind::Output, bytes(b"")),
        ("att_2", PayloadKind::Output, Found::Never),
    ] {
        assert!(store.payload(owner, kind).await.unwrap() == found, "{owner} {kind:?}");
    }
    draft.succeed(now);
    let payloads = vec![payload(&owner, PayloadKind::Params, Keep::WithAction, b"replaced")];
    store.commit(Commit { payloads, ..draft.commit() }).await.unwrap();
    assert!(store.payload(&owner, PayloadKind::Params).await.unwrap() == bytes(b"replaced"));
    audited(&*store).await;
}

/// Large outputs share what is equal, and the oldest go when there is too much.
pub async fn shared_payloads_go_oldest_first(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let content = |n: u64| vec![n as u8; 10_000];
    for n in 0..6 {
        let mut draft = Draft::plan(n, now);
        draft.succeed(now);
        // The last is equal to the one before.
        let output = payload(draft.id().as_str(), PayloadKind::Output, Keep::UnderQuota, &content(n.min(4)));
        store.commit(Commit { payloads: vec![output], ..draft.commit() }).await.unwrap();
    }
    let found =
        async |n: u64| store.payload(Draft::plan(n, now).id().as_str(), PayloadKind::Output).await.unwrap();
    let retention = Retention { output_bytes_max: 50_000, ..Retention::default() };
    assert_eq!(store.sweep(retention, now).await.unwrap().payloads, 0);
    let retention = Retention { output_bytes_max: 29_999, ..retention };
    assert_eq!(store.sweep(retention, now).await.unwrap().payloads, 3);
    for n in 0..6 {
        let expected = if n < 3 { Found::Expired } else { Found::Bytes(content(n.min(4))) };
        assert!(found(n).await == expected, "{n}");
    }
    audited(&*store).await;
}

/// A document is what its last event says; `null` removes it.
pub async fn documents_are_as_last_set(home: &dyn Home) {
    let store = home.open().await;
    let at = home.clock().now();
    let set = |kind: &str, id: &str, body: serde_json::Value| Entry {
        at,
        event: Event::Document { kind: kind.to_owned(), id: id.to_owned(), body },
    };
    let commit = |events: Vec<Entry>| Commit { events, ..Commit::default() };
    let first =
        vec![set("a", "1", json!({"x": 0.1})), set("a", "2", json!(2)), set("b", "1", json!("other"))];
    store.commit(commit(first)).await.unwrap();
    store.commit(commit(vec![set("a", "1", json!(3)), set("a", "3", json!(4))])).await.unwrap();
    let list =
        |ids: &[(&str, i64)]| ids.iter().map(|(id, v)| ((*id).to_owned(), json!(v))).collect::<Vec<_>>();
    assert_eq!(store.documents("a").await.unwrap(), list(&[("2", 2), ("1", 3), ("3", 4)]));
    store.commit(commit(vec![set("a", "2", json!(null)), set("c", "9", json!(null))])).await.unwrap();
    assert_eq!(store.documents("a").await.unwrap(), list(&[("1", 3), ("3", 4)]));
    assert_eq!(store.document("a", "2").await.unwrap(), None);
    assert_eq!(store.document("b", "1").await.unwrap(), Some(json!("other")));
    assert_eq!(store.documents("c").await.unwrap(), []);
    audited(&*store).await;
}

/// Events of the service are kept and chained, but aren't actions.
pub async fn the_services_own_events_are_no_action(home: &dyn Home) {
    let store = home.open().await;
    let at = home.clock().now();
    let event = Event::Service { what: "started".to_owned(), detail: json!({"pid": 1}) };
    let place = store.commit(Commit { events: vec![Entry { at, event }], ..Commit::default() }).await;
    assert_eq!(place, Ok(1));
    assert_eq!(store.histories(10, 0).await.unwrap(), (Vec::new(), 0));
    assert_eq!(store.actions(&Query { limit: 1, ..Query::default() }).await.unwrap().total, 0);
    audited(&*store).await;
}

/// Commits `count` ended actions from `first`, each with its parameters.
async fn ended_actions(store: &dyn Store, first: u64, count: u64, now: Timestamp) {
    for n in first..first + count {
        let mut draft = Draft::plan(n, now);
        draft.succeed(now);
        let params = payload(draft.id().as_str(), PayloadKind::Params, Keep::WithAction, b"exact");
        store.commit(Commit { payloads: vec![params], ..draft.commit() }).await.unwrap();
    }
}

/// Age: who ended before it goes, with history and payloads; who didn't stays whole.
pub async fn old_ended_actions_go_and_young_ones_stay(home: &dyn Home) {
    let store = home.open().await;
    let began = home.clock().now();
    ended_actions(&*store, 0, 5, began).await;
    home.clock().advance(AGE);
    let now = home.clock().now();
    ended_actions(&*store, 5, 3, now).await;
    let retention = Retention { age: AGE, ..Retention::default() };
    assert_eq!(store.sweep(retention, now).await.unwrap().actions, 0, "exactly as old as the age");
    home.clock().advance(DAY);
    let now = home.clock().now();
    let swept = store.sweep(retention, now).await.unwrap();
    assert_eq!((swept.actions, swept.records, swept.payloads), (5, 5, 5));
    for n in 0..8 {
        let draft = Draft::plan(n, began);
        let id = draft.id();
        let stays = n >= 5;
        assert_eq!(store.action(id).await.unwrap().is_some(), stays, "{n}");
        assert_eq!(store.history(id).await.unwrap().len(), if stays { 2 } else { 0 }, "{n}");
        let kept = store.payload(id.as_str(), PayloadKind::Params).await.unwrap();
        assert!(kept == if stays { Found::Bytes(b"exact".to_vec()) } else { Found::Expired }, "{n}");
    }
    assert_eq!(store.histories(10, 0).await.unwrap().1, 3);
    audited(&*store).await;
    ended_actions(&*store, 8, 1, now).await;
    audited(&*store).await;
    assert_eq!(store.sweep(retention, now).await.unwrap(), Default::default(), "nothing is left to drop");
}

/// No quota and no age drops what is still needed.
pub async fn unfinished_actions_and_standing_keys_stay(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut claimed = Draft::plan(0, now);
    claimed.succeed(now);
    let claim = claim_of(&claimed, "k", now);
    store.commit(Commit { claim: Some(claim.clone()), ..claimed.commit() }).await.unwrap();
    let mut running = Draft::plan(1, now);
    commit(&*store, &mut running).await;
    let nothing = Retention { age: Duration::ZERO, journal_bytes_max: 0, output_bytes_max: 0 };
    home.clock().advance(CLAIM_LIFE - Duration::from_secs(1));
    assert_eq!(store.sweep(nothing, home.clock().now()).await.unwrap(), Default::default());
    assert_eq!(store.claim("agent", "k", home.clock().now()).await.unwrap(), Some(claim));
    assert!(store.action(claimed.id()).await.unwrap().is_some());
    home.clock().advance(Duration::from_secs(1));
    let swept = store.sweep(nothing, home.clock().now()).await.unwrap();
    assert_eq!((swept.actions, swept.claims), (1, 1));
    assert_eq!(store.action(claimed.id()).await.unwrap(), None);
    assert_eq!(store.action(running.id()).await.unwrap(), Some(running.record.clone()));
    home.clock().advance(AGE);
    assert_eq!(store.sweep(nothing, home.clock().now()).await.unwrap().actions, 0);
    running.succeed(home.clock().now());
    commit(&*store, &mut running).await;
    audited(&*store).await;
    assert_eq!(store.sweep(nothing, home.clock().now()).await.unwrap().actions, 1);
    audited(&*store).await;
}

/// The quota drops the oldest first, and no more than it must by a step or so.
pub async fn the_oldest_ended_actions_go_for_the_quota(home: &dyn Home) {
    const ACTIONS: u64 = 1_200;
    let store = home.open().await;
    let now = home.clock().now();
    let mut tasks = Vec::new();
    for n in 0..ACTIONS {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut draft = Draft::plan(n, now);
            draft.succeed(now);
            let id = draft.id().clone();
            (store.commit(draft.commit()).await.unwrap(), id)
        }));
    }
    let mut places = Vec::new();
    for task in tasks {
        places.push(task.await.unwrap());
    }
    places.sort_unstable();
    let roomy = Retention::default();
    assert_eq!(store.sweep(roomy, now).await.unwrap().actions, 0);
    // About half of what 1,200 such actions take.
    let tight = Retention { journal_bytes_max: 2_400_000, ..roomy };
    let swept = store.sweep(tight, now).await.unwrap();
    assert!((1..ACTIONS).contains(&swept.actions), "{swept:?}");
    for (place, id) in places {
        let stays = place > swept.records;
        assert_eq!(store.action(&id).await.unwrap().is_some(), stays, "record {place}");
    }
    audited(&*store).await;
}

/// What was acknowledged is there after a restart, and the chain goes on.
pub async fn everything_survives_a_restart(home: &dyn Home) {
    let now = home.clock().now();
    let mut draft = Draft::plan(1, now);
    let owner = draft.id().as_str().to_owned();
    let store = home.open().await;
    let claim = claim_of(&draft, "k", now);
    let payloads = vec![payload(&owner, PayloadKind::Params, Keep::WithAction, b"exact")];
    store.commit(Commit { claim: Some(claim.clone()), payloads, ..draft.commit() }).await.unwrap();
    let set = Event::Document { kind: "d".to_owned(), id: "1".to_owned(), body: json!([1]) };
    store.commit(Commit { events: vec![Entry { at: now, event: set }], ..Commit::default() }).await.unwrap();
    let salt = store.salt().to_vec();
    store.close().await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(store.salt(), salt);
    assert_eq!(store.action(draft.id()).await.unwrap().as_ref(), Some(&draft.record));
    assert_eq!(store.unfinished().await.unwrap(), [draft.record.clone()]);
    assert_eq!(store.claim("agent", "k", now).await.unwrap(), Some(claim));
    assert!(store.payload(&owner, PayloadKind::Params).await.unwrap() == Found::Bytes(b"exact".to_vec()));
    assert_eq!(store.documents("d").await.unwrap(), [("1".to_owned(), json!([1]))]);
    draft.succeed(now);
    assert_eq!(commit(&*store, &mut draft).await, 3);
    assert_eq!(store.history(draft.id()).await.unwrap(), draft.history);
    audited(&*store).await;
}

/// Closing twice is closing once, and nothing works after it.
pub async fn a_closed_store_says_so(home: &dyn Home) {
    let store = home.open().await;
    let now = home.clock().now();
    let mut draft = Draft::plan(1, now);
    commit(&*store, &mut draft).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let id = ActionId::from("act_1");
    assert_eq!(store.commit(draft.succeed(now).commit()).await, Err(StoreError::Closed));
    assert_eq!(store.action(&id).await, Err(StoreError::Closed));
    assert_eq!(store.claim("a", "k", now).await, Err(StoreError::Closed));
    assert_eq!(store.sweep(Retention::default(), now).await, Err(StoreError::Closed));
    assert_eq!(store.audit().await, Err(StoreError::Closed));
    drop(store);
    // It let go of everything.
    let store = home.open().await;
    assert_eq!(store.unfinished().await.unwrap().len(), 1);
}

/// There is no record without an event.
pub async fn a_commit_without_events_is_refused(home: &dyn Home) {
    let store = home.open().await;
    assert!(store.commit(Commit::default()).await.is_err());
    let mut draft = Draft::plan(1, home.clock().now());
    assert_eq!(commit(&*store, &mut draft).await, 1);
}
