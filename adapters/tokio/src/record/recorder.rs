//! The recorder: the end of a recording at the machine.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use seqlane::{Instant, Misuse};
use seqlane_record::Machine;
use tokio::sync::oneshot;
use tracing::warn;

use super::queue::{Backlog, MAX_MESSAGES, Message};
use super::writer::Writer;

/// The longest wait for the end of the file when stopping.
const FINISH_DEADLINE: Duration = Duration::from_secs(5);

/// Records the events and actions of a machine, for as long as the thread keeps up.
pub(crate) struct Recorder<M: Machine> {
    /// None when the recording has ended.
    messages: Option<SyncSender<Message<M>>>,
    backlog: Arc<Backlog>,
}

/// The end of a recording, when everything is in the file.
#[derive(Debug)]
pub(crate) struct Finished(oneshot::Receiver<()>);

impl Finished {
    /// Waits up to 5 s for it. The machine must have been dropped.
    pub(crate) async fn wait(self) {
        if tokio::time::timeout(FINISH_DEADLINE, self.0).await.is_err() {
            warn!("the recording was not written completely in time");
        }
    }
}

impl<M> Recorder<M>
where
    M: Machine<Options: Send, Event: Send, Action: Send> + 'static,
{
    /// Creates the file, and starts the thread that writes it.
    pub(crate) fn start(path: &Path, options: M::Options, names: [u8; 32]) -> io::Result<(Self, Finished)> {
        let (recorder, writer) = Self::to(super::create(path)?);
        let (done, finished) = oneshot::channel();
        std::thread::Builder::new().name("seqlane-record".to_owned()).spawn(move || {
            writer.run(&options, names);
            // Nobody need wait.
            let _ = done.send(());
        })?;
        warn!(
            file = %path.display(),
            "recording everything: the file holds all traffic in clear text; keys and secrets are left out"
        );
        Ok((recorder, Finished(finished)))
    }
}

impl<M: Machine> Recorder<M> {
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
        let has_room = self.backlog.add(message.weight());
        match has_room.then(|| messages.try_send(message)) {
            Some(Ok(())) => {}
            // The thread has logged the reason.
            Some(Err(TrySendError::Disconnected(_))) => self.messages = None,
            None | Some(Err(TrySendError::Full(_))) => {
                warn!("the recording ends here: events come faster than they can be written");
                self.backlog.lose();
                self.messages = None;
            }
        }
    }
}
