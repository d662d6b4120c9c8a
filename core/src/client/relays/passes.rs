//! Features that pass through a relay: `seq`, `connect_data`, and bodies up to a size (protocol.md 1.1, 2.5).

/// The smallest body limit that refusals can lower a relay to.
const SMALLEST_BODY: usize = 64 * 1024;

/// Whether `seq` survives the way through a relay.
///
/// ```text
///             echo came back
///   Unknown ───────────────────▶ Kept
///      │  ▲ probe lost            │
///      ▼  │                       │ a reply without seq
///   Probing ────────────────────▶ Lost  (for good: protocol.md 2.5)
///             came back without
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum SeqPath {
    Unknown,
    Probing,
    Kept,
    Lost,
}

/// What a relay is known to let pass.
#[derive(Clone, Copy, Debug, Hash)]
pub(in crate::client) struct Passes {
    seq: SeqPath,
    /// Whether an observer was told that the relay loses `seq`.
    loss_reported: bool,
    /// False once an op `connect_data` was refused.
    connect_data: bool,
    /// Bytes of the largest request body; lowered when one is refused.
    max_body: usize,
}

impl Passes {
    pub(super) const fn new(max_body: usize) -> Self {
        Self { seq: SeqPath::Unknown, loss_reported: false, connect_data: true, max_body }
    }

    pub(in crate::client) fn keeps_seq(&self) -> bool {
        self.seq == SeqPath::Kept
    }

    pub(in crate::client) fn loses_seq(&self) -> bool {
        self.seq == SeqPath::Lost
    }

    /// Whether it was never asked whether `seq` passes, or the answer was lost.
    pub(in crate::client) fn is_seq_unknown(&self) -> bool {
        self.seq == SeqPath::Unknown
    }

    pub(in crate::client) fn is_probing_seq(&self) -> bool {
        self.seq == SeqPath::Probing
    }

    /// A probe goes out.
    pub(in crate::client) const fn on_seq_probe(&mut self) {
        self.seq = SeqPath::Probing;
    }

    /// The probe came back with its `seq`.
    pub(in crate::client) fn on_seq_kept(&mut self) {
        if self.is_probing_seq() {
            self.seq = SeqPath::Kept;
        }
    }

    /// The answer to the probe was lost.
    pub(in crate::client) fn on_seq_probe_lost(&mut self) {
        if self.is_probing_seq() {
            self.seq = SeqPath::Unknown;
        }
    }

    /// A reply came back without `seq`. Returns whether it was not known to be lost.
    pub(in crate::client) fn on_seq_lost(&mut self) -> bool {
        core::mem::replace(&mut self.seq, SeqPath::Lost) != SeqPath::Lost
    }

    /// Whether the loss of `seq` is to be reported: once.
    pub(in crate::client) fn take_loss_report(&mut self) -> bool {
        self.loses_seq() && !core::mem::replace(&mut self.loss_reported, true)
    }

    pub(in crate::client) const fn takes_connect_data(&self) -> bool {
        self.connect_data
    }

    /// An op `connect_data` was refused. Returns whether that is new.
    pub(in crate::client) const fn on_connect_data_refused(&mut self) -> bool {
        core::mem::replace(&mut self.connect_data, false)
    }

    pub(in crate::client) const fn max_body(&self) -> usize {
        self.max_body
    }

    /// A body of `len` bytes was refused. Returns the limit if that is lower now. Three quarters of the refused length
    /// still hold each half of a batch of two.
    pub(in crate::client) fn on_too_large(&mut self, len: usize) -> Option<usize> {
        let limit = (len / 4).saturating_mul(3).max(SMALLEST_BODY);
        (limit < self.max_body).then(|| {
            self.max_body = limit;
            limit
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_probe_tells_whether_seq_passes_and_what_is_lost_stays_lost() {
        let mut passes = Passes::new(MIB);
        passes.on_seq_kept();
        assert!(passes.is_seq_unknown(), "nobody asked");
        passes.on_seq_probe();
        passes.on_seq_probe_lost();
        assert!(passes.is_seq_unknown());
        passes.on_seq_probe();
        passes.on_seq_kept();
        assert!(passes.keeps_seq() && !passes.take_loss_report());
        assert!(passes.on_seq_lost() && !passes.on_seq_lost());
        passes.on_seq_kept();
        assert!(passes.loses_seq() && passes.take_loss_report() && !passes.take_loss_report());
    }

    #[test]
    fn a_refused_body_lowers_the_limit_to_three_quarters_of_it_and_not_below_64_kib() {
        let mut passes = Passes::new(2 * MIB);
        assert_eq!(passes.on_too_large(MIB), Some(MIB / 4 * 3));
        assert_eq!(passes.on_too_large(2 * MIB), None, "it is lower already");
        assert_eq!(passes.on_too_large(1_000), Some(SMALLEST_BODY));
        assert_eq!(passes.on_too_large(SMALLEST_BODY), None);
    }
}
