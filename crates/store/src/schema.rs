//! The database: how it is opened, its schema, and the schema's versions.

use std::{path::Path, time::Duration};

use refinery::error::Kind;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use crate::folder::{JOURNAL, OpenError};

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// How long a lock that another program holds is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages (4 KiB each) of the log after which the writer copies them into the database.
const CHECKPOINT_PAGES: u32 = 16_000;
/// Bytes that the log's file keeps after it was copied: about what it grows to, for a file that must grow
/// again is slower to sync.
const WAL_BYTES_KEPT: u32 = 64 << 20;
/// Statements kept prepared, per connection.
const STATEMENTS_KEPT: usize = 64;

/// Opens the one connection that writes, after bringing the schema up to date.
pub(crate) fn open_writer(folder: &Path) -> Result<Connection, OpenError> {
    let path = folder.join(JOURNAL);
    let fail = |e: rusqlite::Error| failure(&path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(&path, flags).map_err(fail)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.pragma_update(None, "journal_mode", "wal").map_err(fail)?;
    conn.pragma_update(None, "synchronous", "full").map_err(fail)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(fail)?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT).map_err(fail)?;
    conn.pragma_update(None, "cache_size", -8_192).map_err(fail)?;
    conn.pragma_update(None, "temp_store", "memory").map_err(fail)?;
    migrate(&mut conn, &path)?;
    Ok(conn)
}

/// Opens the connection that copies the log into the database. It never waits for a lock.
pub(crate) fn open_checkpointer(folder: &Path) -> Result<Connection, OpenError> {
    let path = folder.join(JOURNAL);
    let fail = |e: rusqlite::Error| failure(&path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&path, flags).map_err(fail)?;
    conn.pragma_update(None, "synchronous", "full").map_err(fail)?;
    conn.pragma_update(None, "cache_size", -256).map_err(fail)?;
    Ok(conn)
}

/// Opens a connection that only reads. Works beside a running writer.
pub(crate) fn open_reader(folder: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(folder.join(JOURNAL), flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.pragma_update(None, "cache_size", -1_024)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    Ok(conn)
}

fn migrate(conn: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let runner = migrations::migrations::runner();
    let known = runner.get_migrations().iter().map(|m| i64::from(m.version())).max().unwrap_or(0);
    match runner.run(conn) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            Kind::MissingVersion(found) => {
                let path = path.to_owned();
                OpenError::Newer { path, found: i64::from(found.version()), known }
            }
            _ => match std::error::Error::source(&error).and_then(|e| e.downcast_ref::<rusqlite::Error>()) {
                Some(cause) => failure(path, cause),
                None => OpenError::Corrupt { path: path.to_owned(), reason: error.to_string() },
            },
        }),
    }
}

/// What SQLite's refusal to open a database means.
pub(crate) fn failure(path: &Path, error: &rusqlite::Error) -> OpenError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => std::io::ErrorKind::StorageFull,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => std::io::ErrorKind::PermissionDenied,
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => std::io::ErrorKind::Other,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => std::io::ErrorKind::ResourceBusy,
        _ => return OpenError::Corrupt { path: path.to_owned(), reason: error.to_string() },
    };
    OpenError::Io { path: path.to_owned(), source: std::io::Error::new(kind, error.to_string()) }
}

/// The value of a `meta` row.
pub(crate) fn meta(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Sets a `meta` row.
pub(crate) fn set_meta(conn: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let put = "INSERT INTO meta (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.prepare_cached(put)?.execute([name, value])?;
    Ok(())
}
