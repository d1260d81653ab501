//! The queue is bounded, and who doesn't fit is told at once.

use std::{
    future::{Future as _, poll_fn},
    task::Poll,
};

use steadyhand_core::{
    event::{Entry, Event},
    store::{Commit, Keep, Payload, PayloadKind, Store as _, StoreError},
    time::Clock as _,
};
use steadyhand_store::{COMMIT_BYTES_MAX, EVENTS_MAX, QUEUE_DEPTH_MAX};
use steadyhand_testkit::histories::Draft;

use crate::home::Folder;

#[tokio::test]
async fn a_full_queue_refuses_and_the_waiting_are_served() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    let event = Event::Service { what: "e".to_owned(), detail: serde_json::Value::Null };
    let commit = Commit { events: vec![Entry { at: now, event }], ..Commit::default() };
    // Another program holds the database, so that the writer waits with one group in its hands.
    let other = folder.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting: Vec<_> =
        (0..QUEUE_DEPTH_MAX + 1_024).map(|_| Box::pin(store.commit(commit.clone()))).collect();
    let (mut done, mut refused) = (0, 0);
    let mut count = |result: Result<u64, StoreError>| match result {
        Ok(_) => done += 1,
        Err(StoreError::Overloaded(_)) => refused += 1,
        Err(other) => panic!("{other}"),
    };
    // All ask before any is answered.
    poll_fn(|cx| {
        waiting.retain_mut(|commit| match commit.as_mut().poll(cx) {
            Poll::Ready(result) => {
                count(result);
                false
            }
            Poll::Pending => true,
        });
        Poll::Ready(())
    })
    .await;
    other.execute_batch("COMMIT").unwrap();
    for commit in waiting {
        count(commit.await);
    }
    assert!(done >= QUEUE_DEPTH_MAX && refused > 0, "{done} done, {refused} refused");
    assert_eq!(store.commit(commit).await, Ok(done as u64 + 1));
    assert_eq!(store.audit().await.unwrap().records, done as u64 + 1);
}

#[tokio::test]
async fn a_commit_beyond_the_bounds_is_refused() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let now = folder.clock.now();
    let mut draft = Draft::plan(1, now);
    let commit = draft.commit();
    let payload = Payload {
        owner: "a".to_owned(),
        kind: PayloadKind::Params,
        keep: Keep::WithAction,
        bytes: vec![0; COMMIT_BYTES_MAX + 1],
    };
    let large = Commit { payloads: vec![payload], ..commit.clone() };
    assert!(matches!(store.commit(large).await, Err(StoreError::Corrupt(_))));
    let many = vec![commit.events[0].clone(); EVENTS_MAX + 1];
    assert!(matches!(
        store.commit(Commit { events: many, ..commit.clone() }).await,
        Err(StoreError::Corrupt(_))
    ));
    assert_eq!(store.commit(commit).await, Ok(1));
}
