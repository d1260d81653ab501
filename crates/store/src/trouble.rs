//! What SQLite's errors mean for those who wait.

use rusqlite::{Error, ErrorCode};
use steadyhand_core::store::StoreError;

/// What an error during a write means for the commits of the transaction, none of which is kept.
pub(crate) fn of_write(error: &Error, waiting: usize) -> StoreError {
    // Only a fold of stored events reads during a write; what it can't read harms nobody else.
    if let Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) = error {
        return of_read(error);
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        // Another program holds the database's lock for longer than we wait.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Overloaded(waiting),
        _ => StoreError::Fatal(error.to_string()),
    }
}

/// What an error of the heads file means. Running out of space there leaves the heads behind for a while.
pub(crate) fn of_heads(error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::DiskFull,
        _ => StoreError::Fatal(format!("the heads file: {error}")),
    }
}

/// What an error during a read means: something can't be read.
pub(crate) fn of_read(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
