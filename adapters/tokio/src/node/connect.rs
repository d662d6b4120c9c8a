//! Connections to the first of a target's addresses that answers (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use seqlane::ConnectFailure;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long an address may take before the next is tried beside it (RFC 8305, section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the addresses in order, each beside those that have not answered yet. The first that answers is
/// returned and the others are dropped.
pub(super) async fn tcp(addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectFailure> {
    let mut waiting = addresses.into_iter().peekable();
    let mut attempts = JoinSet::new();
    let mut failure = None;
    let mut next_attempt = Instant::now();
    loop {
        tokio::select! {
            biased;
            Some(done) = attempts.join_next() => match done.unwrap_or_else(|lost| Err(io::Error::other(lost))) {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    failure = failure.max(Some(Informative(classify(&error))));
                    next_attempt = Instant::now();
                }
            },
            () = sleep_until(next_attempt), if waiting.peek().is_some() => {
                if let Some(address) = waiting.next() {
                    attempts.spawn(TcpStream::connect(address));
                }
                next_attempt = Instant::now() + ATTEMPT_DELAY;
            }
            else => return Err(failure.map_or(ConnectFailure::Other, |Informative(failure)| failure)),
        }
    }
}

/// A socket that is connected to the first address that the system has a route to.
pub(super) async fn udp(addresses: Vec<SocketAddr>) -> Result<UdpSocket, ConnectFailure> {
    let mut failure = None;
    for address in addresses {
        match udp_to(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = failure.max(Some(Informative(classify(&error)))),
        }
    }
    Err(failure.map_or(ConnectFailure::Other, |Informative(failure)| failure))
}

async fn udp_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if address.is_ipv6() { ([0; 16], 0).into() } else { ([0; 4], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// A failure, ordered by the information about the target: the most informative of several is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Informative(ConnectFailure);

impl Informative {
    const fn rank(self) -> u8 {
        match self.0 {
            ConnectFailure::Refused => 4,
            ConnectFailure::TimedOut => 3,
            ConnectFailure::HostUnreachable => 2,
            ConnectFailure::NetworkUnreachable => 1,
            _ => 0,
        }
    }
}

impl PartialOrd for Informative {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Informative {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

fn classify(error: &io::Error) -> ConnectFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        io::ErrorKind::HostUnreachable => ConnectFailure::HostUnreachable,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
            ConnectFailure::NetworkUnreachable
        }
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
        _ => ConnectFailure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A loopback address with a closed port.
    async fn closed() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let stream = tcp(vec![closed().await, closed().await, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    /// Linux drops connects beyond a full backlog, so they hang as to a host that is gone.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_next_address_is_tried_beside_one_that_does_not_answer() {
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(1).unwrap();
        let full = silent.local_addr().unwrap();
        let _waiting = (TcpStream::connect(full).await.unwrap(), TcpStream::connect(full).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let stream = tcp(vec![full, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn a_refusal_is_reported_when_no_address_answers() {
        assert_eq!(tcp(vec![closed().await, closed().await]).await.unwrap_err(), ConnectFailure::Refused);
    }

    #[tokio::test]
    async fn no_address_at_all_is_a_failure() {
        assert_eq!(tcp(Vec::new()).await.unwrap_err(), ConnectFailure::Other);
        assert_eq!(udp(Vec::new()).await.unwrap_err(), ConnectFailure::Other);
    }

    #[test]
    fn a_refusal_is_more_informative_than_a_missing_route() {
        assert!(Informative(ConnectFailure::Refused) > Informative(ConnectFailure::NetworkUnreachable));
        assert!(Informative(ConnectFailure::TimedOut) > Informative(ConnectFailure::HostUnreachable));
    }
}
