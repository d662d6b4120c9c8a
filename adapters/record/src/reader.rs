//! Reader of recordings.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use seqlane::wire::varint;
use seqlane::{Client, Instant, Node};

use crate::MAGIC;
use crate::checksum::Checksum;
use crate::entry::{self, Entry};
use crate::error::{BadRecording, Problem};
use crate::head::{self, Head, Kind};
use crate::machine::Machine;
use crate::mask::Mask;

/// A recording of either machine.
#[derive(Debug)]
pub enum Recording {
    /// Of a client.
    Client(Box<Recorded<Client>>),
    /// Of a node.
    Node(Box<Recorded<Node>>),
}

/// The recording of one machine. Keys and secrets are stand-ins.
pub struct Recorded<M: Machine> {
    /// The options of the machine.
    pub options: M::Options,
    /// What makes its names: session ids, ids of clients, the name of a node.
    pub names: [u8; 32],
    /// The time at which the machine was made.
    pub start: Instant,
    /// The version of the program that wrote the recording.
    pub program: Box<str>,
    /// What happened.
    pub entries: Entries<M>,
}

/// The entries of a recording, in order. The last is its [end](Entry::End) or an error.
pub struct Entries<M> {
    file: Bytes,
    at: usize,
    read: u64,
    checksum: Checksum,
    mask: Mask,
    is_over: bool,
    machine: PhantomData<fn() -> M>,
}

impl Recording {
    /// Reads the head of a recording. The file is not trusted: every length is checked against what is there before
    /// memory is taken for it.
    ///
    /// # Errors
    /// [`BadRecording`] when the file is not a recording, or its head is invalid.
    pub fn read(file: Bytes) -> Result<Self, BadRecording> {
        let bad = |problem| BadRecording { at: 0, entries: 0, problem };
        let (line, at) = head_line(&file).map_err(bad)?;
        let kind: Kind<'_> = head::read(line).map_err(bad)?;
        match &*kind.machine {
            Client::NAME => Ok(Self::Client(Box::new(Recorded::read(line, &file, at).map_err(bad)?))),
            Node::NAME => Ok(Self::Node(Box::new(Recorded::read(line, &file, at).map_err(bad)?))),
            other => Err(bad(Problem::Head(format!("unknown machine {other:?}").into()))),
        }
    }
}

/// The line of the head, and the place where the entries begin.
fn head_line(file: &[u8]) -> Result<(&[u8], usize), Problem> {
    let rest = match file.strip_prefix(MAGIC.as_bytes()) {
        Some(rest) => rest,
        None if MAGIC.as_bytes().starts_with(file) => return Err(Problem::Cut),
        None if file.starts_with(b"seqlane-recording ") => return Err(Problem::Version),
        None => return Err(Problem::NoRecording),
    };
    let end = rest.iter().take(head::MAX_LEN).position(|byte| *byte == b'\n').ok_or(Problem::Cut)?;
    let at = MAGIC.len() + end + 1;
    Ok((&rest[..end], at))
}

impl<M: Machine> Recorded<M> {
    fn read(line: &[u8], file: &Bytes, at: usize) -> Result<Self, Problem> {
        let head: Head<'_, M::Options> = head::read(line)?;
        let (names, start, program) =
            (head.names, Instant::from_micros(head.start), head.program.as_ref().into());
        let options = head.options::<M>()?;
        // Invalid options are an error here, before anything is replayed.
        M::check(&options).map_err(Problem::Options)?;
        let mut checksum = Checksum::default();
        checksum.add(&file[..at]);
        let (file, mask) = (file.clone(), M::mask(&options));
        let entries = Entries { file, at, read: 0, checksum, mask, is_over: false, machine: PhantomData };
        Ok(Self { options, names, start, program, entries })
    }
}

impl<M: Machine> Entries<M> {
    fn entry(&mut self) -> Result<Entry<M::Event>, Problem> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        let (len, head) = varint::decode(rest).ok_or(Problem::Cut)?;
        let start = self.at + head;
        let len = usize::try_from(len).map_err(|_| Problem::Cut)?;
        let end = start.checked_add(len).filter(|end| *end <= self.file.len()).ok_or(Problem::Cut)?;
        let body = self.file.slice(start..end);
        let checksum = *self.file.get(end..).and_then(<[u8]>::first_chunk::<4>).ok_or(Problem::Cut)?;
        self.checksum.add(&body);
        if checksum != self.checksum.value() {
            return Err(Problem::Damaged);
        }
        let entry = entry::read::<M>(body, &mut self.mask)?;
        let after = end + checksum.len();
        if matches!(entry, Entry::End(_)) && after < self.file.len() {
            return Err(Problem::Trailing);
        }
        self.at = after;
        self.read += 1;
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

/// Names are not printed.
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
