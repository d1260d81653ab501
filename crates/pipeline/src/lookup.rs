//! Looking at actions: the live record where there is one, the journal's otherwise.

use std::sync::Arc;

use serde_json::{Map, Value};
use steadyhand_core::{
    action::ActionRecord,
    id::ActionId,
    store::{Found, Page, PayloadKind, Query, StoreError},
};

use crate::{Inner, Pipeline, draft::Draft, execute::new_attempt, look};

/// The exact parameters of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Exact {
    /// They are kept.
    Params(Map<String, Value>),
    /// Retention dropped them.
    Expired,
}

impl Pipeline {
    /// One action's record.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn get(&self, id: &ActionId) -> Result<Option<Arc<ActionRecord>>, StoreError> {
        if let Some(record) = self.inner.live.get(id) {
            return Ok(Some(record));
        }
        Ok(self.inner.parts.store.action(id).await?.map(Arc::new))
    }

    /// A page of actions, newest first.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.inner.parts.store.actions(query).await
    }

    /// Why an action that waits for approval would fail if it ran now, as far as a look can tell: for the
    /// person who decides.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn obstacle(&self, record: &ActionRecord) -> Result<Option<String>, StoreError> {
        let Exact::Params(params) = self.exact_params(record).await? else { return Ok(None) };
        let capability = self.inner.parts.registry.get(&record.intent).cloned();
        if capability.as_ref().is_none_or(|c| !c.implemented) {
            return Ok(Some("this build can't run it".to_owned()));
        }
        let draft = Draft::resume(record.clone(), capability, params);
        let looked = look::prepare(&self.inner, &new_attempt(&self.inner, &draft)).await;
        Ok(looked.err().map(|failure| failure.message))
    }

    /// An action's exact parameters, for the person who decides and for an undo.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn exact_params(&self, record: &ActionRecord) -> Result<Exact, StoreError> {
        self.inner.exact_params(record).await
    }
}

impl Inner {
    pub(crate) async fn exact_params(&self, record: &ActionRecord) -> Result<Exact, StoreError> {
        let value = if record.params_exact {
            record.params.clone()
        } else {
            match self.parts.store.payload(record.action_id.as_str(), PayloadKind::Params).await? {
                Found::Bytes(bytes) => serde_json::from_slice(&bytes)
                    .map_err(|e| StoreError::Corrupt(format!("parameters of {}: {e}", record.action_id)))?,
                Found::Expired | Found::Never => return Ok(Exact::Expired),
            }
        };
        match value {
            Value::Object(params) => Ok(Exact::Params(params)),
            _ => Err(StoreError::Corrupt(format!("parameters of {} are no object", record.action_id))),
        }
    }
}
