//! URLs of relays and nodes.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use seqlane::{Form, Secret};

use super::destination::Destination;

/// The `http://` or `https://` address of a relay, or of a node.
///
/// The path can be a secret (hosted relays name the deployment in it), so `Debug` and `Display` show scheme, host and
/// port only.
///
/// ```
/// use seqlane_tokio::exchange::RelayUrl;
///
/// let url: RelayUrl = "https://relay.example/run/deployment-7".parse()?;
/// assert_eq!(url.to_string(), "https://relay.example");
/// assert!("ftp://relay.example".parse::<RelayUrl>().is_err());
/// # Ok::<(), seqlane_tokio::exchange::BadRelayUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RelayUrl(Uri);

impl RelayUrl {
    /// The address to post batches of this form to: a node without a path gets its own `/tunnel/batch`
    /// (protocol.md 1), anything else stays as it is.
    pub fn endpoint(&self, form: Form) -> Uri {
        if form == Form::Relay || !self.is_bare() {
            return self.0.clone();
        }
        self.with_path(BATCHES)
    }

    /// The address to post packets to (protocol.md 3): that of the relay, or the node's `/tunnel/streams`. None for a
    /// node whose path does not end in `/tunnel/batch`.
    pub fn packet_endpoint(&self, form: Form) -> Option<Uri> {
        match form {
            Form::Relay => Some(self.0.clone()),
            Form::Node if self.is_bare() => Some(self.with_path(PACKETS)),
            Form::Node => {
                let place = self.0.path().strip_suffix(BATCHES)?;
                self.0.query().is_none().then(|| self.with_path(&format!("{place}{PACKETS}")))
            }
        }
    }

    /// Whether a node at this URL takes raw packets from callers with `key`.
    pub(crate) fn takes_packets(&self, key: &Secret) -> bool {
        self.packet_endpoint(Form::Node).is_some_and(|uri| Destination::of_packets(uri, key).is_ok())
    }

    fn is_bare(&self) -> bool {
        self.0.path() == "/" && self.0.query().is_none()
    }

    fn with_path(&self, path: &str) -> Uri {
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(path).ok();
        Uri::from_parts(parts).unwrap_or_else(|_| self.0.clone())
    }
}

/// A node's paths.
const BATCHES: &str = "/tunnel/batch";
const PACKETS: &str = "/tunnel/streams";

impl FromStr for RelayUrl {
    type Err = BadRelayUrl;

    fn from_str(text: &str) -> Result<Self, BadRelayUrl> {
        let uri: Uri = text.parse().map_err(|_| BadRelayUrl::Syntax)?;
        if uri.scheme() != Some(&Scheme::HTTP) && uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(BadRelayUrl::Scheme);
        }
        match uri.authority() {
            Some(authority) if authority.as_str().contains('@') => Err(BadRelayUrl::Credentials),
            Some(authority) if !authority.host().is_empty() => Ok(Self(uri)),
            _ => Err(BadRelayUrl::Syntax),
        }
    }
}

impl TryFrom<&str> for RelayUrl {
    type Error = BadRelayUrl;

    fn try_from(text: &str) -> Result<Self, BadRelayUrl> {
        text.parse()
    }
}

impl TryFrom<String> for RelayUrl {
    type Error = BadRelayUrl;

    fn try_from(text: String) -> Result<Self, BadRelayUrl> {
        text.parse()
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.0.scheme_str().unwrap_or_default(),
            self.0.authority().map_or("", |authority| authority.as_str())
        )
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayUrl({self})")
    }
}

/// Why a text is not the URL of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRelayUrl {
    /// It is not a URL with a host.
    Syntax,
    /// Its scheme is neither `http` nor `https`.
    Scheme,
    /// It has a user name or password in it.
    Credentials,
}

impl fmt::Display for BadRelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not a URL; write https://host/path",
            Self::Scheme => "the URL must start with http:// or https://",
            Self::Credentials => "a user name in the URL is not supported; relays use keys",
        })
    }
}

impl std::error::Error for BadRelayUrl {}

/// A [`RelayUrl`] is a URL already.
impl From<Infallible> for BadRelayUrl {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, form: Form) -> String {
        url.parse::<RelayUrl>().unwrap().endpoint(form).to_string()
    }

    #[test]
    fn a_bare_node_url_gets_the_batch_path() {
        assert_eq!(endpoint("http://node:80", Form::Node), "http://node:80/tunnel/batch");
        assert_eq!(endpoint("http://node:80/", Form::Node), "http://node:80/tunnel/batch");
    }

    #[test]
    fn any_other_url_is_used_as_it_is() {
        assert_eq!(endpoint("http://node/behind/proxy", Form::Node), "http://node/behind/proxy");
        assert_eq!(endpoint("http://node/?a=b", Form::Node), "http://node/?a=b");
        assert_eq!(endpoint("https://relay", Form::Relay), "https://relay/");
        assert_eq!(endpoint("https://relay/x?y", Form::Relay), "https://relay/x?y");
    }

    #[test]
    fn packets_have_a_path_of_their_own_at_a_node_and_none_at_a_relay() {
        let packets = |url: &str, form| {
            let uri = url.parse::<RelayUrl>().unwrap().packet_endpoint(form);
            uri.map(|uri| uri.to_string())
        };
        for url in ["http://node", "http://node/", "http://node/tunnel/batch"] {
            assert_eq!(packets(url, Form::Node).as_deref(), Some("http://node/tunnel/streams"));
        }
        assert_eq!(
            packets("http://p/a/tunnel/batch", Form::Node).as_deref(),
            Some("http://p/a/tunnel/streams")
        );
        assert_eq!(packets("http://p/elsewhere", Form::Node), None);
        assert_eq!(packets("http://p/?a=b", Form::Node), None);
        assert_eq!(packets("https://relay/x?y", Form::Relay).as_deref(), Some("https://relay/x?y"));
    }

    #[test]
    fn invalid_urls_are_rejected_with_the_reason() {
        for (text, reason) in [
            ("", BadRelayUrl::Syntax),
            ("relay", BadRelayUrl::Scheme),
            ("/path", BadRelayUrl::Scheme),
            ("socks5://relay", BadRelayUrl::Scheme),
            ("http://", BadRelayUrl::Syntax),
            ("http://user:word@relay/", BadRelayUrl::Credentials),
        ] {
            assert_eq!(text.parse::<RelayUrl>().unwrap_err(), reason, "{text}");
        }
    }

    #[test]
    fn debug_and_display_hide_the_path() {
        let url: RelayUrl = "https://relay:8443/s/secret/exec?k=v".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://relay:8443 RelayUrl(https://relay:8443)");
    }
}
