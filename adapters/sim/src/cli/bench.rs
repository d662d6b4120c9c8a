//! `bench`: how fast runs are.
use crate::cli::console::Console;
use crate::cli::verdict::{Failure, Verdict};

/// Measure how fast runs are.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args, console: &Console) -> Result<Verdict, Failure> {
    console.say("")?;
    Ok(Verdict::Pass)
}
