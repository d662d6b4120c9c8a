//! The end of every wait in a test.

use std::future::Future;
use std::time::Duration;

/// Far longer than any test step: one that reaches it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that will happen.
///
/// # Panics
/// When it has not happened after [`PATIENCE`].
#[track_caller]
pub fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing happened within {PATIENCE:?} at {place}"),
        }
    }
}
