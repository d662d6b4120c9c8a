//! `seqlane demo`.
use super::failure::Failure;
#[derive(clap::Args, Debug)]
pub(super) struct DemoArgs {}
pub(super) async fn run(_args: DemoArgs, _console: &super::Console) -> Result<(), Failure> {
    Ok(())
}
