//! Where the bodies of each form go at one relay.

use seqlane::{BodyForm, ConfigError, RelayOptions};

use crate::exchange::{Destination, RelayUrl};

/// The doors of a relay, or of a node that is called itself.
#[derive(Clone, Debug)]
pub(super) struct Door {
    batches: Destination,
    /// None where the way is not 8-bit clean.
    packets: Option<Destination>,
}

impl Door {
    pub(super) fn new(url: &RelayUrl, relay: &RelayOptions) -> Result<Self, ConfigError> {
        let batches = Destination::of_batches(url.endpoint(relay.form));
        let packets = if relay.binary { Some(packets(url, relay)?) } else { None };
        Ok(Self { batches, packets })
    }

    /// Where a body of this form goes.
    pub(super) const fn to(&self, form: BodyForm) -> Option<&Destination> {
        match form {
            BodyForm::Json => Some(&self.batches),
            BodyForm::Packet => self.packets.as_ref(),
        }
    }
}

fn packets(url: &RelayUrl, relay: &RelayOptions) -> Result<Destination, ConfigError> {
    let bad = |reason| ConfigError { option: "binary", reason };
    let place = url.packet_endpoint(relay.form);
    let place = place.ok_or_else(|| bad("needs a node's own path, which ends in /tunnel/batch, or none"))?;
    Destination::of_packets(place, &relay.key)
        .map_err(|_| bad("needs a key without control characters, and without a space at either end"))
}
