//! The journal: every fact is durable here before anybody hears of it, and everything else that is
//! asked of actions is a projection of it.
//!
//! Never here: decisions about actions, wire formats, the system's clock or randomness, logging, and
//! secrets in plain text on the disk. What an action means is told by its events; the store folds and
//! keeps them.

mod audit;
mod body;
mod chain;
mod checkpoint;
mod folder;
mod heads;
mod keys;
mod place;
mod projection;
mod prune;
mod query;
mod readers;
mod rebuild;
mod schema;
mod seal;
mod sqlite;
mod trouble;
mod writer;

pub use audit::Auditor;
pub use folder::OpenError;
pub use sqlite::{
    COMMIT_BYTES_MAX, EVENTS_MAX, Options, QUEUE_BYTES_MAX, QUEUE_DEPTH_MAX, READS_WAITING_MAX, SqliteStore,
};
