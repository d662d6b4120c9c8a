//! Recordings of real sockets: what was recorded is replayed without a difference, and has no secret in it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seqlane::{ClientNotice, Level, OpenMode};
use seqlane_record::Ending;
use seqlane_sim::playback::{End, Playback, play};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::dial::{self, Association};
use seqlane_tests::harness::origin::{self, DatagramEcho};
use seqlane_tests::harness::{
    CLIENT_KEY, Harness, HarnessBuilder, NODE_KEY, Origin, Pattern, SECRET, fetch, push, read_to_end,
};
use seqlane_tokio::relay::RelayBuilder;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const LEVELS: [Level; 3] = [Level::Legacy, Level::Sequenced, Level::Streams];

/// The files of a client and of a node, removed in the end.
struct Files {
    client: PathBuf,
    node: PathBuf,
}

impl Files {
    fn new() -> Self {
        static USED: AtomicUsize = AtomicUsize::new(0);
        let number = USED.fetch_add(1, Ordering::Relaxed);
        let place =
            |name| std::env::temp_dir().join(format!("seqlane-{}-{number}.{name}", std::process::id()));
        Self { client: place("client"), node: place("node") }
    }

    /// A harness of this level that is recorded at both ends.
    fn recording(&self, level: Level) -> HarnessBuilder {
        let (client, node) = (self.client.clone(), self.node.clone());
        Harness::builder()
            .level(level)
            .node(|builder| builder.record(node).drain(Duration::ZERO))
            .client(|builder| builder.record(client).drain(Duration::ZERO))
    }

    /// Both recordings, replayed to their ends.
    fn replayed(&self) -> [Playback; 2] {
        [&self.client, &self.node].map(|path| {
            let file = std::fs::read(path).expect("it was recorded");
            for secret in [CLIENT_KEY, NODE_KEY, SECRET] {
                assert!(!file.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
            }
            let playback = play(file.into()).expect("a recording");
            assert_eq!(playback.end, End::Same(Ending::Stopped), "{playback:?}");
            playback
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [&self.client, &self.node] {
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn stop(harness: Harness) {
    soon(harness.client.shutdown()).await;
    soon(harness.node.shutdown()).await;
}

#[tokio::test]
async fn a_session_over_sockets_is_replayed_without_a_difference_at_every_level() {
    for (level, is_binary) in LEVELS.map(|level| (level, false)).into_iter().chain([(Level::Streams, true)]) {
        let files = Files::new();
        let harness = files.recording(level);
        let harness = if is_binary { harness.binary() } else { harness }.start().await;
        let mut notices = harness.notices();
        let (source, sink) = (Pattern::new(1), Pattern::new(2));
        let from = Origin::source(source, MIB).await;
        let to = Origin::sink(sink, MIB).await;
        let mut down = harness.connect(from.address()).await;
        let mut up = harness.connect(to.address()).await;
        let (fetched, pushed) = tokio::join!(soon(fetch(&mut down, source)), soon(push(&mut up, sink, MIB)));
        assert_eq!(fetched.unwrap(), MIB);
        pushed.unwrap();
        assert_eq!(soon(read_to_end(&mut up)).await.unwrap(), MIB.to_string().as_bytes());
        let echo = DatagramEcho::start().await;
        let association = soon(Association::open(harness.proxy())).await.unwrap();
        association.send(echo.address(), b"datagram").await.unwrap();
        assert_eq!(soon(association.receive()).await.unwrap().1, b"datagram");
        let is_of_level = |notice: &ClientNotice| matches!(notice, ClientNotice::Connected { level: it, .. } if *it == level);
        assert!(notices.so_far().iter().any(is_of_level), "{level}");
        stop(harness).await;
        for playback in files.replayed() {
            assert!(playback.events > 20 && playback.actions > 20, "{playback:?}");
        }
    }
}

#[tokio::test]
async fn a_session_through_relays_that_fail_is_replayed_without_a_difference_at_every_level() {
    let poor = |relay: RelayBuilder| {
        let relay = relay.seed(3).delay(Duration::from_millis(3)).jitter(Duration::from_millis(3));
        relay.lose_request(0.05).lose_reply(0.05).duplicate(0.05).truncate(0.05).html(0.05).status(429, 0.02)
    };
    for level in LEVELS {
        let files = Files::new();
        let harness = files.recording(level).relay(poor).relay(|relay| relay).start().await;
        let pattern = Pattern::new(7);
        let origin = Origin::source(pattern, MIB / 4).await;
        for _ in 0..6 {
            // Whether it is whole is another test's business.
            let Ok(mut socket) = soon(dial::socks(harness.proxy(), origin.address())).await else { continue };
            let _ = soon(fetch(&mut socket, pattern)).await;
        }
        stop(harness).await;
        let [client, _] = files.replayed();
        assert!(client.events > 20, "{client:?}");
    }
}

#[tokio::test]
async fn refusals_of_targets_and_keys_are_replayed_too() {
    let files = Files::new();
    let confirmed = |options: &mut seqlane::ClientOptions| options.open = OpenMode::Confirmed;
    let harness = files
        .recording(Level::Sequenced)
        .client_options(confirmed)
        .relay_with_wrong_key()
        .relay(|relay| relay);
    let harness = harness.start().await;
    let nobody = origin::closed().await;
    for _ in 0..4 {
        assert!(soon(dial::socks(harness.proxy(), nobody)).await.is_err());
    }
    stop(harness).await;
    let file = std::fs::read(&files.node).unwrap();
    assert!(!file.windows(11).any(|part| part == b"another key"), "a foreign key is in the recording");
    files.replayed();
}
