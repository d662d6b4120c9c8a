//! Round trips of a plan: constant, or from a quantile table.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::latency::Latency;

/// `200ms` for the same always, or the name of a table such as `hosted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct RoundTrip(pub Latency);

/// No round trip is written like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no round trip: write 200ms, or the name of a table such as hosted")]
pub struct BadRoundTrip(String);

impl RoundTrip {
    /// What a report calls one round trip.
    pub fn median(self) -> Duration {
        self.0.median()
    }
}

impl fmt::Display for RoundTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Latency::Fixed(_) => write!(f, "{}", humantime::format_duration(self.median())),
            table => write!(f, "{}", format!("{table:?}").to_lowercase()),
        }
    }
}

impl FromStr for RoundTrip {
    type Err = BadRoundTrip;

    fn from_str(text: &str) -> Result<Self, BadRoundTrip> {
        let named: Result<Latency, Error> = Latency::deserialize(text.into_deserializer());
        if let Ok(table) = named {
            return Ok(Self(table));
        }
        let bad = || BadRoundTrip(text.to_owned());
        let millis = humantime::parse_duration(text).map_err(|_| bad())?.as_millis();
        let millis = u32::try_from(millis).ok().filter(|millis| *millis > 0).ok_or_else(bad)?;
        Ok(Self(Latency::Fixed(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_is_a_duration_or_a_table() {
        assert_eq!("200ms".parse(), Ok(RoundTrip(Latency::Fixed(200))));
        assert_eq!("hosted".parse(), Ok(RoundTrip(Latency::Hosted)));
        for text in ["200ms", "1s 500ms", "hosted", "near"] {
            assert_eq!(text.parse::<RoundTrip>().unwrap().to_string(), text);
        }
        for text in ["", "0s", "soon", "fixed"] {
            assert!(text.parse::<RoundTrip>().is_err(), "{text}");
        }
    }
}
