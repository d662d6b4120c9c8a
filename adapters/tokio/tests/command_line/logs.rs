//! Contents of the log.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::binary::{Listener, seqlane};

const NODE_KEY: &str = "node-key-for-no-eye";
const CLIENT_KEY: &str = "client-key-for-no-eye";
const SECRET: &str = "secret-for-no-eye";
const PATH: &str = "/path/for-no-eye";
const PASSWORD: &str = "password-for-no-eye";
const PAYLOAD: &[u8] = b"payload-for-no-eye";

/// A node, a relay and a client with these flags more.
struct System {
    node: Listener,
    relay: Listener,
    client: Listener,
}

impl System {
    fn start(flags: &[&str], of_relay: &[&str]) -> Self {
        Self::start_at("2", flags, of_relay)
    }

    /// The same with a client of this level.
    fn start_at(level: &str, flags: &[&str], of_relay: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0"];
        let any = ["--min-level", "0"];
        let node =
            ["node", "--allow-private"].into_iter().chain(any).chain(listen).chain(flags.iter().copied());
        let mut node = seqlane(&node.collect::<Vec<_>>());
        let node = Listener::start(node.env("SEQLANE_KEY", NODE_KEY).env("SEQLANE_SECRET", SECRET));
        let (node_url, keys) = (node.url(), ["--key", CLIENT_KEY, "--node-key", NODE_KEY]);
        let relay = ["relay", "--node", &node_url].into_iter().chain(listen).chain(keys);
        let relay = relay.chain(flags.iter().copied()).chain(of_relay.iter().copied());
        let relay = Listener::start(&mut seqlane(&relay.collect::<Vec<_>>()));
        let url = format!("{}{PATH}", relay.url());
        let user = ["--socks-user", "ann", "--socks-password", PASSWORD];
        let client = ["client", "--relay", &url].into_iter().chain(listen).chain(user);
        let client = client.chain(["--max-level", level]).chain(any).chain(flags.iter().copied());
        let mut client = seqlane(&client.collect::<Vec<_>>());
        let client = Listener::start(client.env("SEQLANE_KEY", CLIENT_KEY).env("SEQLANE_SECRET", SECRET));
        Self { node, relay, client }
    }

