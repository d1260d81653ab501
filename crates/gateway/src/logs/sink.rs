//! Where lines go: a bounded queue, drained by a thread that writes in batches. When the queue is full,
//! lines are dropped and counted; a request never waits for a log.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

/// Lines that may wait for the writer.
const QUEUE_MAX: usize = 8192;
/// A log file is set aside as `NAME.1` at this size, replacing the one before.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Takes lines for one destination. Clones share it.
#[derive(Debug, Clone)]
pub struct Sink {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::spawn(|lines| drain(&lines, &mut io::stdout()))
    }

    /// Nowhere, for a service whose output nobody reads.
    #[must_use]
    pub fn discard() -> Self {
        Self::spawn(|lines| drain(&lines, &mut io::sink()))
    }

    /// A file that is appended to and set aside when it grows too large.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn file(path: &Path) -> io::Result<Self> {
        let mut file = Rotating::open(path)?;
        Ok(Self::spawn(move |lines| drain(&lines, &mut file)))
    }

    /// Hands over one line, without its end.
    pub fn line(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn spawn(work: impl FnOnce(Receiver<Vec<u8>>) + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let name = "steadyhand-log".to_owned();
        // Without a thread the receiver is gone, and every line is dropped: logs never fail a request.
        if let Err(error) = std::thread::Builder::new().name(name).spawn(move || work(receiver)) {
            tracing::warn!(%error, "a log writer could not be started");
        }
        Self { lines: sender, dropped: Arc::default() }
    }
}

/// Writes until all senders are gone. A destination that fails loses lines, not the service.
fn drain(lines: &Receiver<Vec<u8>>, out: &mut dyn Write) {
    let mut batch = Vec::new();
    while let Ok(first) = lines.recv() {
        batch.clear();
        batch.extend_from_slice(&first);
        while let Ok(next) = lines.try_recv() {
            batch.extend_from_slice(&next);
        }
        let _ = out.write_all(&batch).and_then(|()| out.flush());
    }
}

struct Rotating {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Rotating {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes })
    }
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes >= FILE_BYTES_MAX {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            std::fs::rename(&self.path, aside)?;
            *self = Self::open(&self.path.clone())?;
        }
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
