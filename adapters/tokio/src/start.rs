//! Steps that client, node and relay share in their start.

use seqlane::ConfigError;
use tokio::net::TcpListener;

use crate::error::StartError;

/// Checks settings: whether each holds, its name, and what would be right.
pub(crate) fn check(
    settings: impl IntoIterator<Item = (bool, &'static str, &'static str)>,
) -> Result<(), ConfigError> {
    match settings.into_iter().find(|(holds, _, _)| !holds) {
        Some((_, option, reason)) => Err(ConfigError { option, reason }),
        None => Ok(()),
    }
}

/// Binds a port.
pub(crate) async fn bind(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(cannot_listen(address))
}

/// The error for an address that cannot be listened on.
pub(crate) fn cannot_listen(address: &str) -> impl Fn(std::io::Error) -> StartError {
    move |error| StartError::Listen { address: address.to_owned(), error }
}

/// A seed from the operating system.
pub(crate) fn random_seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Random)?;
    Ok(seed)
}
