//! Levels of service, by number.

use seqlane::Level;

/// Reads the number of a level that both programs speak.
pub(crate) fn level(text: &str) -> Result<Level, &'static str> {
    let level = text.parse().ok().and_then(Level::from_number);
    level.filter(|level| *level <= Level::Sequenced).ok_or("a level is 0 or 1")
}