    /// Sends the payload through a SOCKS5 flow to an echo, and returns the received bytes, unless the flow is reset.
    fn echo(&self) -> std::io::Result<Vec<u8>> {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = echo.local_addr().unwrap().port();
        let mut socket = TcpStream::connect(&self.client.address).unwrap();
        let login = [&[1, 3][..], b"ann", &[PASSWORD.len() as u8], PASSWORD.as_bytes()].concat();
        let request = [&[5, 1, 0, 1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat();
        socket.write_all(&[&[5, 1, 2][..], &login, &request, PAYLOAD].concat()).unwrap();
        socket.read_exact(&mut [0; 2 + 2 + 10])?;
        std::thread::spawn(move || {
            let (mut served, _) = echo.accept().unwrap();
            let mut bytes = [0; PAYLOAD.len()];
            served.read_exact(&mut bytes).unwrap();
            served.write_all(&bytes).unwrap();
            served.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        socket.read_to_end(&mut back)?;
        Ok(back)
    }
}

#[test]
fn neither_keys_nor_payload_nor_the_path_of_a_relay_reach_any_log() {
    let mut system = System::start(&["-vvv", "--log-format", "json"], &["--redirect"]);
    assert_eq!(system.echo().unwrap(), PAYLOAD);
    system.client.logs(&["flow ended"]);
    system.node.logs(&["session ended"]);
    let System { node, relay, client } = system;
    let encoded = STANDARD.encode(PAYLOAD);
    let payload = String::from_utf8_lossy(PAYLOAD);
    for log in [node.whole_log(), relay.whole_log(), client.whole_log()] {
        assert!(log.contains("127.0.0.1"), "{log}");
        for secret in [NODE_KEY, CLIENT_KEY, SECRET, PASSWORD, PATH, &payload, &encoded] {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }
}

#[test]
fn every_flow_shows_at_v_and_every_call_at_vv() {
    let mut system = System::start(&["-v"], &[]);
    assert_eq!(system.echo().unwrap(), PAYLOAD);
    for words in
        [&["flow opened", "127.0.0.1"][..], &["flow connected", "level=2"], &["flow ended", "finished"]]
    {
        system.client.logs(words);
    }
    system.node.logs(&["session opened", "127.0.0.1"]);
    system.node.logs(&["session ended"]);
    for log in [system.client.whole_log(), system.relay.whole_log(), system.node.whole_log()] {
        assert!(!log.contains("DEBUG"), "{log}");
    }
    let mut system = System::start(&["-vv"], &[]);
    assert_eq!(system.echo().unwrap(), PAYLOAD);
    for log in [&mut system.client, &mut system.relay, &mut system.node] {
        log.logs(&["DEBUG", "answer", "bytes="]);
    }
}

#[test]
fn a_seal_that_relays_could_open_is_told_at_the_start() {
    let node = ["node", "--listen", "127.0.0.1:0", "--key", "k", "--max-level", "2"];
    Listener::start(&mut seqlane(&node)).logs(&["WARN", "not sealed", "--secret"]);
    let client =
        ["client", "--listen", "127.0.0.1:0", "--key", "k", "--max-level", "2", "--relay", "http://a"];
    Listener::start(&mut seqlane(&client)).logs(&["WARN", "not sealed", "--secret"]);
    let common = ["--listen", "127.0.0.1:0", "--key", "k", "--secret", SECRET];
    let node = Listener::start(&mut seqlane(&[&["node"][..], &common].concat()));
    let url = node.url();
    let client = [&["client"][..], &common, &["-v", "--node", &url]].concat();
    let mut client = Listener::start(&mut seqlane(&client));
    client.logs(&["relay works"]);
    for log in [node.whole_log(), client.whole_log()] {
        assert!(!log.contains("--secret"), "{log}");
    }
}

#[test]
fn a_flow_that_cannot_be_sealed_is_refused_with_a_warning_that_says_what_to_do() {
    let common = ["--listen", "127.0.0.1:0", "--key", "k"];
    let node = Listener::start(&mut seqlane(&[&["node", "--max-level", "1"][..], &common].concat()));
    let (url, secret) = (node.url(), ["--secret", SECRET, "--open", "confirmed"]);
    let client = [&["client", "--node", &url][..], &common, &secret].concat();
    let mut client = Listener::start(&mut seqlane(&client));
    let mut socket = TcpStream::connect(&client.address).unwrap();
    socket.write_all(b"CONNECT target.example:443 HTTP/1.1\r\n\r\n").unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 502");
    client.logs(&["WARN", "flow refused", "--min-level", "min_level=2"]);
}

#[test]
fn a_fallback_shows_without_being_asked_for() {
    let mut system = System::start_at("1", &[], &["--strip-seq"]);
    assert_eq!(system.echo().unwrap(), PAYLOAD);
    let relay = system.relay.url();
    system.client.logs(&["WARN", "level 1 is off", &relay]);
}

#[test]
fn a_fault_shows_where_it_happens_and_where_it_hurts() {
    let mut system = System::start(&["-v"], &["--html", "1"]);
    assert!(system.echo().is_err());
    system.relay.logs(&["answered with a page"]);
    let relay = system.relay.url();
    system.client.logs(&["WARN", "flows of levels 0 and 1 in it are reset", "a web page", &relay]);
    system.client.logs(&["flow ended"]);
}

#[test]
fn a_client_warns_at_its_start_about_what_does_not_work() {
    let node = Listener::start(&mut seqlane(&["node", "--listen", "127.0.0.1:0", "--key", NODE_KEY]));
    let start = |url: &str| {
        let client = ["client", "--listen", "127.0.0.1:0", "--key", CLIENT_KEY, "--node", url];
        Listener::start(&mut seqlane(&client))
    };
    start("http://127.0.0.1:1").logs(&["WARN", "cannot be reached", "refused", "http://127.0.0.1:1"]);
    start(&node.url()).logs(&["WARN", "the key is not the node's", &node.url()]);
}
