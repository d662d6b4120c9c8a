//! Targets of flows, and kinds of flows (protocol.md 2).

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::convert::Infallible;
use core::fmt;
use core::net::SocketAddr;
use core::num::NonZeroU16;
use core::str::FromStr;

/// The longest host name: that of the domain name system (RFC 1035).
pub const MAX_HOST_LEN: usize = 255;

/// A host and port that the node connects to.
///
/// ```
/// use seqlane::Target;
///
/// let target: Target = "example.org:443".parse()?;
/// assert_eq!((target.host(), target.port()), ("example.org", 443));
/// assert_eq!(target, Target::new("example.org", 443)?);
/// assert!(Target::new("", 443).is_err());
/// assert!(Target::new("example.org", 0).is_err());
/// # Ok::<(), seqlane::BadTarget>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    host: Box<str>,
    port: NonZeroU16,
}

impl Target {
    /// A target with this host (a name or an IP address, without brackets) and port.
    ///
    /// # Errors
    /// [`BadTarget`] when the host is empty or longer than [`MAX_HOST_LEN`] bytes, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, BadTarget> {
        if host.is_empty() || host.len() > MAX_HOST_LEN {
            return Err(BadTarget::Host);
        }
        let port = NonZeroU16::new(port).ok_or(BadTarget::Port)?;
        Ok(Self { host: host.into(), port })
    }

    /// The host as it was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub const fn port(&self) -> u16 {
        self.port.get()
    }

    /// The same target with the host in lower case and without a trailing dot: names that mean the same
    /// place are equal in this form.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let host = self.host.strip_suffix('.').unwrap_or(&self.host);
        Self { host: host.to_owned().to_ascii_lowercase().into(), port: self.port }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads `host:port`, or `[address]:port` for IPv6.
impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let (host, port) = text.rsplit_once(':').ok_or(BadTarget::Syntax)?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').ok_or(BadTarget::Syntax)?,
            None if host.contains(':') => return Err(BadTarget::Syntax),
            None => host,
        };
        Self::new(host, port.parse().map_err(|_| BadTarget::Port)?)
    }
}

impl TryFrom<&str> for Target {
    type Error = BadTarget;

    fn try_from(text: &str) -> Result<Self, BadTarget> {
        text.parse()
    }
}

impl TryFrom<String> for Target {
    type Error = BadTarget;

    fn try_from(text: String) -> Result<Self, BadTarget> {
        text.parse()
    }
}

impl TryFrom<(&str, u16)> for Target {
    type Error = BadTarget;

    fn try_from((host, port): (&str, u16)) -> Result<Self, BadTarget> {
        Self::new(host, port)
    }
}

/// Fails for port 0.
impl TryFrom<SocketAddr> for Target {
    type Error = BadTarget;

    fn try_from(address: SocketAddr) -> Result<Self, BadTarget> {
        Self::new(&address.ip().to_string(), address.port())
    }
}

/// Why a host and port are no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadTarget {
    /// The text is not a host and a port.
    Syntax,
    /// The host is empty or too long.
    Host,
    /// The port is 0.
    Port,
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => {
                f.write_str("write a host and a port, as in example.org:443 or [2001:db8::1]:443")
            }
            Self::Host => write!(f, "the host must have 1 to {MAX_HOST_LEN} bytes"),
            Self::Port => f.write_str("the port must be 1 to 65535"),
        }
    }
}

impl core::error::Error for BadTarget {}

/// A [`Target`] is a target already.
impl From<Infallible> for BadTarget {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What a flow carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowKind {
    /// An ordered stream of bytes each way.
    Tcp,
    /// Datagrams each way, without order or guarantee.
    Udp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_legal_length_are_accepted_and_no_other() {
        let long = "a".repeat(MAX_HOST_LEN + 1);
        assert_eq!(Target::new(&long, 1), Err(BadTarget::Host));
        assert!(Target::new(&long[1..], 1).is_ok());
        assert_eq!(Target::new("", 1), Err(BadTarget::Host));
    }

    #[test]
    fn normalised_names_compare_equal() {
        let a = Target::new("Example.ORG.", 80).unwrap().normalised();
        let b = Target::new("example.org", 80).unwrap().normalised();
        assert_eq!(a, b);
    }

    #[test]
    fn ipv6_hosts_print_in_brackets() {
        assert_eq!(Target::new("::1", 80).unwrap().to_string(), "[::1]:80");
    }

    #[test]
    fn hosts_of_every_kind_are_read_with_their_port() {
        for (text, host, port) in [("a.example:1", "a.example", 1), ("[::1]:443", "::1", 443)] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.host(), target.port(), target.to_string().as_str()), (host, port, text));
        }
        for text in ["", "a.example", "a.example:", ":80", "a:0", "a:65536", "::1:80", "[::1:80", "[::1]"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_address_of_a_socket_is_a_target() {
        let address: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
        assert_eq!(Target::try_from(address).unwrap().to_string(), "[2001:db8::1]:80");
    }
}
