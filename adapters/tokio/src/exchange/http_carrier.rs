//! Relays over HTTP.

use bytes::Bytes;
use seqlane::{BodyForm, ConfigError, ExchangeFailure, RelayOptions};

use super::destination::Destination;
use super::exchanger::Exchanger;
use super::url::RelayUrl;
use crate::carrier::{Call, CallError, Carrier};

/// The addresses of a relay, or of a node that is called directly.
#[derive(Clone, Debug)]
struct Endpoints {
    batches: Destination,
    /// None where the path is not 8-bit clean.
    packets: Option<Destination>,
}

impl Endpoints {
    fn new(url: &RelayUrl, relay: &RelayOptions) -> Result<Self, ConfigError> {
        let batches = Destination::of_batches(url.endpoint(relay.form));
        let packets = if relay.binary { Some(packets(url, relay)?) } else { None };
        Ok(Self { batches, packets })
    }

    /// The address that takes bodies of this form.
    const fn of(&self, form: BodyForm) -> Option<&Destination> {
        match form {
            BodyForm::Json => Some(&self.batches),
            BodyForm::Packet => self.packets.as_ref(),
        }
    }
}

fn packets(url: &RelayUrl, relay: &RelayOptions) -> Result<Destination, ConfigError> {
    let bad = |reason| ConfigError { option: "binary", reason };
    let uri = url.packet_endpoint(relay.form);
    let uri = uri.ok_or_else(|| {
        bad("needs the URL of a node without a path, or with one that ends in /tunnel/batch")
    })?;
    Destination::of_packets(uri, &relay.key)
        .map_err(|_| bad("needs a key without control characters, and without a space at either end"))
}

/// The carrier of relays with a URL.
#[derive(Clone, Debug)]
pub(crate) struct HttpCarrier {
    exchanger: Exchanger,
    endpoints: Endpoints,
}

impl HttpCarrier {
    pub(crate) fn new(
        exchanger: Exchanger,
        url: &RelayUrl,
        relay: &RelayOptions,
    ) -> Result<Self, ConfigError> {
        Ok(Self { exchanger, endpoints: Endpoints::new(url, relay)? })
    }
}

impl Carrier for HttpCarrier {
    async fn call(&self, mut call: Call) -> Result<Bytes, CallError> {
        let Some(to) = self.endpoints.of(call.form()) else {
            return Err(ExchangeFailure::NotSent.into());
        };
        let (body, deadline) = (call.body().clone(), call.deadline());
        let (answer, trace) = self.exchanger.trace(to, body, deadline, || call.answering()).await;
        answer.map_err(|failure| CallError::new(failure, trace.explain(failure)))
    }
}
