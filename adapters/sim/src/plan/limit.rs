//! Theoretical limits of transfers.

use crate::plan::conditions::Conditions;
use crate::plan::workload::Workload;

/// Payload bytes that four bytes of a body carry: payload travels as base64.
const PAYLOAD_OF_FOUR: f64 = 3.0;

/// The theoretical limit of a transfer in bytes a second: min(bandwidth, depth × cap / round trip). None for
/// workloads without one.
///
/// Bandwidth is that of the link, or of as many calls as may be in flight, in payload bytes; cap is what one
/// response or one request carries of a session; the round trip is the median.
pub fn limit(conditions: &Conditions, workload: Workload) -> Option<f64> {
    let cap = match workload {
        Workload::Download(_) | Workload::EchoBeside(_) => conditions.response_cap.as_f64(),
        Workload::Upload(_) => conditions.request_cap() as f64,
        Workload::Echo(_) | Workload::Idle(_) | Workload::Pushes(_) | Workload::Mixed(_) => return None,
    };
    let in_flight = conditions.in_flight() as f64;
    let calls = in_flight * conditions.per_call.as_f64();
    let bandwidth = conditions.link.as_f64().min(calls) * PAYLOAD_OF_FOUR / 4.0;
    let round_trip = conditions.round_trip.median().as_secs_f64();
    Some(bandwidth.min(in_flight * cap / round_trip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::size::Size;

    const MIB: u64 = 1 << 20;

    fn of(conditions: &Conditions, workload: Workload) -> f64 {
        limit(conditions, workload).expect("a transfer has a limit")
    }

    #[test]
    fn a_wide_link_leaves_the_limit_to_the_window_and_a_narrow_one_takes_it() {
        let conditions = Conditions {
            round_trip: "1s".parse().unwrap(),
            depth: 4,
            response_cap: Size(MIB),
            link: Size(1_000_000_000),
            per_call: Size(1_000_000_000),
            ..Conditions::default()
        };
        let transfer = Workload::Download(Size(64 * MIB));
        assert_eq!(of(&conditions, transfer), 4.0 * MIB as f64);
        let narrow = Conditions { link: Size(2_000_000), ..conditions.clone() };
        assert_eq!(of(&narrow, transfer), 1_500_000.0);
        let slow_calls = Conditions { per_call: Size(400_000), ..conditions.clone() };
        assert_eq!(of(&slow_calls, transfer), 1_200_000.0);
        let one_at_a_time = Conditions { level: 0, ..conditions };
        assert_eq!(of(&one_at_a_time, transfer), MIB as f64);
    }

    #[test]
    fn what_is_no_transfer_has_no_limit() {
        assert_eq!(limit(&Conditions::default(), Workload::Echo(3)), None);
    }
}
