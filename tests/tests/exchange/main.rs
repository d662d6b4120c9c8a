//! Exchanges over real loopback sockets: what each answer, and each lack of one, is taken for.

mod connections;
mod failures;
mod packets;
mod redirects;
mod relay;
mod replies;
