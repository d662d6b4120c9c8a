//! Scopes: the size of a closed world, and how many faults may happen in it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! scope {
    ($($(#[$doc:meta])* $name:ident = $default:literal,)*) => {
        /// The size of a closed world, and how often each thing may go wrong in it.
        ///
        /// As text: `up=2,down=2,lanes=2`; what is left out has its default.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Scope {
            $($(#[$doc])* pub $name: u8,)*
        }

        impl Default for Scope {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Scope {
            /// Every name.
            pub const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// Each by its name, and its default.
            fn fields(&mut self) -> [(&'static str, &mut u8, u8); Self::NAMES.len()] {
                [$((stringify!($name), &mut self.$name, $default),)*]
            }
        }
    };
}

scope! {
    /// The highest level that both machines may use: 0, 1 or 2. At level 2, time advances only when nothing else can
    /// happen, unless `slow` allows more: a client that waits makes call after call.
    level = 1,
    /// Flows.
    flows = 1,
    /// Bytes that each application sends, one at a time.
    up = 1,
    /// Bytes that each upstream sends, one at a time.
    down = 1,
    /// Data ops in flight per session; at level 2, exchanges in flight, whatever they carry.
    lanes = 2,
    /// Ops per batch.
    batch = 2,
    /// Bytes per op.
    op = 1,
    /// 1: another flow came and went before, so that the relay is known to keep `seq`.
    warm = 1,
    /// Requests and replies that are lost.
    drop = 0,
    /// Requests that provably never left, so that their ops go again.
    unsent = 0,
    /// Requests that arrive twice.
    dup = 0,
    /// Exchanges that are given up while their request or reply is still on its way.
    late = 0,
    /// Restarts of the node.
    crash = 0,
    /// Times that a deadline passes while something is in flight; without it the network is faster than any timer.
    slow = 0,
    /// Resets, by an application or an upstream.
    reset = 0,
}

impl Scope {
    /// Whether streams are explored.
    pub const fn is_level_2(&self) -> bool {
        self.level == 2
    }

    /// Whether nothing goes wrong in it that may cost a flow its life. A request that was not sent may not.
    pub const fn is_calm(&self) -> bool {
        self.drop == 0
            && self.dup == 0
            && self.late == 0
            && self.crash == 0
            && self.slow == 0
            && self.reset == 0
    }

    fn check(&self) -> Result<(), BadScope> {
        let within = |holds: bool, why: &str| if holds { Ok(()) } else { Err(BadScope(why.to_owned())) };
        within(self.level <= 2, "level must be 0, 1 or 2")?;
        within((1..=4).contains(&self.flows), "flows must be 1 to 4")?;
        within((1..=64).contains(&self.lanes), "lanes must be 1 to 64")?;
        within(self.batch >= 1 && self.op >= 1, "batch and op must be at least 1")?;
        within(self.warm <= 1, "warm must be 0 or 1")?;
        within(
            self.level > 0 || self.dup == 0,
            "dup needs level 1: at level 0 nothing tells a second copy of an op from a new one",
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// What is always shown.
        const CORE: [&str; 4] = ["level", "up", "down", "lanes"];
        let mut scope = *self;
        let shown = scope
            .fields()
            .into_iter()
            .filter(|(name, value, default)| **value != *default || CORE.contains(name));
        let shown: Vec<String> = shown.map(|(name, value, _)| format!("{name}={value}")).collect();
        f.write_str(&shown.join(","))
    }
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let mut scope = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| BadScope(format!("`{part}` is not like up=2")))?;
            let mut fields = scope.fields().into_iter();
            let (_, place, _) = fields
                .find(|(known, ..)| *known == name.trim())
                .ok_or_else(|| BadScope(format!("`{name}` is none of {}", Self::NAMES.join(", "))))?;
            *place = value
                .trim()
                .parse()
                .map_err(|_| BadScope(format!("`{value}` is no number from 0 to 255, in `{part}`")))?;
        }
        scope.check()?;
        Ok(scope)
    }
}

/// An invalid scope, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad scope: {0}")]
pub struct BadScope(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_what_it_writes() {
        let scope: Scope = "up=2, down=3,lanes=1,drop=1,warm=0".parse().unwrap();
        assert_eq!((scope.up, scope.down, scope.drop, scope.warm), (2, 3, 1, 0));
        assert_eq!(scope.to_string().parse(), Ok(scope));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, word) in
            [("sideways=1", "sideways"), ("up", "up=2"), ("up=x", "`x`"), ("level=0,dup=1", "level 1")]
        {
            let error = text.parse::<Scope>().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
