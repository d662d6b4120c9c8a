//! Settings of a client, and its start.

use std::path::PathBuf;
use std::time::Duration;

use seqlane::{Client as Machine, ClientOptions, ConfigError, Level, Secret};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::Client;
use super::driver::{ClientDriver, INPUT_QUEUE, Parts};
use super::flow::Flows;
use super::log::Log;
use super::relay::Relay;
use crate::clock::Clock;
use crate::error::StartError;
use crate::exchange::{Exchanger, TlsRoots};
use crate::proxy::{Credentials, Proxy, Terms};
use crate::record::{self, RecordedMachine};
use crate::start;

/// Notices that wait for a slow observer; then it misses the oldest.
const NOTICE_QUEUE: usize = 1024;

impl Client {
    /// A builder without relays.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            machine: ClientOptions::new(Vec::new()),
            relays: Vec::new(),
            roots: TlsRoots::default(),
            ca_file: None,
            socks: None,
            credentials: None,
            handshake_deadline: Duration::from_secs(10),
            max_connections: 4096,
            udp_targets: 256,
            drain: Duration::from_secs(10),
            record: None,
        }
    }
}

/// Settings of a [`Client`] before it starts, from [`Client::builder`]. A relay is needed; everything else has a
/// default.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct ClientBuilder {
    machine: ClientOptions,
    relays: Vec<Relay>,
    roots: TlsRoots,
    ca_file: Option<PathBuf>,
    socks: Option<String>,
    credentials: Option<Credentials>,
    handshake_deadline: Duration,
    max_connections: usize,
    udp_targets: usize,
    drain: Duration,
    record: Option<PathBuf>,
}

impl ClientBuilder {
    /// One relay more. A [`RelayId`](seqlane::RelayId) in notices counts them from 0.
    pub fn relay(mut self, relay: Relay) -> Self {
        self.relays.push(relay);
        self
    }

    /// The secret that seals the packets of level 2. The node must have the same, and no relay should know it.
    /// Default: none; then relays can read and change everything.
    pub fn secret(mut self, secret: impl Into<Secret>) -> Self {
        self.machine.secret = Some(secret.into());
        self
    }

    /// The highest level to use. Default: level 2, where the node offers it and has the same secret.
    pub fn max_level(mut self, level: Level) -> Self {
        self.machine.max_level = level;
        self
    }

    /// The lowest level to use: a flow that cannot have it is refused. Default: level 2 where a
    /// [`secret`](Self::secret) is given, any level otherwise.
    pub fn min_level(mut self, level: Level) -> Self {
        self.machine.min_level = Some(level);
        self
    }

    /// Changes any other option of the machine. The relays of the options are ignored: see [`relay`](Self::relay).
    pub fn options(mut self, change: impl FnOnce(ClientOptions) -> ClientOptions) -> Self {
        self.machine = change(self.machine);
        self
    }

    /// Listens for applications at this address, such as `127.0.0.1:1080`, with SOCKS5 and HTTP CONNECT on the one
    /// port. Port 0 takes a free one: see [`Client::local_addr`]. Default: no port is opened.
    pub fn socks(mut self, address: impl ToString) -> Self {
        self.socks = Some(address.to_string());
        self
    }

    /// The user name and password that applications must show, by SOCKS5 and HTTP alike. Default: none.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The certificate authorities to trust behind `https://`. Default: those of the web.
    pub fn tls_roots(mut self, roots: TlsRoots) -> Self {
        self.roots = roots;
        self
    }

    /// A PEM file with certificate authorities to trust besides those of the web; read at the start. It replaces
    /// [`tls_roots`](Self::tls_roots).
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// The longest time from an application's connection to its request; at most 1 h. Default 10 s.
    pub const fn handshake_deadline(mut self, deadline: Duration) -> Self {
        self.handshake_deadline = deadline;
        self
    }

    /// Local TCP connections at a time, at least 1; more wait in the kernel's queue. Default 4096, as many as the
    /// machine has flows by default.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Targets at a time per UDP association, at least 1; the one used longest ago makes room. Default 256.
    pub const fn udp_targets(mut self, targets: usize) -> Self {
        self.udp_targets = targets;
        self
    }

