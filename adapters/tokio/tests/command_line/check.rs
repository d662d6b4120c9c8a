//! Findings of `seqlane check` at level 2, and about holds.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::binary::{Listener, run, seqlane};

const SECRET: &str = "known to both ends";

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// A node of every level, with the key `n` and the secret.
fn node() -> Listener {
    let flags = ["node", "--key", "n", "--secret", SECRET, "--max-level", "2", "--allow-private"];
    Listener::start(&mut seqlane(&[&flags[..], &LISTEN].concat()))
}

/// A relay with the key `k` before a node.
fn relay(node: &Listener, flags: &[&str]) -> Listener {
    let (url, keys) = (node.url(), ["--key", "k", "--node-key", "n"]);
    Listener::start(&mut seqlane(&[&["relay", "--node", &url][..], &keys, &LISTEN, flags].concat()))
}

/// The exit code of a check, and its report of the one relay.
fn check(flags: &[&str]) -> (Option<i32>, Value) {
    let output = run(&[&["check", "--json"][..], flags].concat());
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), document["relays"][0].clone())
}

#[track_caller]
fn has(list: &Value, words: &str) {
    let lines = list.as_array().unwrap();
    assert!(lines.iter().any(|line| line.as_str().unwrap().contains(words)), "{words}: {list}");
}

#[test]
fn a_relay_of_level_2_is_tested_in_both_packagings_and_its_holds_are_measured() {
    let node = node();
    let relay = relay(&node, &["--binary"]);
    let (code, report) = check(&[
        "--relay",
        &relay.url(),
        "--key",
        "k",
        "--secret",
        SECRET,
        "--binary",
        "--hold",
        "200ms",
        "--daily-calls",
        "100",
    ]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!((&report["level"], &report["binary"]), (&2.into(), &true.into()));
    assert_eq!((&report["longest_hold_ms"], &report["hold_limit_ms"]), (&200.0.into(), &Value::Null));
    assert_eq!((&report["doubled"], &report["calls"]), (&0.into(), &12.into()));
    assert_eq!(report["calls_left"], 88);
    has(&report["advice"], "of 100 calls");
}

#[test]
fn a_node_is_tested_with_no_relay_between() {
    let node = node();
    let (code, report) = check(&["--node", &node.url(), "--key", "n", "--secret", SECRET, "--hold", "0s"]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!((&report["level"], &report["binary"]), (&2.into(), &true.into()));
    assert_eq!(report["longest_hold_ms"], Value::Null);
}

#[test]
fn a_secret_that_is_not_the_nodes_is_a_problem() {
    let node = node();
    let (code, report) =
        check(&["--relay", &relay(&node, &[]).url(), "--key", "k", "--secret", "another secret altogether"]);
    assert_eq!((code, &report["level"]), (Some(1), &Value::Null));
    has(&report["problems"], "the node has another secret, and with a secret no flow goes without level 2");
    has(&report["advice"], "--secret");
}

#[test]
fn a_target_is_opened_at_level_2_where_a_secret_is_given() {
    let (node, open, closed) =
        (node(), TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let flags = ["--node", &node.url(), "--key", "n", "--secret", SECRET, "--hold", "0s", "--target"];
    let (code, report) = check(&[&flags[..], &[&open.local_addr().unwrap().to_string()]].concat());
    assert_eq!(code, Some(0), "{report}");
    let refused = closed.local_addr().unwrap().to_string();
    drop(closed);
    let (code, report) = check(&[&flags[..], &[&refused]].concat());
    assert_eq!(code, Some(1), "{report}");
    has(&report["problems"], &format!("could not open {refused}"));
    has(&report["notes"], "on its own loopback");
}

#[test]
fn a_node_without_level_2_is_a_problem_where_a_secret_is_given() {
    let node = ["node", "--key", "n", "--max-level", "1", "--allow-private"];
    let node = Listener::start(&mut seqlane(&[&node[..], &LISTEN].concat()));
    let (code, report) = check(&["--node", &node.url(), "--key", "n", "--secret", SECRET]);
    assert_eq!(code, Some(1), "{report}");
    has(&report["problems"], "the node does not offer level 2");
    let (code, _) = check(&["--node", &node.url(), "--key", "n"]);
    assert_eq!(code, Some(0));
}

#[test]
fn a_node_with_a_secret_says_so_to_who_has_none() {
    let (code, report) = check(&["--node", &node().url(), "--key", "n"]);
    assert_eq!(code, Some(1), "{report}");
    has(&report["problems"], "this node takes level 2 only");
}

#[test]
fn a_relay_that_drops_raw_packets_contradicts_the_binary_flag() {
    let node = node();
    let relay = relay(&node, &[]);
    let flags = ["--relay", &relay.url(), "--key", "k", "--secret", SECRET, "--hold", "0s"];
    let (code, report) = check(&flags);
    assert_eq!((code, &report["binary"]), (Some(0), &false.into()));
    let (code, report) = check(&[&flags[..], &["--binary"]].concat());
    assert_eq!(code, Some(1));
    has(&report["problems"], "leave --binary out");
}

#[test]
fn duplicated_calls_are_counted() {
    let node = node();
    let relay = relay(&node, &["--duplicate", "1"]);
    let (_, report) = check(&["--relay", &relay.url(), "--key", "k", "--secret", SECRET, "--hold", "0s"]);
    assert!(report["doubled"].as_u64().unwrap() > 0, "{report}");
    has(&report["advice"], "duplicates calls");
}

#[test]
fn at_level_1_a_poll_of_the_target_is_held() {
    let node = ["node", "--key", "n", "--max-level", "1", "--allow-private"];
    let node = Listener::start(&mut seqlane(&[&node[..], &LISTEN].concat()));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = silent.local_addr().unwrap().to_string();
    let (code, report) =
        check(&["--node", &node.url(), "--key", "n", "--target", &target, "--hold", "200ms"]);
    assert_eq!((code, &report["level"]), (Some(0), &1.into()), "{report}");
    assert_eq!((&report["longest_hold_ms"], &report["hold_limit_ms"]), (&200.0.into(), &Value::Null));
}

/// Far more than a call takes that is not held, and less than the longest hold of the test.
const CEILING: Duration = Duration::from_secs(2);

/// The address of a proxy that closes connections without an answer for a while.
fn impatient(node: &Listener) -> String {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let node = node.address.clone();
    std::thread::spawn(move || {
        for near in proxy.incoming().flatten() {
            let far = TcpStream::connect(&node).unwrap();
            far.set_read_timeout(Some(CEILING)).unwrap();
            let (mut up, mut up_to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut up, &mut up_to));
            std::thread::spawn(move || carry_back(far, near));
        }
    });
    url
}

fn carry_back(mut far: TcpStream, mut near: TcpStream) {
    let mut piece = [0; 4096];
    loop {
        match far.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => near.write_all(&piece[..len]).unwrap_or(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    for socket in [far, near] {
        // Whoever is there has seen an end already, if this fails.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_limit_of_holds_is_found() {
    let node = node();
    let (_, report) = check(&["--node", &impatient(&node), "--key", "n", "--secret", SECRET, "--hold", "4s"]);
    let limit = report["hold_limit_ms"].as_f64().unwrap_or_else(|| panic!("no ceiling: {report}"));
    assert!(limit <= 4000.0 && report["longest_hold_ms"].as_f64().unwrap() < limit, "{report}");
    has(&report["advice"], "drops calls that are held for");
}
