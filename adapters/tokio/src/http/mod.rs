//! Shared parts of the HTTP servers: connections with deadlines, whole bodies with limits, keys, gzip.

pub(crate) mod answer;
pub(crate) mod bearer;
pub(crate) mod body;
pub(crate) mod gzip;
pub(crate) mod server;
