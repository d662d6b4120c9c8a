//! Bugs planted on purpose: they prove that the simulator finds what it should.
//!
//! Only with the feature `planted`, which nothing but the simulator's own tests turns on. Each bug is one
//! condition in the machines, `planted!(Name)`; without the feature that is the constant `false`. At most one
//! bug is on at a time, for the whole process.

use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// The place of the bug that is on in [`Bug::ALL`], from 1; 0 when none is.
static ON: AtomicU8 = AtomicU8::new(0);

/// State that a machine must not have: it outlives the machine, and all machines share it.
static AMBIENT: AtomicUsize = AtomicUsize::new(0);

macro_rules! bugs {
    ($($area:ident { $($name:ident = $id:literal, $text:literal;)* })*) => {
        /// A bug that can be switched on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $text] $name,)*)*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// The name in tables and on the command line.
            pub const fn id(self) -> &'static str {
                match self { $($(Self::$name => $id,)*)* }
            }

            /// What goes wrong, in one line.
            pub const fn text(self) -> &'static str {
                match self { $($(Self::$name => $text,)*)* }
            }

            /// The part of the protocol that it is in.
            pub const fn area(self) -> Area {
                match self { $($(Self::$name => Area::$area,)*)* }
            }
        }
    };
}

bugs! {
    Sequence {
        SeqReused = "seq-reused", "with three ops in flight, a number is given twice";
        SeqRenumbered = "seq-renumbered", "an op that goes again gets a new number";
        OldRunsAgain = "old-runs-again", "an op whose number has passed runs once more";
        OldPollDrains = "old-poll-drains", "a poll whose number has passed is answered like a new one";
        ExpectedTwice = "expected-twice", "an op that is refused as old uses up a number";
    }
    Reorder {
        ArrivalOrder = "arrival-order", "replies are delivered in the order of their arrival";
        FullRefusesExpected = "full-refuses-expected", "a full reorder queue refuses the op that is expected";
        ReorderKeepsBytes = "reorder-keeps-bytes", "what leaves the reorder queue still counts as waiting";
    }
    Turn {
        TurnKept = "turn-kept", "an op that is answered empty keeps the turn";
        PollBlocksPayload = "poll-blocks-payload", "a poll is held although a payload of its session waits";
        PollsQueue = "polls-queue", "a later poll does not take the place of an earlier op";
        BlockedHoldsBatch = "blocked-holds-batch", "in a batch that a full write queue holds, nothing is released";
    }
    Close {
        CloseFirst = "close-first", "[data, close] closes before it writes and drains";
        LingerSkipped = "linger-skipped", "an upstream is shut before it has taken its last bytes";
        UpstreamLeft = "upstream-left", "the upstream of a closed session is left open";
        CloseUnsaid = "close-unsaid", "the node is not told of a flow that its application has reset";
    }
    Eof {
        EofWithTail = "eof-with-tail", "the end is told although bytes remain";
        CutLooksEnded = "cut-looks-ended", "a reset upstream looks like an orderly end";
        FinAfterLoss = "fin-after-loss", "a flow whose exchange was lost gets FIN instead of a reset";
    }
    Budget {
        RefundForgotten = "refund-forgotten", "what a full drain took is not given back to the credit";
        DrainUnbounded = "drain-unbounded", "the drains of a batch do not share one bound";
        CreditTwice = "credit-twice", "an answered op gives its bytes back twice";
    }
    Negotiation {
        CapsAssumed = "caps-assumed", "a session speaks the highest level that any node has offered";
        CapsBoasted = "caps-boasted", "a node offers a level that it does not speak";
    }
    HalfClose {
        HalfClosedMute = "half-closed-mute", "a half-closed session stops polling";
        HalfCloseHasty = "half-close-hasty", "downlink does not prolong the life of a half-closed session";
    }
    Hold {
        HoldEndless = "hold-endless", "a poll that brings nothing is held for ever";
        SettleEndless = "settle-endless", "the settle goes on as long as there are bytes";
    }
    Timer {
        WakeNow = "wake-now", "a wake time is named that has come already";
        SeqWaitEndless = "seq-wait-endless", "an op waits for ever for the one before it";
        UnsentWaits = "unsent-waits", "ops that no relay takes wait for ever";
    }
    Fallback {
        FirstBytesLost = "first-bytes-lost", "the first bytes are lost when connect_data is not known";
        FirstBytesStay = "first-bytes-stay", "first bytes never ride with their open";
    }
    Accounting {
        GarbageKeepsPlace = "garbage-keeps-place", "a call that brings garbage keeps its place at the relay";
        AnsweredTwice = "answered-twice", "a request with two ops is answered twice";
    }
    Loss {
        SilentGap = "silent-gap", "a lost reply counts as an empty one";
        LostResent = "lost-resent", "an op that the node may have run is sent again";
        UnknownLives = "unknown-lives", "a session that the node does not know looks alive and quiet";
        ResentTwice = "resent-twice", "an op that was not sent is sent again, and kept to be sent once more";
    }
    Datagram {
        DatagramStays = "datagram-stays", "a datagram that was fetched can be fetched again";
    }
    Unreachable {
        UnreachableEver = "unreachable-ever", "a target that was unreachable once stays so";
    }
    Backoff {
        RefusedAtOnce = "refused-at-once", "a relay that refuses is called again at once";
        BackoffGrows = "backoff-grows", "a success does not end the growth of the pauses";
    }
    Quota {
        OneCallMore = "one-call-more", "one call more than the daily budget is spent";
        NeverRenewed = "never-renewed", "a daily budget does not start anew";
    }
    Polling {
        PollsSpin = "polls-spin", "polls that nobody holds follow each other without a pause";
        CallsCrowd = "calls-crowd", "a relay gets one call more at a time than it takes";
    }
    Fairness {
        LastFirst = "last-first", "the flow that sent last goes first";
    }
    Contract {
        IdleTooSoon = "idle-too-soon", "an idle poll has something to say when it is asked again";
        Overfull = "overfull", "a batch takes one op more than allowed";
        SecretShown = "secret-shown", "a debug print shows the key";
        PanicsOnFin = "panics-on-fin", "the client panics when an application finishes";
    }
    Streams {
        DoneOnNaming = "done-on-naming", "an exchange counts as done as soon as a RESEND names it";
        HelloAnew = "hello-anew", "a hello that comes again makes another epoch";
        CopyRefilled = "copy-refilled", "a copy of a held exchange is answered by itself, and the first with something else";
        NamedRefilled = "named-refilled", "an exchange that a RESEND has named is given new content";
        DatagramAgain = "datagram-again", "a datagram is taken from every copy of its request";
        ResetForgotten = "reset-forgotten", "a RESET that comes before its OPEN is forgotten";
        FarewellOnce = "farewell-once", "the last word about a stream is said once, and not again when it was lost";
        SilentReturn = "silent-return", "a client that was silent for long opens a stream without a hello";
        ProbeCarries = "probe-carries", "a probe carries frames, and asks for answers again";
        OwesAsleep = "owes-asleep", "a client without streams sleeps for ever, though it owes the node a word";
    }
    Determinism {
        SeedAmbient = "seed-ambient", "a new client depends on how many there were before";
        TimeAmbient = "time-ambient", "a wait depends on what other clients did";
    }
}

/// A part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are those of the parts")]
pub enum Area {
    Sequence,
    Reorder,
    Turn,
    Close,
    Eof,
    Budget,
    Negotiation,
    HalfClose,
    Hold,
    Timer,
    Fallback,
    Accounting,
    Loss,
    Datagram,
    Unreachable,
    Backoff,
    Quota,
    Polling,
    Fairness,
    Contract,
    Streams,
    Determinism,
}

impl Bug {
    const fn mark(self) -> u8 {
        (self as u8).saturating_add(1)
    }

    /// Switches this bug on, and any other off.
    pub fn plant(self) {
        ON.store(self.mark(), Ordering::Relaxed);
    }

    /// Switches every bug off.
    pub fn weed() {
        ON.store(0, Ordering::Relaxed);
    }

    /// Whether this bug is on.
    pub fn is_on(self) -> bool {
        ON.load(Ordering::Relaxed) == self.mark()
    }

    /// The bug with this name.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.id() == id)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A number that no machine should know: how often it was asked for.
pub(crate) fn ambient() -> usize {
    AMBIENT.fetch_add(1, Ordering::Relaxed)
}
