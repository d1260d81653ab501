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
    time::Duration,
};

/// Lines that may wait for the writer.
const QUEUE_MAX: usize = 8192;
/// How long a line may wait for others to be written with it: a writer that wakes for each line costs
/// more than the line.
const BATCH_EVERY: Duration = Duration::from_millis(20);
/// How long [`Sink::flush`] waits for the writer.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// A log file is set aside as `NAME.1` at this size, replacing the one before.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the writer is sent.
#[derive(Debug)]
enum Message {
    /// A line with its end.
    Line(Vec<u8>),
    /// Write what came before, then answer.
    Flush(SyncSender<()>),
}

/// Takes lines for one destination. Clones share it.
#[derive(Debug, Clone)]
pub struct Sink {
    lines: SyncSender<Message>,
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
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Message::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything handed over so far is written, or for a second. Blocks; for the end of a
    /// service only.
    pub fn flush(&self) {
        let (sender, receiver) = sync_channel(1);
        if self.lines.try_send(Message::Flush(sender)).is_ok() {
            // A writer that is gone or stuck has nothing more to say.
            let _ = receiver.recv_timeout(FLUSH_PATIENCE);
        }
    }

    /// Lines that were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn spawn(work: impl FnOnce(Receiver<Message>) + Send + 'static) -> Self {
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
fn drain(messages: &Receiver<Message>, out: &mut dyn Write) {
    let mut batch = Vec::new();
    while let Ok(first) = messages.recv() {
        batch.clear();
        let mut flushed = take(first, &mut batch);
        if flushed.is_none() {
            std::thread::sleep(BATCH_EVERY);
        }
        while flushed.is_none()
            && let Ok(next) = messages.try_recv()
        {
            flushed = take(next, &mut batch);
        }
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        if let Some(waiting) = flushed {
            let _ = waiting.try_send(());
        }
    }
}

/// Adds a line to the batch, or gives back who waits for it to be written.
fn take(message: Message, batch: &mut Vec<u8>) -> Option<SyncSender<()>> {
    match message {
        Message::Line(line) => {
            batch.extend_from_slice(&line);
            None
        }
        Message::Flush(waiting) => Some(waiting),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_returns_after_the_lines_before_it_are_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("log.jsonl");
        let sink = Sink::file(&path).unwrap();
        for n in 0..100 {
            sink.line(format!("{n}").into_bytes());
        }
        sink.flush();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), 100);
        assert_eq!(sink.dropped(), 0);
    }

    #[test]
    fn a_full_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, vec![b'x'; usize::try_from(FILE_BYTES_MAX).unwrap()]).unwrap();
        let sink = Sink::file(&path).unwrap();
        sink.line(b"new".to_vec());
        sink.flush();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(std::fs::metadata(folder.path().join("log.jsonl.1")).unwrap().len(), FILE_BYTES_MAX);
    }
}
