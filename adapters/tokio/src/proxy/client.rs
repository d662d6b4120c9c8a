//! A running proxy client.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use seqlane::{Client, ClientNotice, ClientOptions, ClientStats, EndReason, FlowKind, Target};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::door::Door;
use super::flow::{Flows, OpenError};
use super::journal::Journal;
use super::listener::{Terms, listen};
use super::machine::{INPUTS, Input, Machine};
use super::options::ProxyClientBuilder;
use super::stream::FlowStream;
use crate::exchange::{Exchanger, RelayUrl, TlsRoots};
use crate::record::{self, Finished, Taped};
use crate::start::StartError;

/// Notices that wait for a slow observer; then it misses the oldest.
const NOTICES: usize = 1024;

/// After the machine was closed: how long the node is given to be told which sessions are over.
const FAREWELL: Duration = Duration::from_secs(2);

/// A proxy that listens on one port and carries what comes to a node, through relays.
///
/// Dropping it ends everything at once; [`shutdown`](Self::shutdown) lets flows finish.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use seqlane::{ClientOptions, RelayOptions, Secret};
/// use seqlane_tokio::ProxyClient;
///
/// let options = ClientOptions::new(vec![RelayOptions::new(Secret::new("key"))]);
/// let relays = vec!["https://relay.example/run".parse()?];
/// let proxy = ProxyClient::builder(options, relays).listen("127.0.0.1:0".parse()?).start().await?;
/// println!("listening on {}", proxy.local_addr());
/// proxy.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ProxyClient {
    address: SocketAddr,
    flows: Flows,
    notices: broadcast::Sender<ClientNotice>,
    stop: CancellationToken,
    grace: Duration,
    listening: AbortOnDropHandle<()>,
    machine: AbortOnDropHandle<()>,
    recording: Option<Finished>,
}

impl ProxyClient {
    /// A builder with these options of the machine, and the address of each of their relays in order.
    pub fn builder(client: ClientOptions, relays: Vec<RelayUrl>) -> ProxyClientBuilder {
        ProxyClientBuilder::new(client, relays)
    }

    pub(super) async fn start(builder: ProxyClientBuilder) -> Result<Self, StartError> {
        let (relays, addresses) = (builder.client.relays.len(), builder.relays.len());
        if relays != addresses {
            return Err(StartError::RelayCount { relays, addresses });
        }
        let doors = builder.relays.iter().zip(&builder.client.relays);
        let doors = doors.map(|(url, relay)| Door::new(url, relay)).collect::<Result<_, _>>()?;
        let exchanger = Exchanger::new(&roots(&builder).await?, builder.client.tuning.max_reply_body)?;
        let options = builder.record.is_some().then(|| builder.client.clone());
        let config = builder.client.validate()?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(StartError::Random)?;
        let listen_error = |error| StartError::Listen { address: builder.listen, error };
        let listener = TcpListener::bind(builder.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let recording = builder.record.zip(options);
        let recording = recording.map(|(path, options)| record::start(path, options, seed)).transpose()?;
        let (tape, recording) = recording.unzip();
        let (inputs, waiting) = mpsc::channel(INPUTS);
        let (reports, reported) = mpsc::unbounded_channel();
        let (notices, _) = broadcast::channel(NOTICES);
        let flows = Flows { inputs, reports };
        let client = |now| Taped::new(Client::new(config, seed, now), tape, now);
        let journal = Journal::new(builder.relays.iter());
        let machine = Machine::new(client, exchanger, doors, waiting, reported, notices.clone(), journal);
        let stop = CancellationToken::new();
        let terms = Terms {
            credentials: builder.credentials,
            handshake_deadline: builder.handshake_deadline,
            max_connections: builder.max_connections,
            udp_targets: builder.udp_targets,
            stop: stop.clone(),
        };
        let machine = spawn(machine.run());
        let listening = spawn(listen(listener, flows.clone(), terms));
        info!(%address, relays, "client started");
        Ok(Self {
            address,
            flows,
            notices,
            stop,
            grace: builder.shutdown_grace,
            listening,
            machine,
            recording,
        })
    }

    /// Where it listens, with the real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The machine's notices from now on. An observer that falls more than 1024 behind misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<ClientNotice> {
        self.notices.subscribe()
    }

    /// What the machine has done so far.
    pub async fn stats(&self) -> ClientStats {
        let (answer, stats) = oneshot::channel();
        // A machine that has stopped has nothing to tell.
        let _ = self.flows.inputs.send(Input::Stats(answer)).await;
        stats.await.unwrap_or_default()
    }

    /// Opens a TCP flow for this program, with no socket between.
    ///
    /// # Errors
    /// [`ConnectError`] when the flow cannot be opened. In optimistic opening, a target that cannot be
    /// reached shows as a reset of the stream instead.
    pub async fn connect(&self, target: Target) -> Result<FlowStream, ConnectError> {
        let mut flow = self.flows.open(target, FlowKind::Tcp).await.map_err(|error| match error {
            OpenError::Refused(misuse) => ConnectError::Refused(misuse),
            OpenError::Stopped => ConnectError::Ended(EndReason::ClientClosed),
        })?;
        let credit = flow.opened().await.map_err(ConnectError::Ended)?;
        Ok(FlowStream::new(flow, credit))
    }

    /// Stops accepting, lets flows finish for as long as the builder said, ends the rest, and tells the node.
    /// A flow whose application has finished and heard nothing for 3 s is not waited for: most such
    /// applications have gone.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        // Flows that take longer are ended by the machine, which resets their sockets.
        let drained = timeout(self.grace, &mut self.listening).await.is_ok();
        let _ = self.flows.inputs.send(Input::Close).await;
        let farewell = async {
            let _ = (&mut self.machine).await;
            if !drained {
                let _ = (&mut self.listening).await;
            }
        };
        // What is not over by then is dropped.
        let _ = timeout(FAREWELL, farewell).await;
        drop(self.machine);
        if let Some(recording) = self.recording {
            recording.wait().await;
        }
        info!(address = %self.address, "client stopped");
    }
}

async fn roots(builder: &ProxyClientBuilder) -> Result<TlsRoots, StartError> {
    let Some(path) = &builder.ca_file else { return Ok(builder.roots.clone()) };
    let pem = tokio::fs::read(path).await;
    let pem = pem.map_err(|error| StartError::CaFile { path: path.clone(), error })?;
    Ok(TlsRoots::with_pem(&pem)?)
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    let handle: JoinHandle<()> = tokio::spawn(task);
    AbortOnDropHandle::new(handle)
}

/// Why a flow was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The machine takes no more flows: it has as many as it may, or is being shut down.
    Refused(seqlane::OpenError),
    /// The flow ended before it was open.
    Ended(EndReason),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(misuse) => write!(f, "{misuse}"),
            Self::Ended(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for ConnectError {}
