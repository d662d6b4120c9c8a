//! Values as people write them on a command line.

mod chance;
mod key;
mod level;
mod size;
mod target;

pub(crate) use chance::{StatusChance, probability};
pub(crate) use key::Key;
pub(crate) use level::level;
pub(crate) use size::{Size, bytes};
pub(crate) use target::target;
