//! The machine's end of a recording.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use seqlane::{Instant, Misuse};
use seqlane_record::Machine;
use tokio::sync::oneshot;
use tracing::warn;

use super::writer::Writer;

/// Messages that wait for the thread.
pub(super) const MAX_MESSAGES: usize = 16 * 1024;

/// Bytes of payload that wait for the thread, before the recording ends. One message more may hold on to its own.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How long stopping waits for what is left to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the machine's task gives to the thread.
pub(super) enum Message<M: Machine> {
    Begin(Instant),
    Event(Instant, M::Event),
    Refused(Misuse),
    Action(M::Action),
}

impl<M: Machine> Message<M> {
    /// Bytes of payload that it holds on to.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Begin(_) | Self::Refused(_) => 0,
            Self::Event(_, event) => M::event_weight(event),
            Self::Action(action) => M::action_weight(action),
        }
    }
}

/// What both ends know of the messages between them.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    is_lost: AtomicBool,
}

impl Backlog {
    /// A message has been taken out.
    pub(super) fn lighten(&self, weight: usize) {
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Whether there was a message that found no place.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }
}

/// Takes down what a machine does, for as long as the thread keeps up.
pub(crate) struct Tape<M: Machine> {
    /// None when the recording has ended.
    messages: Option<SyncSender<Message<M>>>,
    backlog: Arc<Backlog>,
}

/// The end of a recording: everything is in the file.
#[derive(Debug)]
pub(crate) struct Finished(oneshot::Receiver<()>);

impl Finished {
    /// Waits for it, but not for long. The machine must have gone.
    pub(crate) async fn wait(self) {
        if tokio::time::timeout(PATIENCE, self.0).await.is_err() {
            warn!("the recording could not be written to its end in time");
        }
    }
}

impl<M> Tape<M>
where
    M: Machine<Options: Send, Event: Send, Action: Send> + 'static,
{
    /// Creates the file, and starts the thread that writes it.
    pub(crate) fn start(path: &Path, options: M::Options, seed: [u8; 32]) -> io::Result<(Self, Finished)> {
        let (tape, writer) = Self::to(super::create(path)?);
        let (done, finished) = oneshot::channel();
        std::thread::Builder::new().name("seqlane-record".to_owned()).spawn(move || {
            writer.run(&options, seed);
            // Whoever no longer waits does not mind.
            let _ = done.send(());
        })?;
        warn!(
            file = %path.display(),
            "recording: the file will have everything in it that is carried; keys and secrets are left out"
        );
        Ok((tape, Finished(finished)))
    }
}

impl<M: Machine> Tape<M> {
    /// Both ends of a recording.
    pub(super) fn to(file: File) -> (Self, Writer<M>) {
        let (messages, received) = sync_channel(MAX_MESSAGES);
        let backlog = Arc::new(Backlog::default());
        let writer = Writer { file, messages: received, backlog: Arc::clone(&backlog) };
        (Self { messages: Some(messages), backlog }, writer)
    }

    pub(super) fn begin(&mut self, start: Instant) {
        self.put(Message::Begin(start));
    }

    pub(super) fn event(&mut self, now: Instant, event: M::Event) {
        self.put(Message::Event(now, event));
    }

    pub(super) fn refused(&mut self, misuse: Misuse) {
        self.put(Message::Refused(misuse));
    }

    pub(super) fn action(&mut self, action: M::Action) {
        self.put(Message::Action(action));
    }

    fn put(&mut self, message: Message<M>) {
        let Some(messages) = &self.messages else { return };
        let has_room = self.backlog.bytes.load(Ordering::Relaxed) < MAX_BYTES;
        self.backlog.bytes.fetch_add(message.weight(), Ordering::Relaxed);
        match has_room.then(|| messages.try_send(message)) {
            Some(Ok(())) => {}
            // The thread has said why.
            Some(Err(TrySendError::Disconnected(_))) => self.messages = None,
            None | Some(Err(TrySendError::Full(_))) => {
                warn!("the recording ends here: more happens than can be written down in time");
                self.backlog.is_lost.store(true, Ordering::Release);
                self.messages = None;
            }
        }
    }
}
