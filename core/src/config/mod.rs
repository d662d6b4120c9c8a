//! Every bound and every wait of the machines, with its unit, default and reason.
//!
//! Options are plain data with a setter for each field; [`ClientOptions::validate`] and [`NodeOptions::validate`] turn
//! them into the configuration that a machine takes, so a machine never meets a value that it cannot work with.
//! What few people set stands apart, in [`ClientTuning`] and [`NodeTuning`]. Options are written and read by serde
//! without their keys and secrets: set those after reading.
//!
//! ```
//! use std::time::Duration;
//!
//! use seqlane::{ClientOptions, ClientTuning, RelayOptions, Secret};
//!
//! let relay = RelayOptions::new(Secret::new("key")).daily_calls(20_000);
//! let config = ClientOptions::new(vec![relay])
//!     .secret(Secret::new("known to the node alone"))
//!     .request_timeout(Duration::from_secs(60))
//!     .tuning(ClientTuning::new().coalesce(Duration::from_millis(5)))
//!     .validate()?;
//! assert_eq!(config.options().max_flows, 4096);
//! # Ok::<(), seqlane::ConfigError>(())
//! ```

use core::fmt;
use core::ops::RangeFrom;
use core::time::Duration;

use crate::level::Level;
use crate::secret::Secret;

