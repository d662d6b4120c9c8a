//! Name resolution: the permitted addresses of a target, in the order of attempts.

use std::net::{IpAddr, SocketAddr};

use seqlane::{ConnectFailure, Target};
use tokio::sync::Semaphore;
use tracing::debug;

use super::access::Access;
use super::guard::Guard;

/// Addresses tried per target, of however many its name has.
const MAX_ADDRESSES: usize = 16;

/// Name lookups at a time: each occupies a blocking thread until the system's resolver gives up.
const MAX_LOOKUPS: usize = 128;

/// Resolves names and filters addresses.
#[derive(Debug)]
pub(super) struct Resolver {
    guard: Guard,
    lookups: Semaphore,
}

impl Resolver {
    pub(super) const fn new(guard: Guard) -> Self {
        Self { guard, lookups: Semaphore::const_new(MAX_LOOKUPS) }
    }

    /// The addresses of a target that are permitted to a user, at least one, in the order in which to try them.
    pub(super) async fn resolve(
        &self,
        target: &Target,
        access: &Access,
    ) -> Result<Vec<SocketAddr>, ConnectFailure> {
        if !access.may_permit(target) {
            return Err(ConnectFailure::NotAllowed);
        }
        let found = match target.host().parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, target.port())],
            Err(_) => self.look_up(target).await?,
        };
        if found.is_empty() {
            return Err(ConnectFailure::NoSuchName);
        }
        let permits = |at: IpAddr| self.guard.permits(at) && access.permits(target, Some(at));
        let permitted: Vec<_> = found.into_iter().filter(|address| permits(address.ip())).collect();
        if permitted.is_empty() {
            return Err(ConnectFailure::NotAllowed);
        }
        Ok(interleave(permitted))
    }

    async fn look_up(&self, target: &Target) -> Result<Vec<SocketAddr>, ConnectFailure> {
        let _permit = self.lookups.acquire().await.map_err(|_| ConnectFailure::Other)?;
        match tokio::net::lookup_host((target.host(), target.port())).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => {
                debug!(%error, "name not resolved");
                Err(ConnectFailure::NoSuchName)
            }
        }
    }
}

/// Alternates between the families, the resolver's first choice first (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    while order.len() < MAX_ADDRESSES {
        let before = order.len();
        order.extend(first.next());
        order.extend(second.next());
        if order.len() == before {
            break;
        }
    }
    order.truncate(MAX_ADDRESSES);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect()
    }

    #[test]
    fn families_alternate_from_the_resolvers_first_choice() {
        assert_eq!(
            interleave(addresses(&["::1", "::2", "::3", "1.0.0.1", "1.0.0.2"])),
            addresses(&["::1", "1.0.0.1", "::2", "1.0.0.2", "::3"]),
        );
        assert_eq!(
            interleave(addresses(&["1.0.0.1", "1.0.0.2", "::1"])),
            addresses(&["1.0.0.1", "::1", "1.0.0.2"]),
        );
    }

    #[test]
    fn a_name_with_many_addresses_is_tried_at_a_bounded_number_of_them() {
        let many = (0..100).map(|last| SocketAddr::from(([1, 0, 0, last], 80))).collect();
        assert_eq!(interleave(many).len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_refused_after_it_was_resolved() {
        let target = Target::new("localhost", 80).unwrap();
        let refused = Resolver::new(Guard::new(false)).resolve(&target, &Access::default()).await;
        assert_eq!(refused, Err(ConnectFailure::NotAllowed));
        let allowed = Resolver::new(Guard::new(true)).resolve(&target, &Access::default()).await.unwrap();
        assert!(allowed.iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn a_private_literal_is_refused_however_it_is_written() {
        for host in ["127.0.0.1", "::1", "::ffff:10.0.0.1", "127.1", "2130706433", "0x7f000001", "0"] {
            let target = Target::new(host, 80).unwrap();
            let found = Resolver::new(Guard::new(false)).resolve(&target, &Access::default()).await;
            assert!(matches!(found, Err(ConnectFailure::NotAllowed | ConnectFailure::NoSuchName)), "{host}");
        }
    }
}
