//! Panics inside a run, caught and described in one line.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static SEEN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Calls `run`.
///
/// # Errors
/// Where and why it panicked, in one line.
pub fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| if GUARDED.get() { note(info) } else { loud(info) }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(outer);
    result.map_err(|_| SEEN.take())
}

fn note(info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("a panic without a text");
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    SEEN.set(format!("{text}{}", place.unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_one_line_with_its_place() {
        let text = guarded(|| panic!("no {}", "way")).unwrap_err();
        assert!(text.starts_with("no way at ") && text.contains("guard.rs:"), "{text}");
    }

    #[test]
    fn what_does_not_panic_is_handed_through() {
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
