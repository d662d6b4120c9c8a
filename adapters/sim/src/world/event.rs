//! Events of the heap.

use seqlane::ExchangeId;
use seqlane::wire::Sid;

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// An application opens its flow.
    Start(usize),
    /// An application has thought, or a UDP application sends its next datagram.
    Think(usize),
    /// An application gives up.
    GiveIn(usize),
    /// An application reads what was delivered.
    LocalRead(usize),
    /// A host's wake time; stale unless the generation is the newest.
    Wake(usize, u64),
    /// The client's HTTP layer gives an exchange up.
    GiveUp(usize, ExchangeId),
    /// A transfer on a client's link may be complete; `down` names the direction.
    Link { client: usize, down: bool, generation: u64 },
    /// A request has come to its relay.
    AtRelay(usize),
    /// A request has come to its node.
    AtNode(usize),
    /// An answer has come to its client's link.
    AtLink(usize),
    /// An answer has come to its client.
    AtClient(usize),
    /// An attempt to open an upstream has come to its end.
    Connect(usize),
    /// An upstream speaks: this many bytes in all.
    Speak(usize, u64),
    /// An upstream reads what was written to it.
    UpstreamRead(usize),
    /// A foreign client comes.
    Visit(usize),
    /// A foreign client with an open session sends.
    ForeignClientSpeaks(usize, Sid),
    /// The environment changes.
    Environment(Change),
    /// The fault phase is over.
    Heal,
    /// The watchdog looks for flows that do not move.
    Watch,
}

/// Trouble that has its own time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// A node restarts.
    Restart,
    /// A relay is no longer as it was.
    Relay(usize, RelayState),
    /// A relay leads to the other node from now on, or back.
    Route(usize),
    /// A relay's daily budget is renewed.
    Renew(usize),
    /// A clock leaps by seconds; client, or node where the index is beyond the clients.
    Leap(usize, u32),
    /// A clock stands.
    Stall(usize),
    /// A clock runs again.
    Resume(usize),
}

/// How a relay's state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelayState {
    /// Calls pass.
    Well,
    /// Calls wait until it is well again.
    Paused,
    /// Requests vanish.
    CutUp,
    /// Answers vanish.
    CutDown,
    /// Nothing can be sent to it.
    Unreachable,
    /// It answers with pages.
    Pages,
    /// It refuses.
    Refuses,
    /// It is twenty times as slow.
    Slow,
}
