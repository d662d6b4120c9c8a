//! Reading a recording.

use alloc::boxed::Box;
use core::fmt;
use core::marker::PhantomData;

use bytes::Bytes;

use super::MAGIC;
use super::check::Check;
use super::entry::{self, Entry};
use super::error::{BadRecording, Problem};
use super::head::{self, Head, Kind};
use super::machine::Machine;
use super::mask::Mask;
use crate::client::Client;
use crate::node::Node;
use crate::time::Instant;
use crate::wire::varint;

/// A recording of either machine.
#[derive(Debug)]
pub enum Recording {
    /// Of a client.
    Client(Box<Recorded<Client>>),
    /// Of a node.
    Node(Box<Recorded<Node>>),
}

/// What was recorded of a machine. Keys and secrets are stand-ins.
pub struct Recorded<M: Machine> {
    /// The options that it was made with.
    pub options: M::Options,
    /// Its seed.
    pub seed: [u8; 32],
    /// When it was made.
    pub start: Instant,
    /// The version of the program that wrote the recording.
    pub program: Box<str>,
    /// What happened then.
    pub entries: Entries<M>,
}

/// The entries of a recording, in order. The last is its [end](Entry::End), or an error; nothing follows either.
pub struct Entries<M> {
    file: Bytes,
    at: usize,
    read: u64,
    check: Check,
    mask: Mask,
    is_over: bool,
    machine: PhantomData<fn() -> M>,
}

impl Recording {
    /// Reads the head of a recording. Nothing in it is believed: a length is no longer than the file, and memory is
    /// taken for what is there.
    ///
    /// # Errors
    /// [`BadRecording`] when the file is no recording, or its head cannot be used.
    pub fn read(file: Bytes) -> Result<Self, BadRecording> {
        let bad = |problem| BadRecording { at: 0, entries: 0, problem };
        let (line, at) = head_line(&file).map_err(bad)?;
        let kind: Kind<'_> = head::read(line).map_err(bad)?;
        match &*kind.machine {
            Client::NAME => Ok(Self::Client(Box::new(Recorded::read(line, &file, at).map_err(bad)?))),
            Node::NAME => Ok(Self::Node(Box::new(Recorded::read(line, &file, at).map_err(bad)?))),
            other => Err(bad(Problem::Head(alloc::format!("no machine has the name {other:?}").into()))),
        }
    }
}

/// The line that has the head, and where the entries begin.
fn head_line(file: &[u8]) -> Result<(&[u8], usize), Problem> {
    let rest = match file.strip_prefix(MAGIC.as_bytes()) {
        Some(rest) => rest,
        None if MAGIC.as_bytes().starts_with(file) => return Err(Problem::Cut),
        None if file.starts_with(b"seqlane-recording ") => return Err(Problem::Version),
        None => return Err(Problem::NoRecording),
    };
    let end = rest.iter().take(head::MAX_LEN).position(|byte| *byte == b'\n').ok_or(Problem::Cut)?;
    let at = MAGIC.len().saturating_add(end).saturating_add(1);
    Ok((rest.get(..end).unwrap_or_default(), at))
}

impl<M: Machine> Recorded<M> {
    fn read(line: &[u8], file: &Bytes, at: usize) -> Result<Self, Problem> {
        let head: Head<'_, M::Options> = head::read(line)?;
        // Said here, before anybody has driven half of the recording.
        M::start(head.options.clone(), head.seed, Instant::ZERO).map_err(Problem::Options)?;
        let mut check = Check::default();
        check.take_in(file.get(..at).unwrap_or_default());
        let (file, mask) = (file.clone(), M::mask(&head.options));
        Ok(Self {
            options: head.options,
            seed: head.seed,
            start: Instant::from_micros(head.start),
            program: head.program.into(),
            entries: Entries { file, at, read: 0, check, mask, is_over: false, machine: PhantomData },
        })
    }
}

impl<M: Machine> Entries<M> {
    fn entry(&mut self) -> Result<Entry<M::Event>, Problem> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        let (len, head) = varint::decode(rest).ok_or(Problem::Cut)?;
        let start = self.at.saturating_add(head);
        let len = usize::try_from(len).map_err(|_| Problem::Cut)?;
        let end = start.checked_add(len).filter(|end| *end <= self.file.len()).ok_or(Problem::Cut)?;
        let body = self.file.slice(start..end);
        let check = self.file.get(end..).and_then(<[u8]>::first_chunk::<4>).ok_or(Problem::Cut)?;
        self.check.take_in(&body);
        if *check != self.check.value() {
            return Err(Problem::Damaged);
        }
        let entry = entry::read::<M>(&body, &self.mask)?;
        let after = end.saturating_add(check.len());
        if matches!(entry, Entry::End(_)) && after < self.file.len() {
            return Err(Problem::Trailing);
        }
        self.at = after;
        self.read = self.read.saturating_add(1);
        Ok(entry)
    }
}

impl<M: Machine> Iterator for Entries<M> {
    type Item = Result<Entry<M::Event>, BadRecording>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let bad = BadRecording { at: self.at, entries: self.read, problem: Problem::Cut };
        let entry = self.entry().map_err(|problem| BadRecording { problem, ..bad });
        self.is_over = matches!(entry, Err(_) | Ok(Entry::End(_)));
        Some(entry)
    }
}

/// The seed is left out.
impl<M: Machine> fmt::Debug for Recorded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, start, program, .. } = self;
        f.debug_struct("Recorded")
            .field("options", options)
            .field("start", start)
            .field("program", program)
            .finish_non_exhaustive()
    }
}

impl<M: Machine> fmt::Debug for Entries<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("at", &self.at).field("read", &self.read).finish_non_exhaustive()
    }
}
