//! Why a node, a relay or a proxy client does not start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use seqlane::ConfigError;

use crate::exchange::BadCertificates;

/// Why something did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting makes no sense.
    Config(ConfigError),
    /// Relays and their addresses are not as many.
    RelayCount {
        /// Relays in the client's options.
        relays: usize,
        /// Addresses given.
        addresses: usize,
    },
    /// The file with certificate authorities cannot be read.
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The certificate authorities cannot be used.
    Certificates(BadCertificates),
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The file of a recording cannot be made.
    Record {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The operating system gave no randomness.
    Random(getrandom::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::RelayCount { relays, addresses } => {
                write!(f, "{relays} relays have {addresses} addresses; each needs one")
            }
            Self::CaFile { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Certificates(error) => write!(f, "certificate authorities: {error}"),
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::Record { path, error } => write!(f, "cannot record to {}: {error}", path.display()),
            Self::Random(error) => write!(f, "no randomness from the operating system: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::CaFile { error, .. } | Self::Listen { error, .. } | Self::Record { error, .. } => {
                Some(error)
            }
            Self::Certificates(error) => Some(error),
            Self::RelayCount { .. } => None,
            Self::Random(error) => Some(error),
        }
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<BadCertificates> for StartError {
    fn from(error: BadCertificates) -> Self {
        Self::Certificates(error)
    }
}