    /// The longest time that [`Client::shutdown`] waits for the flows of applications to finish by themselves; at
    /// most 1 h. Default 10 s.
    pub const fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Records every event and action of the machine in a new file, for `seqlane-sim replay`. The file holds **all
    /// traffic in clear text**, so only its owner may read it. Keys and secrets are left out. The recording ends at
    /// 1 GiB, or when the file cannot be written as fast as events happen; neither disturbs the client.
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.record = Some(path.into());
        self
    }

    /// Checks the settings, binds the port if there is to be one, and starts the client on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says which setting is wrong, or why the port cannot be bound.
    pub async fn start(self) -> Result<Client, StartError> {
        self.check()?;
        let mut options = self.machine.clone();
        options.relays = self.relays.iter().map(Relay::machine_options).collect();
        let config = options.validate()?;
        let options = config.options();
        let exchanger = Exchanger::new(&self.roots().await?, options.tuning.max_reply_body)?;
        let carriers = self.relays.iter().enumerate();
        let carriers = carriers.map(|(index, relay)| relay.carrier(index, &exchanger));
        let carriers = carriers.collect::<Result<_, _>>()?;
        let seed = start::random_seed()?;
        let listener = match &self.socks {
            Some(address) => Some((address, start::bind(address).await?)),
            None => None,
        };
        let recording =
            self.record.as_ref().map(|path| record::start(path, options.clone(), seed)).transpose()?;
        let (recorder, recording) = recording.unzip();

        let (inputs, queue) = mpsc::channel(INPUT_QUEUE);
        let (reports, reported) = mpsc::unbounded_channel();
        let (notices, _) = broadcast::channel(NOTICE_QUEUE);
        let clock = Clock::start();
        let now = clock.now();
        let parts = Parts {
            clock,
            inputs: queue,
            reports: reported,
            notices: notices.clone(),
            carriers,
            log: Log::new(self.relays.iter().map(Relay::name), options.min_level),
        };
        let driver =
            ClientDriver::new(RecordedMachine::new(Machine::new(config, seed, now), recorder, now), parts);
        let driver = AbortOnDropHandle::new(tokio::spawn(driver.run()));
        let flows = Flows::new(inputs, reports);
        let stop = CancellationToken::new();
        let terms = self.terms(stop.clone());
        let proxy = match listener {
            Some((address, listener)) => {
                let proxy = Proxy::start(listener, flows.clone(), terms);
                Some(proxy.map_err(start::cannot_listen(address))?)
            }
            None => None,
        };
        info!(relays = self.relays.len(), "client started");
        Ok(Client { flows, notices, driver, proxy, stop, drain: self.drain, recording })
    }

    fn check(&self) -> Result<(), ConfigError> {
        const HOUR: Duration = Duration::from_secs(3600);
        const CONNECTIONS: &str = "must be 1 or more, and not more than a semaphore can count";
        start::check([
            (self.handshake_deadline <= HOUR, "handshake_deadline", "must be at most 1 h"),
            ((1..=Semaphore::MAX_PERMITS).contains(&self.max_connections), "max_connections", CONNECTIONS),
            (self.udp_targets >= 1, "udp_targets", "must be at least 1"),
            (self.drain <= HOUR, "drain", "must be at most 1 h"),
        ])
    }

    async fn roots(&self) -> Result<TlsRoots, StartError> {
        let Some(path) = &self.ca_file else { return Ok(self.roots.clone()) };
        let pem = tokio::fs::read(path).await;
        let pem = pem.map_err(|error| StartError::CaFile { path: path.clone(), error })?;
        Ok(TlsRoots::with_pem(&pem)?)
    }

    fn terms(&self, stop: CancellationToken) -> Terms {
        Terms {
            credentials: self.credentials.clone(),
            handshake_deadline: self.handshake_deadline,
            max_connections: self.max_connections,
            udp_targets: self.udp_targets,
            stop,
        }
    }
}
