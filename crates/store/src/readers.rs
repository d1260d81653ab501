//! Reading beside the writer: a few connections, each used by one reader at a time, off the runtime's
//! own threads.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use steadyhand_core::store::StoreError;
use tokio::sync::Semaphore;

use crate::{schema, trouble};

/// Connections that read, and those who wait for one.
#[derive(Debug)]
pub(crate) struct Readers {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// One permit per connection.
    turns: Arc<Semaphore>,
    /// One permit per reader that runs or waits.
    places: Semaphore,
    waiting_max: usize,
}

impl Readers {
    /// At most `connections` read at once; at most `waiting_max` run or wait.
    pub(crate) fn new(folder: PathBuf, connections: usize, waiting_max: usize) -> Arc<Self> {
        Arc::new(Self {
            folder,
            idle: Mutex::new(Vec::new()),
            turns: Arc::new(Semaphore::new(connections)),
            places: Semaphore::new(waiting_max),
            waiting_max,
        })
    }

    /// Runs `read` on a connection. Dropping the future doesn't stop a read that has begun.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`], [`StoreError::Closed`], a connection that can't be opened, or what
    /// `read` returns.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _place = self.places.try_acquire().map_err(|_| match self.places.is_closed() {
            true => StoreError::Closed,
            false => StoreError::Overloaded(self.waiting_max),
        })?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let this = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let conn = match this.take() {
                Some(conn) => conn,
                None => schema::open_reader(&this.folder).map_err(trouble::of_read)?,
            };
            let result = read(&conn);
            this.give_back(conn);
            result
        });
        done.await.map_err(trouble::of_read)?
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, conn: Connection) {
        if !self.turns.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
    }

    /// Lets nobody read any more, and waits for those who do.
    pub(crate) async fn close(&self, connections: usize) {
        self.places.close();
        let all = u32::try_from(connections).unwrap_or(u32::MAX);
        // Fails when somebody else closed already.
        let turns = self.turns.acquire_many(all).await;
        drop(turns);
        self.shut();
    }

    /// Lets nobody read any more.
    pub(crate) fn shut(&self) {
        self.places.close();
        self.turns.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
