//! Relays and links between clients and nodes.

use std::collections::VecDeque;

use bytes::Bytes;
use seqlane::BodyForm;
use slab::Slab;

use crate::link::SharedLink;
use crate::oracle::Request;
use crate::scenario::{RelaySetup, Setup};
use crate::world::event::RelayState;
use crate::world::flight::Flight;

/// Everything between clients and nodes.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) relays: Vec<Relay>,
    pub(super) flights: Slab<Flight>,
    /// By client: up and down.
    pub(super) links: Vec<Option<[ClientLink; 2]>>,
    /// By client: bodies that may come again.
    pub(super) past: Vec<Past>,
}

/// A relay as it is now.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    pub(super) setup: RelaySetup,
    pub(super) state: RelayState,
    /// Which node it leads to.
    pub(super) node: usize,
    /// Calls that it works on.
    pub(super) busy: u32,
    /// Calls that it took today.
    pub(super) taken: u64,
    /// Calls that wait for a place, or for the end of a pause.
    pub(super) queue: VecDeque<usize>,
}

/// One direction of a client's link, and the generation of its timer.
#[derive(Clone, Debug)]
pub(super) struct ClientLink {
    pub(super) shared: SharedLink,
    pub(super) generation: u64,
}

/// Bodies that passed, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    pub(super) requests: VecDeque<(BodyForm, Bytes, Request)>,
    pub(super) answers: VecDeque<(BodyForm, Bytes)>,
}

impl Network {
    pub(super) fn new(setup: &Setup) -> Self {
        let relays = setup.relays.iter().map(Relay::new).collect();
        let link = setup.link.map(|(link, per_call)| {
            let direction = ClientLink { shared: SharedLink::new(link, per_call), generation: 0 };
            [direction.clone(), direction]
        });
        Self {
            relays,
            flights: Slab::new(),
            links: vec![link; setup.clients],
            past: vec![Past::default(); setup.clients],
        }
    }
}

impl Relay {
    fn new(setup: &RelaySetup) -> Self {
        Self {
            setup: setup.clone(),
            state: RelayState::Well,
            node: usize::from(setup.other_node),
            busy: 0,
            taken: 0,
            queue: VecDeque::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.busy < self.setup.concurrency && self.state != RelayState::Paused
    }
}
