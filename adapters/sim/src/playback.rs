//! Replay of recordings that were made on real sockets: the same machine takes the same events, and its actions are
//! compared.
//!
//! ```text
//!  seqlane --record FILE ──▶ Recording ── events, at their times ──▶ Client or Node
//!                                └─ actions, as they were ─▶ compared ◀─ actions, as they are now
//! ```

use std::time::Duration;

use bytes::Bytes;
use seqlane::Instant;
use seqlane_record::{BadRecording, Ending, Entry, MAGIC, Machine, Mask, Problem, Recorded, Recording};

use crate::guard::guarded;

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playback {
    /// Which machine was recorded: `client` or `node`.
    pub machine: &'static str,
    /// The version of the program that recorded it.
    pub program: Box<str>,
    /// Events that were handed in.
    pub events: u64,
    /// Actions that were compared.
    pub actions: u64,
    /// From the start of the machine to the last event.
    pub time: Duration,
    /// How it ended.
    pub end: End,
}

/// How a replay ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The machine did all that was recorded, and nothing else.
    Same(Ending),
    /// It did something else.
    Differs(Difference),
    /// It did all that was recorded, as far as that can be read.
    Broken(BadRecording),
}

/// The first difference between what was recorded and what happens now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The event that it follows, counted from 1; 0 before the first.
    pub event: u64,
    /// When that event came, since the start of the machine.
    pub time: Duration,
    /// That event, without its payload.
    pub after: String,
    /// What was recorded.
    pub expected: String,
    /// What happens now.
    pub got: String,
}

/// One entry of a recording, as it is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayedEntry<'a> {
    /// Its number, counted from 0.
    pub entry: u64,
    /// When, since the start of the machine.
    pub time: Duration,
    /// `event`, `refused`, `action` or `end`.
    pub kind: &'static str,
    /// The entry in words, without any payload.
    pub text: &'a str,
}

/// Whether a file is a recording, or was meant to be one of some version.
pub fn is_recording(file: &[u8]) -> bool {
    let name = MAGIC.split_inclusive(' ').next().unwrap_or(MAGIC);
    file.starts_with(name.as_bytes())
}

/// Drives the recorded machine again, up to the first difference.
///
/// # Errors
/// [`BadRecording`] when the file is no recording, or its head cannot be used.
pub fn play(file: Bytes) -> Result<Playback, BadRecording> {
    play_to(file, |_| {})
}

/// The same, and tells every entry before it is compared.
///
/// # Errors
/// Those of [`play`].
pub fn play_to(file: Bytes, watch: impl FnMut(ReplayedEntry<'_>)) -> Result<Playback, BadRecording> {
    match Recording::read(file)? {
        Recording::Client(recorded) => drive(*recorded, watch),
        Recording::Node(recorded) => drive(*recorded, watch),
    }
}

/// The machine, and where it has got to.
struct Player<M: Machine> {
    machine: M,
    mask: Mask,
    start: Instant,
    /// The refusal of the last event, until it is compared.
    refused: Option<String>,
    events: u64,
    actions: u64,
    time: Duration,
    after: String,
}

fn drive<M: Machine>(
    recorded: Recorded<M>,
    mut watch: impl FnMut(ReplayedEntry<'_>),
) -> Result<Playback, BadRecording> {
    let Recorded { options, names, start, program, entries } = recorded;
    let mask = M::mask(&options);
    let bad = |error| BadRecording { at: 0, entries: 0, problem: Problem::Options(error) };
    let machine = M::start(options, names, start).map_err(bad)?;
    let (time, after) = (Duration::ZERO, "the start".to_owned());
    let mut player = Player { machine, mask, start, refused: None, events: 0, actions: 0, time, after };
    let mut end = None;
    for (number, entry) in (0..).zip(entries) {
        let step = entry.map_err(End::Broken).and_then(|entry| {
            let (kind, text) = told::<M>(&entry);
            let time = player.time_of(&entry);
            watch(ReplayedEntry { entry: number, time, kind, text: &text });
            guarded(|| player.step(entry, &text)).unwrap_or_else(|panic| {
                Err(player.differs("no panic".to_owned(), format!("a panic: {panic}")))
            })
        });
        if let Err(ended) = step {
            end = Some(ended);
            break;
        }
    }
    let Player { events, actions, time, .. } = player;
    // The last entry that a reader gives is an end or an error.
    let end = end.unwrap_or(End::Same(Ending::Stopped));
    Ok(Playback { machine: M::NAME, program, events, actions, time, end })
}

/// The kind of an entry, and the entry in words.
fn told<M: Machine>(entry: &Entry<M::Event>) -> (&'static str, String) {
    match entry {
        Entry::Event { event, .. } => ("event", format!("{event:?}")),
        Entry::Refused(why) => ("refused", why.to_string()),
        Entry::Action(told) => ("action", told.to_string()),
        Entry::End(ending) => ("end", ending.to_string()),
    }
}

impl<M: Machine> Player<M> {
    fn time_of(&self, entry: &Entry<M::Event>) -> Duration {
        match entry {
            Entry::Event { now, .. } => now.saturating_since(self.start),
            Entry::Refused(_) | Entry::Action(_) | Entry::End(_) => self.time,
        }
    }

    fn step(&mut self, entry: Entry<M::Event>, text: &str) -> Result<(), End> {
        self.time = self.time_of(&entry);
        let taken = "the event is taken".to_owned();
        let refused = self.refused.take().map(|why| format!("the event is refused: {why}"));
        if let (Some(got), false) = (&refused, matches!(entry, Entry::Refused(_))) {
            return Err(self.differs(taken, got.clone()));
        }
        match entry {
            Entry::Event { now, event } => {
                self.events += 1;
                text.clone_into(&mut self.after);
                self.refused = self.machine.handle(now, event).err().map(|misuse| misuse.to_string());
                Ok(())
            }
            Entry::Refused(why) => {
                self.compare(format!("the event is refused: {why}"), refused.unwrap_or(taken))
            }
            Entry::Action(expected) => {
                self.actions += 1;
                let got = M::record_action(&self.machine.poll(), &self.mask);
                self.compare(expected.to_string(), got.to_string())
            }
            Entry::End(ending) => Err(End::Same(ending)),
        }
    }

    fn compare(&self, expected: String, got: String) -> Result<(), End> {
        if got == expected { Ok(()) } else { Err(self.differs(expected, got)) }
    }

    fn differs(&self, expected: String, got: String) -> End {
        let (event, time, after) = (self.events, self.time, self.after.clone());
        End::Differs(Difference { event, time, after, expected, got })
    }
}

#[cfg(test)]
mod tests;
