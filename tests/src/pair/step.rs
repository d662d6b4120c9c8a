//! What can happen to a pair, one small thing at a time.

/// One step of a run. Indices are taken modulo the number of candidates, so any number is valid.
#[derive(Clone, Debug)]
pub enum Step {
    /// An application opens a TCP flow.
    Open,
    /// An application opens a UDP flow.
    OpenUdp,
    /// The application of a flow writes bytes, as many as it has credit for; on a UDP flow, one datagram.
    Write(usize, usize),
    /// The application of a flow has sent everything.
    Finish(usize),
    /// The application of a flow resets it.
    Reset(usize),
    /// The application of a flow reads everything that was delivered.
    Read(usize),
    /// An upstream answers an attempt to open it: with a refusal when the flag is set.
    Connect(usize, bool),
    /// An upstream sends bytes, as many as it has credit for; on a UDP flow, one datagram.
    UpstreamWrite(usize, usize),
    /// A TCP upstream has sent everything.
    UpstreamFinish(usize),
    /// An upstream is reset.
    UpstreamReset(usize),
    /// A TCP upstream takes everything that waits for it.
    UpstreamRead(usize),
    /// The fate of a request or reply in flight.
    Network(usize, Fate),
    /// Time passes, in milliseconds, with every timeout in between.
    Pass(u64),
}

/// The fate of a request or reply in flight.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// A request arrives.
    Arrive,
    /// A request arrives and stays in flight: it will arrive again.
    Double,
    /// A reply arrives.
    Return,
    /// A request is lost, and the client learns that its fate is unknown.
    LoseRequest,
    /// A request never left.
    NotSent,
    /// A relay refuses a request, and asks for a pause.
    Refuse,
    /// A reply is lost.
    LoseReply,
    /// A reply is cut after so many bytes, or at that remainder of its length.
    Cut(usize),
}
