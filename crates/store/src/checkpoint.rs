//! Copies the log into the database beside the writer.
//!
//! The writer copies what is left once the log is long, because only a log that is copied whole begins
//! anew; nobody gets an answer meanwhile. So this thread copies most of it before.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, ErrorCode};

use crate::{folder::OpenError, schema, writer::Shared};

/// Bytes that the writer takes in between two copies, as it counts them: what SQLite writes is a few times
/// that.
const COPY_EVERY_BYTES: usize = 2 << 20;

/// The thread that copies, and what it was last told.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// `None` once it is told to end.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    bytes: usize,
}

impl Checkpointer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the database can't be opened once more.
    pub(crate) fn start(folder: &Path, shared: Arc<Shared>) -> Result<Self, OpenError> {
        let conn = schema::open_checkpointer(folder)?;
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || run(&conn, &woken, &shared))
            .map_err(OpenError::io(folder))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), bytes: 0 })
    }

    /// The writer took in so many bytes more.
    pub(crate) fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= COPY_EVERY_BYTES
            && let Some(wake) = &self.wake
        {
            self.bytes = 0;
            // Full: it is awake already.
            let _ = wake.try_send(());
        }
    }

    /// Ends the thread, and waits for it.
    pub(crate) fn stop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // It can't panic; if it did, the writer copies everything itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(conn: &Connection, woken: &Receiver<()>, shared: &Shared) {
    while woken.recv().is_ok() {
        match conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            Ok(()) => {}
            // The writer is copying itself, or a full disk keeps both from it; the log holds everything.
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull)
                ) => {}
            // After a sync that failed nobody knows what is on the disk.
            Err(error) => {
                shared.failed.send_replace(Some(format!("the log can't be copied: {error}")));
                return;
            }
        }
    }
}
