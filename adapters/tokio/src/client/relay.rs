//! Relays of a client.

use std::fmt;
use std::sync::Arc;

use seqlane::{Form, RelayOptions, Secret};

use crate::carrier::{AnyCarrier, Carrier};
use crate::error::StartError;
use crate::exchange::{BadRelayUrl, Exchanger, HttpCarrier, RelayUrl};

/// A relay that a client calls, or a node that it calls directly.
///
/// ```
/// use seqlane_tokio::Relay;
///
/// let hosted = Relay::new("https://relay.example/run", "client key").daily_calls(20_000);
/// let node = Relay::direct("https://node.example", "node key");
/// ```
///
/// A wrong URL shows when the client starts.
#[derive(Clone, Debug)]
#[must_use = "a relay is used by the client whose builder gets it"]
pub struct Relay {
    place: Place,
    options: RelayOptions,
    /// None for the default of the place.
    binary: Option<bool>,
}

#[derive(Clone)]
enum Place {
    Url(Result<RelayUrl, BadRelayUrl>),
    Carrier(Arc<dyn AnyCarrier>),
}

impl Relay {
    /// A relay script at a URL, which expects `key`.
    pub fn new<U>(url: U, key: impl Into<Secret>) -> Self
    where
        U: TryInto<RelayUrl, Error: Into<BadRelayUrl>>,
    {
        Self::at(Place::Url(url.try_into().map_err(Into::into)), Form::Relay, key.into())
    }

    /// A node at a URL, with no relay between. A URL without a path means the node's own paths; a node that is
    /// mounted elsewhere has a URL that ends in `/tunnel/batch`.
    pub fn direct<U>(url: U, key: impl Into<Secret>) -> Self
    where
        U: TryInto<RelayUrl, Error: Into<BadRelayUrl>>,
    {
        Self::at(Place::Url(url.try_into().map_err(Into::into)), Form::Node, key.into())
    }

    /// A node that is reached over any medium that takes a request and gives a response. Bodies are written for a
    /// node; for a relay script at the far end, set [`RelayOptions::form`] with [`options`](Self::options).
    pub fn over(carrier: impl Carrier, key: impl Into<Secret>) -> Self {
        Self::at(Place::Carrier(Arc::new(carrier)), Form::Node, key.into())
    }

    fn at(place: Place, form: Form, key: Secret) -> Self {
        let mut options = RelayOptions::new(key);
        options.form = form;
        Self { place, options, binary: None }
    }

    /// Whether the relay keeps all 8 bits of a body, so that packets of level 2 need neither JSON nor base64.
    /// Default: true for a node with a URL, false for relays and carriers.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.binary = Some(binary);
        self
    }

    /// Calls in flight at a time. Default 30: the limit of the hosted relays, per account.
    pub const fn max_concurrent(mut self, calls: usize) -> Self {
        self.options.max_concurrent = calls;
        self
    }

    /// Calls that the relay allows a day. Default: no limit. Hosted relays allow about 20 000.
    pub fn daily_calls(mut self, calls: impl Into<Option<u64>>) -> Self {
        self.options.daily_calls = calls.into();
        self
    }

    /// The largest request body in bytes. Default 2 093 056: deployed nodes refuse bodies above 2 MiB.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.options.max_body = bytes;
        self
    }

    /// Changes any other option of the machine for this relay. [`binary`](Self::binary) wins over what is set here.
    pub fn options(mut self, change: impl FnOnce(RelayOptions) -> RelayOptions) -> Self {
        self.options = change(self.options);
        self
    }

    /// The options for the machine.
    pub(super) fn machine_options(&self) -> RelayOptions {
        let by_default = match &self.place {
            Place::Url(Ok(url)) => self.options.form == Form::Node && url.takes_packets(&self.options.key),
            Place::Url(Err(_)) | Place::Carrier(_) => false,
        };
        let mut options = self.options.clone();
        options.binary = self.binary.unwrap_or(options.binary || by_default);
        options
    }

    /// What the log calls it.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::Url(Ok(url)) => url.to_string(),
            Place::Url(Err(_)) => "invalid URL".to_owned(),
            Place::Carrier(_) => "carrier".to_owned(),
        }
    }

    /// What carries calls to it. `index` is its place among the client's relays.
    pub(super) fn carrier(
        &self,
        index: usize,
        exchanger: &Exchanger,
    ) -> Result<Arc<dyn AnyCarrier>, StartError> {
        match &self.place {
            Place::Carrier(carrier) => Ok(Arc::clone(carrier)),
            Place::Url(Err(error)) => Err(StartError::Url { relay: index, error: *error }),
            Place::Url(Ok(url)) => {
                Ok(Arc::new(HttpCarrier::new(exchanger.clone(), url, &self.machine_options())?))
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(Ok(url)) => url.fmt(f),
            Self::Url(Err(error)) => error.fmt(f),
            Self::Carrier(_) => f.write_str("Carrier(..)"),
        }
    }
}
