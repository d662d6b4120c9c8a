//! The whole system over real loopback sockets: what applications see when everything works, and when
//! something does not.

mod datagrams;
mod endings;
mod faults;
mod levels;
mod lifecycle;
mod opening;
mod pressure;
mod relays;
mod sizes;
mod streams;
mod tls;
mod transfers;
mod users;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
