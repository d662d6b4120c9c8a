//! Reply codes of SOCKS5 and statuses of HTTP for flows that are not opened (protocol.md 2).

use http::StatusCode;
use seqlane::{ConnectFailure, EndReason};

/// Why an application gets no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    General,
    NotAllowed,
    NetworkUnreachable,
    HostUnreachable,
    Refused,
    TimedOut,
}

impl Refusal {
    /// RFC 1928 section 6.
    pub(super) const fn socks_code(self) -> u8 {
        match self {
            Self::General => 1,
            Self::NotAllowed => 2,
            Self::NetworkUnreachable => 3,
            Self::HostUnreachable => 4,
            Self::Refused => 5,
            Self::TimedOut => 6,
        }
    }

    pub(super) const fn http_status(self) -> StatusCode {
        match self {
            Self::General | Self::NetworkUnreachable | Self::HostUnreachable | Self::Refused => {
                StatusCode::BAD_GATEWAY
            }
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

impl From<EndReason> for Refusal {
    fn from(why: EndReason) -> Self {
        let EndReason::ConnectFailed(failure) = why else { return Self::General };
        match failure {
            ConnectFailure::Refused => Self::Refused,
            ConnectFailure::HostUnreachable | ConnectFailure::NoSuchName => Self::HostUnreachable,
            ConnectFailure::NetworkUnreachable => Self::NetworkUnreachable,
            ConnectFailure::TimedOut => Self::TimedOut,
            ConnectFailure::NotAllowed => Self::NotAllowed,
            _ => Self::General,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_code_and_status() {
        for (failure, code, status) in [
            (ConnectFailure::Refused, 5, 502),
            (ConnectFailure::HostUnreachable, 4, 502),
            (ConnectFailure::NoSuchName, 4, 502),
            (ConnectFailure::NetworkUnreachable, 3, 502),
            (ConnectFailure::TimedOut, 6, 504),
            (ConnectFailure::NotAllowed, 2, 403),
            (ConnectFailure::Other, 1, 502),
        ] {
            let refusal = Refusal::from(EndReason::ConnectFailed(failure));
            assert_eq!((refusal.socks_code(), refusal.http_status().as_u16()), (code, status), "{failure}");
        }
        assert_eq!(Refusal::from(EndReason::ReplyOverdue), Refusal::General);
    }
}
