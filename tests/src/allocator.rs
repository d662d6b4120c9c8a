//! A counting allocator, for tests of memory.
//!
//! A test binary installs it with `#[global_allocator] static ALLOCATOR: Counting = Counting;`. Each thread
//! counts for itself, so the test harness's own threads do not disturb.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ASKED: Cell<Asked> = const { Cell::new(Asked { pieces: 0, bytes: 0 }) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// What was asked of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Allocations and reallocations.
    pub pieces: usize,
    /// Their bytes, added up.
    pub bytes: usize,
}

/// The system's allocator with a counter in front.
#[derive(Debug)]
pub struct Counting;

impl Counting {
    fn count(bytes: usize, freed: usize) {
        ASKED.with(|asked| {
            let before = asked.get();
            asked.set(Asked { pieces: before.pieces + 1, bytes: before.bytes + bytes });
        });
        Self::live(bytes as isize - freed as isize);
    }

    fn live(change: isize) {
        LIVE.with(|live| live.set(live.get() + change));
    }
}

// SAFETY: every call is passed on to the system's allocator as it came; counting allocates nothing, since the
// counters are initialised at compile time and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::live(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and `place` came from the system's allocator.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size, layout.size());
        // SAFETY: the caller keeps the contract of `realloc`, and `place` came from the system's allocator.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// What `work` asks for, its result dropped after the count. It runs twice: what is set up once in a process
/// does not count.
pub fn asked<T>(work: impl Fn() -> T) -> Asked {
    drop(work());
    count(&mut || work()).0
}

/// What `work` asks for the one time that it runs, and its result.
pub fn count<T>(work: &mut impl FnMut() -> T) -> (Asked, T) {
    let before = ASKED.get();
    let result = work();
    let after = ASKED.get();
    (Asked { pieces: after.pieces - before.pieces, bytes: after.bytes - before.bytes }, result)
}

/// Bytes that this thread has asked for and not given back.
pub fn live() -> isize {
    LIVE.get()
}
