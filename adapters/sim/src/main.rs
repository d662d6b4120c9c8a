//! The program `seqlane-sim`.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Ok(verdict) => verdict.code(),
        Err(failure) => failure.report(),
    }
}
