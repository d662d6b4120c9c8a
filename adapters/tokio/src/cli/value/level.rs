//! Levels of service, by number.

use seqlane::Level;

/// Reads a level's number.
pub(crate) fn level(text: &str) -> Result<Level, &'static str> {
    text.parse().ok().and_then(Level::from_number).ok_or("a level is 0, 1 or 2")
}
