//! Values of flags.

mod key;
mod level;
mod probability;
mod size;

pub(crate) use key::Key;
pub(crate) use level::level;
pub(crate) use probability::{StatusProbability, probability};
pub(crate) use size::{Size, bytes};
