//! The proxy client's local side over real loopback sockets, against a scripted relay: what applications
//! see of it.

mod application;
mod flows;
mod http_connect;
mod lifecycle;
mod scripted;
mod socks;
mod udp;
