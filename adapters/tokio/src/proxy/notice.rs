//! What an operator should see in the log.

use seqlane::ClientNotice;
use tracing::{debug, info, warn};

/// Writes a notice to the log: trouble with a relay is a warning, what concerns one flow or call is not.
pub(super) fn log(notice: &ClientNotice) {
    match notice {
        ClientNotice::Connected { stream, level } => debug!(%stream, %level, "connected"),
        ClientNotice::ExchangeFailed { exchange, relay, why } => {
            debug!(%exchange, %relay, %why, "exchange failed");
        }
        ClientNotice::RelayDown { relay, .. } => warn!(%relay, "relay is left alone for a while"),
        ClientNotice::RelayUp { relay } => info!(%relay, "relay answers again"),
        ClientNotice::SeqUnsupported { relay } => {
            warn!(%relay, "relay does not keep sequence numbers; level 1 is off through it");
        }
        ClientNotice::ConnectDataUnsupported { relay } => {
            warn!(%relay, "node behind relay does not know connect_data; opening takes one more round trip");
        }
        ClientNotice::BodyLimitLowered { relay, limit } => {
            warn!(%relay, limit, "relay refused a large body; batches through it are smaller from now on");
        }
        ClientNotice::BudgetSpent { relay, .. } => warn!(%relay, "relay has used up its daily calls"),
        ClientNotice::Unauthorized { relay } => warn!(%relay, "the key of this relay is not accepted"),
        _ => debug!(?notice, "notice"),
    }
}
