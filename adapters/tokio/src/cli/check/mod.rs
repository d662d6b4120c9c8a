//! `seqlane check`.
use super::failure::Failure;
#[derive(clap::Args, Debug)]
pub(super) struct CheckArgs {}
pub(super) async fn run(_args: CheckArgs, _console: &super::Console) -> Result<(), Failure> {
    Ok(())
}
