//! The command `seqlane keygen`: a key or a secret from the randomness of the operating system.

use std::fmt::Write;

use clap::Args;

use super::failure::Failure;

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct KeygenArgs {}

/// Prints 256 random bits as 64 hexadecimal digits, which need no quotes in any file or shell.
pub(super) fn run() -> Result<(), Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Failed(format!("no randomness: {error}")))?;
    let mut text = String::with_capacity(65);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    super::print(&text)
}

const EXAMPLES: &str = "\
Examples:
  export SEQLANE_SECRET=$(seqlane keygen)
  seqlane keygen > key && chmod 600 key

Keys let clients and relays in; the secret seals what passes relays. Every one is different.
Exit codes: 0 done, 1 failed, 2 bad usage.";
