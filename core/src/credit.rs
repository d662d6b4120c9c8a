//! Credit: how many bytes a reader of sockets may still hand in, per flow and over all flows.

/// Bytes that all flows of one machine may keep or have been promised, beyond each flow's floor.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Pool {
    total: usize,
    used: usize,
}

impl Pool {
    pub(crate) const fn new(total: usize) -> Self {
        Self { total, used: 0 }
    }

    /// Changes how many bytes there are. What is lent stays lent.
    pub(crate) const fn set_total(&mut self, total: usize) {
        self.total = total;
    }

    /// Whether a flow beyond its floor could get credit now.
    pub(crate) const fn has_room(&self) -> bool {
        self.used < self.total
    }
}

/// Where flows borrow the bytes that they keep beyond their floor.
pub(crate) trait Lender {
    /// Takes up to `wanted` bytes, and says how many.
    fn take(&mut self, wanted: usize) -> usize;

    /// Gives bytes back.
    fn give_back(&mut self, bytes: usize);
}

impl Lender for Pool {
    fn take(&mut self, wanted: usize) -> usize {
        let taken = wanted.min(self.total.saturating_sub(self.used));
        self.used = self.used.saturating_add(taken);
        taken
    }

    fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// A pool within another: what it lends comes out of both.
#[derive(Debug)]
pub(crate) struct Within<'p> {
    pub(crate) inner: &'p mut Pool,
    pub(crate) outer: &'p mut Pool,
}

impl Lender for Within<'_> {
    fn take(&mut self, wanted: usize) -> usize {
        let most = self.inner.take(wanted);
        let taken = self.outer.take(most);
        self.inner.give_back(most.saturating_sub(taken));
        taken
    }

    fn give_back(&mut self, bytes: usize) {
        self.inner.give_back(bytes);
        self.outer.give_back(bytes);
    }
}

/// The credit of one flow: bytes promised to its reader, and bytes that came and are still kept.
///
/// Promised and kept bytes together stay within the flow's window; what exceeds [`FLOOR`] is also
/// taken from the [`Pool`], so that a stalled flow can use up neither the memory of the machine nor the
/// floor of another flow.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Credit {
    window: usize,
    promised: usize,
    kept: usize,
    pooled: usize,
}

/// Bytes that every flow may keep whatever the others do.
pub(crate) const FLOOR: usize = 64 * 1024;

/// Credit is handed out up to this much ahead of the reader: enough for a burst of socket reads, little
/// enough that thousands of quiet flows do not tie up the pool.
const AHEAD: usize = 256 * 1024;

/// A reader handed in more bytes than it had credit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded;

impl Credit {
    pub(crate) const fn new(window: usize) -> Self {
        Self { window, promised: 0, kept: 0, pooled: 0 }
    }

    /// New credit for the reader, as much as the window, the look-ahead and the pool allow now.
    pub(crate) fn grant(&mut self, pool: &mut impl Lender) -> usize {
        let room = self.window.saturating_sub(self.kept).min(AHEAD).saturating_sub(self.promised);
        let uncovered = self.kept.saturating_add(self.promised).saturating_add(room);
        let beyond = uncovered.saturating_sub(FLOOR).saturating_sub(self.pooled);
        let taken = pool.take(beyond);
        self.pooled = self.pooled.saturating_add(taken);
        let granted = room.saturating_sub(beyond.saturating_sub(taken));
        self.promised = self.promised.saturating_add(granted);
        granted
    }

    /// The reader handed in `bytes`.
    pub(crate) fn arrive(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.promised = self.promised.checked_sub(bytes).ok_or(Exceeded)?;
        self.kept = self.kept.saturating_add(bytes);
        Ok(())
    }

    /// The flow may keep up to `window` bytes from now on, if that is more.
    pub(crate) fn widen(&mut self, window: usize) {
        self.window = self.window.max(window);
    }

    /// `bytes` of what was kept have gone on.
    pub(crate) fn release(&mut self, bytes: usize, pool: &mut impl Lender) {
        self.kept = self.kept.saturating_sub(bytes);
        self.settle(pool);
    }

    /// The flow is over: everything goes back to the pool.
    pub(crate) fn close(&mut self, pool: &mut impl Lender) {
        pool.give_back(self.pooled);
        *self = Self::new(0);
    }

    /// Whether the reader has no credit left and could not be given any.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.promised == 0 && self.kept < self.window
    }

    /// Whether the reader has been given anything that is not used up and gone.
    pub(crate) const fn was_granted(&self) -> bool {
        self.promised > 0 || self.kept > 0
    }

    /// Bytes that the reader may still hand in.
    pub(crate) const fn promised(&self) -> usize {
        self.promised
    }

    /// Bytes that came and are still kept.
    pub(crate) const fn kept(&self) -> usize {
        self.kept
    }

    fn settle(&mut self, pool: &mut impl Lender) {
        let needed = self.kept.saturating_add(self.promised).saturating_sub(FLOOR);
        let spare = self.pooled.saturating_sub(needed);
        self.pooled = self.pooled.saturating_sub(spare);
        pool.give_back(spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_given_ahead_up_to_the_window() {
        let mut pool = Pool::new(usize::MAX);
        let mut credit = Credit::new(300 * 1024);
        assert_eq!(credit.grant(&mut pool), AHEAD);
        credit.arrive(AHEAD).unwrap();
        assert_eq!(credit.grant(&mut pool), 300 * 1024 - AHEAD);
        assert_eq!(credit.grant(&mut pool), 0);
        credit.release(AHEAD, &mut pool);
        assert_eq!(credit.grant(&mut pool), AHEAD - (300 * 1024 - AHEAD));
    }

    #[test]
    fn bytes_without_credit_are_refused() {
        let mut pool = Pool::new(0);
        let mut credit = Credit::new(10);
        credit.grant(&mut pool);
        assert_eq!(credit.arrive(11), Err(Exceeded));
        assert_eq!(credit.arrive(10), Ok(()));
        assert_eq!(credit.arrive(1), Err(Exceeded));
    }

    #[test]
    fn an_empty_pool_leaves_every_flow_its_floor() {
        let mut pool = Pool::new(0);
        let mut stalled = Credit::new(1 << 20);
        let mut other = Credit::new(1 << 20);
        assert_eq!(stalled.grant(&mut pool), FLOOR);
        stalled.arrive(FLOOR).unwrap();
        assert_eq!(stalled.grant(&mut pool), 0);
        assert!(stalled.is_blocked());
        assert_eq!(other.grant(&mut pool), FLOOR);
    }

    #[test]
    fn a_pool_within_another_lends_what_both_have() {
        let (mut small, mut large) = (Pool::new(10), Pool::new(100));
        assert_eq!(Within { inner: &mut small, outer: &mut large }.take(50), 10);
        small.set_total(200);
        assert_eq!(Within { inner: &mut small, outer: &mut large }.take(150), 90);
        assert_eq!((small.used, large.used), (100, 100));
        Within { inner: &mut small, outer: &mut large }.give_back(60);
        assert_eq!((small.used, large.used), (40, 40));
    }

    #[test]
    fn what_the_pool_lent_comes_back() {
        let mut pool = Pool::new(AHEAD);
        let mut credit = Credit::new(1 << 20);
        let granted = credit.grant(&mut pool);
        credit.arrive(granted).unwrap();
        credit.grant(&mut pool);
        credit.release(granted, &mut pool);
        credit.close(&mut pool);
        assert_eq!(pool.used, 0);
        assert!(pool.has_room());
    }
}
