//! Errors of a start.

use std::fmt;
use std::io;
use std::path::PathBuf;

use seqlane::{ConfigError, UserError};

use crate::exchange::{BadCertificates, BadRelayUrl};

/// Why a client, node or relay did not start. Builders report every wrong setting here, and nowhere else.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    Config(ConfigError),
    /// The node cannot have one of its users.
    User(UserError),
    /// The URL of a relay is invalid.
    Url {
        /// The index of the relay among those of the client, from 0.
        relay: usize,
        /// What is wrong with the URL.
        error: BadRelayUrl,
    },
    /// The file with certificate authorities cannot be read.
    CaFile {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The certificate authorities cannot be used.
    Certificates(BadCertificates),
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The file of a recording cannot be created.
    Record {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The operating system gave no randomness.
    Random(getrandom::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::User(error) => error.fmt(f),
            // The URL itself may be a secret.
            Self::Url { relay, error } => write!(f, "relay {relay}: invalid URL: {error}"),
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
            Self::User(error) => Some(error),
            Self::Url { error, .. } => Some(error),
            Self::CaFile { error, .. } | Self::Listen { error, .. } | Self::Record { error, .. } => {
                Some(error)
            }
            Self::Certificates(error) => Some(error),
            Self::Random(error) => Some(error),
        }
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<UserError> for StartError {
    fn from(error: UserError) -> Self {
        Self::User(error)
    }
}

impl From<BadCertificates> for StartError {
    fn from(error: BadCertificates) -> Self {
        Self::Certificates(error)
    }
}