/// Defines options: a struct whose fields are public, `new` with the required ones, a setter for each other field, and
/// `check_bounds`. The setter of an optional field takes the value itself or an `Option`. A text in front goes before the
/// names of the options in errors.
macro_rules! options {
    ($(#[$attr:meta])* $name:ident $($rest:tt)*) => {
        options! { "" $(#[$attr])* $name $($rest)* }
    };
    ($path:literal $(#[$attr:meta])* $name:ident { $($fields:tt)* }) => {
        options! { $path $(#[$attr])* $name() { $($fields)* } }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
    (
        $path:literal
        $(#[$attr:meta])*
        $name:ident($($(#[$required_attr:meta])* $required:ident: $required_type:ty),*) {
            $($(#[$field_attr:meta])* $field:ident: $type:ty = $default:expr $(, within $bounds:expr, $must:literal)?;)*
        }
        $(optional {
            $($(#[$optional_attr:meta])* $optional:ident: $optional_type:ty,)*
        })?
    ) => {
        $(#[$attr])*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$required_attr])* pub $required: $required_type,)*
            $($(#[$field_attr])* pub $field: $type,)*
            $($($(#[$optional_attr])* pub $optional: Option<$optional_type>,)*)?
        }

        impl $name {
            /// These values, and every other at its default.
            #[must_use]
            pub fn new($($required: $required_type),*) -> Self {
                Self {
                    $($required,)*
                    $($field: $default,)*
                    $($($optional: None,)*)?
                }
            }

            /// Checks every value that has bounds of its own.
            fn check_bounds(&self) -> Result<(), ConfigError> {
                $($(check(($bounds).contains(&self.$field), concat!($path, stringify!($field)), $must)?;)?)*
                Ok(())
            }

            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
            $($(
                #[doc = concat!("Sets [`", stringify!($optional), "`](field@Self::", stringify!($optional), ").")]
                #[must_use]
                pub fn $optional(mut self, $optional: impl Into<Option<$optional_type>>) -> Self {
                    self.$optional = $optional.into();
                    self
                }
            )*)?
        }
    };
}

mod client;
mod node;
mod streams;
pub(crate) mod user;

pub use client::{Balance, ClientConfig, ClientOptions, ClientTuning, OpenMode, RelayOptions};
pub use node::{NodeConfig, NodeOptions, NodeTuning};
pub use streams::{ClientStreamOptions, NodeStreamOptions};
pub use user::{UserError, UserOptions};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MORE_THAN_ZERO: RangeFrom<Duration> = Duration::from_nanos(1)..;

/// A value that the machines cannot work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The option's name.
    pub option: &'static str,
    /// What its value must be.
    pub reason: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.reason)
    }
}

impl core::error::Error for ConfigError {}

/// Options whose every value is valid: only `validate` makes them.
#[derive(Clone, Debug)]
pub struct Valid<O>(O);

impl<O> Valid<O> {
    /// The options.
    pub const fn options(&self) -> &O {
        &self.0
    }

    pub(crate) fn into_options(self) -> O {
        self.0
    }
}

fn check(holds: bool, option: &'static str, reason: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { option, reason }) }
}

/// A secret has 16 to 1024 bytes, and is no key: relays know the keys.
fn check_secret<'a>(
    secret: Option<&Secret>,
    mut keys: impl Iterator<Item = &'a Secret>,
) -> Result<(), ConfigError> {
    let Some(secret) = secret else { return Ok(()) };
    let long_enough = (MIN_SECRET..=MAX_SECRET).contains(&secret.reveal().len());
    check(long_enough, "secret", "must have 16 to 1024 bytes; `seqlane keygen` makes one")?;
    check(!keys.any(|key| key == secret), "secret", "must not be a key: relays know the keys")
}

/// Bytes of a secret. Fewer can be guessed from one packet, by whoever sees it.
const MIN_SECRET: usize = 16;
const MAX_SECRET: usize = 1024;

/// The lowest level: what is set, or else level 2 where a secret or users are given, and any level where none is.
fn lowest_level(set: Option<Level>, has_secret: bool, highest: Level) -> Result<Level, ConfigError> {
    let lowest = set.unwrap_or(if has_secret { Level::Streams } else { Level::Legacy });
    check(
        lowest <= highest,
        "min_level",
        "must be at most max_level; with a secret or users it is 2 unless it is set",
    )?;
    Ok(lowest)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn client() -> ClientOptions {
        ClientOptions::new(vec![RelayOptions::new(Secret::new("k"))])
    }

    #[test]
    fn the_defaults_are_valid() {
        client().validate().unwrap();
        NodeOptions::new(Secret::new("k")).validate().unwrap();
    }

    #[test]
    fn the_defaults_that_the_protocol_names_are_those() {
        let seconds = Duration::from_secs;
        let client = client();
        let relay = &client.relays[0];
        assert_eq!((relay.max_concurrent, client.tuning.max_batch_ops, client.max_depth), (30, 50, 8));
        assert!(client.tuning.max_batch_payload == 4 * MIB && relay.max_body < 2 * MIB);
        assert_eq!((client.tuning.unreachable_ttl, client.tuning.unreachable_entries), (seconds(30), 256));
        assert_eq!(
            (client.half_close_quiet, client.udp_idle, client.tuning.udp_queue),
            (seconds(30), seconds(120), 256)
        );
        assert_eq!(client.tuning.first_bytes_wait, Duration::from_millis(20));
        let node = NodeOptions::new(Secret::new("k"));
        assert_eq!((node.longpoll, node.tuning.active_drain), (seconds(15), Duration::from_millis(350)));
        assert_eq!(
            (node.tuning.settle_step, node.tuning.settle_max),
            (Duration::from_millis(10), seconds(1))
        );
        assert_eq!(
            (node.tuning.seq_wait, node.write_deadline, node.connect_deadline),
            (seconds(30), seconds(30), seconds(10))
        );
        assert_eq!((node.tcp_idle, node.udp_idle, node.tuning.udp_queue), (seconds(300), seconds(120), 256));
        assert_eq!((node.max_body, node.session_buffer), (16 * MIB, 16 * MIB));
        assert_eq!((node.tuning.max_drain, node.tuning.max_batch_drain), (16 * MIB, 32 * MIB));
    }

    #[test]
    fn a_bad_value_is_named() {
        assert_eq!(client().max_depth(0).validate().unwrap_err().option, "max_depth");
        assert_eq!(ClientOptions::new(vec![]).validate().unwrap_err().option, "relays");
        assert_eq!(NodeOptions::new(Secret::new("")).validate().unwrap_err().option, "key");
        let streams = NodeStreamOptions::new().max_hold(Duration::from_secs(51));
        let node = NodeOptions::new(Secret::new("k")).tuning(NodeTuning::new().streams(streams));
        assert_eq!(node.validate().unwrap_err().option, "streams.max_hold");
    }

    #[test]
    fn an_optional_value_is_set_with_or_without_some() {
        let relay = RelayOptions::new(Secret::new("k")).daily_calls(5);
        assert_eq!(relay.daily_calls, Some(5));
        assert_eq!(relay.daily_calls(None).daily_calls, None);
    }

    #[test]
    fn a_sequenced_batch_has_at_least_60_seconds_whatever_is_configured() {
        let quick = client().request_timeout(Duration::from_secs(5));
        assert_eq!(quick.batch_timeout(true), Duration::from_secs(60));
        assert_eq!(quick.batch_timeout(false), Duration::from_secs(5));
        assert_eq!(quick.reply_watchdog(), Duration::from_secs(135));
        let slow = client().request_timeout(Duration::from_secs(100));
        assert_eq!(slow.batch_timeout(true), Duration::from_secs(100));
        assert_eq!(slow.reply_watchdog(), Duration::from_secs(215));
    }

    #[test]
    fn the_longest_node_wait_fits_into_a_sequenced_batch() {
        let node = NodeOptions::new(Secret::new("k"));
        assert!(node.tuning.seq_wait + node.longpoll < client().batch_timeout(true));
    }
}
