//! Levels of service, by number.

use seqlane::Level;

/// Reads the number of a level.
pub(crate) fn level(text: &str) -> Result<Level, &'static str> {
    text.parse().ok().and_then(Level::from_number).ok_or("a level is 0, 1 or 2")
}
