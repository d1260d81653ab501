//! Laws that hold for any history: the projections are the replay of the records.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;
use steadyhand_core::{
    action::ActionRecord,
    event::Event,
    id::ActionId,
    store::{Commit, Query, Store as _},
    time::Clock as _,
};
use steadyhand_testkit::histories::{Draft, EVENT_KINDS, any_event};

use crate::home::Folder;

/// One commit: which action it belongs to, its events, and whether it brings its record.
type Step = (u64, Vec<(u8, u64)>, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0..EVENT_KINDS, any::<u64>());
    prop::collection::vec((0..5_u64, prop::collection::vec(event, 1..4), any::<bool>()), 1..24)
}

async fn projections(
    store: &steadyhand_store::SqliteStore,
) -> (Vec<ActionRecord>, Vec<ActionRecord>, String) {
    let page = store.actions(&Query { limit: 500, ..Query::default() }).await.unwrap();
    let documents = store.documents("token").await.unwrap();
    (page.records, store.unfinished().await.unwrap(), format!("{documents:?}"))
}

async fn holds(steps: Vec<Step>) {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let mut drafts: HashMap<u64, Draft> = HashMap::new();
    for (n, events, with_record) in steps {
        folder.clock.advance(Duration::from_millis(3));
        let now = folder.clock.now();
        let draft = drafts.entry(n).or_insert_with(|| Draft::plan(n, now));
        for (kind, m) in events {
            draft.push(now, any_event(kind, m, now));
        }
        let commit = draft.commit();
        let record = commit.record.clone().filter(|_| with_record);
        store.commit(Commit { record, ..commit }).await.unwrap();
    }
    for draft in drafts.values() {
        let history = store.history(draft.id()).await.unwrap();
        assert_eq!(history, draft.history);
        assert_eq!(ActionRecord::replay(&history).as_ref(), Some(&draft.record));
        assert_eq!(store.action(draft.id()).await.unwrap().as_ref(), Some(&draft.record));
    }
    let live = projections(&store).await;
    store.rebuild().await.unwrap();
    assert_eq!(projections(&store).await, live);
    for draft in drafts.values() {
        assert_eq!(store.history(draft.id()).await.unwrap(), draft.history, "after the rebuild");
    }
    let report = store.audit().await.unwrap();
    assert!(report.ok, "{:?}", report.problems);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_replays_to_the_same_projections(steps in steps()) {
        tokio::runtime::Runtime::new().unwrap().block_on(holds(steps));
    }

    /// Nothing that a caller can put into a text or a number makes a record that can't be read back.
    #[test]
    fn any_text_survives(texts in prop::collection::vec(any::<String>(), 1..8), number in any::<f64>()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let folder = Folder::new();
            let store = folder.open().unwrap();
            let at = folder.clock.now();
            let detail = serde_json::json!({ "texts": texts, "number": number });
            let event = Event::Service { what: texts[0].clone(), detail };
            let action = ActionId(texts[0].clone());
            let mut draft = Draft::plan_as(0, at, |planned| planned.action_id = action.clone());
            store.commit(draft.commit()).await.unwrap();
            draft.push(at, event);
            store.commit(draft.commit()).await.unwrap();
            assert_eq!(store.history(&action).await.unwrap(), draft.history);
        });
    }
}
