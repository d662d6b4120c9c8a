//! The interface between a search and the world that it searches.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::BuildHasherDefault;

use crate::guard;
use crate::hash::Hashed;
use crate::property::Property;

/// A closed world whose every behaviour can be tried.
pub trait Model {
    /// Everything that there is at one moment.
    type State: Clone;
    /// One thing that can happen.
    type Step: Copy + Display;

    /// Where it begins.
    ///
    /// # Errors
    /// [`Broken`] when a property does not even hold there.
    fn root(&self) -> Result<Self::State, Broken>;

    /// Everything that can happen now, faults included, as far as their budgets last.
    fn steps(&self, state: &Self::State) -> Vec<Self::Step>;

    /// Lets something happen, and checks every property of safety.
    ///
    /// # Errors
    /// [`Broken`] says which property does not hold afterwards.
    fn take(&self, state: &mut Self::State, step: Self::Step) -> Result<(), Broken>;

    /// The state's identity: equal for two states that behave alike from now on.
    fn print(&self, state: &Self::State) -> u128;

    /// Whether everything has come to its end and nothing is left behind.
    fn is_done(&self, state: &Self::State) -> bool;

    /// From now on nothing goes wrong any more.
    fn heal(&self, state: &mut Self::State);

    /// The next step of a healed world that takes fair turns; none when nothing is left to happen.
    fn fair(&self, state: &Self::State) -> Option<Self::Step>;
}

/// Returns from a function, unless something holds: the property is broken, and the text says what was seen.
macro_rules! ensure {
    ($holds:expr, $property:ident, $($seen:tt)+) => {
        if !$holds {
            return Err($crate::explore::model::Broken::new(
                $crate::property::Property::$property,
                format!($($seen)+),
            ));
        }
    };
}
pub(super) use ensure;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub property: Property,
    /// What was seen.
    pub what: String,
}

impl Broken {
    /// `property` does not hold: `what` was seen.
    pub fn new(property: Property, what: impl Into<String>) -> Self {
        Self { property, what: what.into() }
    }
}

/// States by their fingerprints.
pub(super) type Prints<V> = HashMap<u128, V, BuildHasherDefault<Hashed>>;

/// A panic is a broken property too.
pub(super) fn guarded(take: impl FnOnce() -> Result<(), Broken>) -> Result<(), Broken> {
    guard::guarded(take).unwrap_or_else(|what| Err(Broken::new(Property::S11, what)))
}
