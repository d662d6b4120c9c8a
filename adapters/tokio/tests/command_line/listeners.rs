//! Commands that serve until a signal stops them.

#[cfg(unix)]
use seqlane_record::{Ending, Entry, Recording};

#[cfg(unix)]
use crate::binary::File;
use crate::binary::{Listener, run, seqlane, usage_error};

#[test]
fn a_port_that_is_taken_is_a_failure_and_not_bad_usage() {
    let node = Listener::start(&mut seqlane(&["node", "--key", "k", "--listen", "127.0.0.1:0"]));
    let output = run(&["node", "--key", "k", "--listen", &node.address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("seqlane: cannot listen on"));
}

#[test]
fn a_node_takes_the_environment_of_a_deployed_node() {
    let mut taken = Listener::start(seqlane(&["node"]).env("PORT", "0").env("TUNNEL_AUTH_KEY", "k"));
    assert!(taken.address.starts_with("0.0.0.0:"));
    assert!(taken.is_running());
    let error = usage_error(&seqlane(&["node", "--key", "k"]).env("PORT", "many").output().unwrap());
    assert!(error.contains("PORT"));
}

#[test]
#[cfg(unix)]
fn a_signal_ends_every_listener_with_success() {
    let node = ["node", "--listen", "127.0.0.1:0", "--key", "k"];
    let client = ["client", "--listen", "127.0.0.1:0", "--key", "k", "--node", "http://127.0.0.1:1"];
    let relay =
        ["relay", "--listen", "127.0.0.1:0", "--key", "k", "--node-key", "n", "--node", "http://127.0.0.1:1"];
    for arguments in [&node[..], &client[..], &relay[..]] {
        for signal in ["-INT", "-TERM"] {
            assert_eq!(Listener::start(&mut seqlane(arguments)).end_by(signal).code(), Some(0));
        }
    }
}

#[test]
#[cfg(unix)]
fn a_listener_that_is_told_to_record_leaves_a_whole_recording_without_the_key() {
    let node = ["node", "--listen", "127.0.0.1:0", "--key", "a long key"];
    let client = ["client", "--listen", "127.0.0.1:0", "--key", "a long key", "--node", "http://127.0.0.1:1"];
    for arguments in [&node[..], &client[..]] {
        let file = File::absent(&format!("{}.recording", arguments[0]));
        let record = [arguments, &["--record", file.path()]].concat();
        let mut listener = Listener::start(&mut seqlane(&record));
        assert!(listener.logs(&["recording", "everything"]).contains("WARN"));
        assert_eq!(listener.end_by("-TERM").code(), Some(0));
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(10).any(|part| part == b"a long key"));
        let entries: Vec<_> = match Recording::read(bytes.into()).unwrap() {
            Recording::Client(recorded) => recorded.entries.map(|entry| entry.map(ending_of)).collect(),
            Recording::Node(recorded) => recorded.entries.map(|entry| entry.map(ending_of)).collect(),
        };
        assert_eq!(entries.last(), Some(&Ok(Some(Ending::Stopped))));
        // What is there already is not written over.
        assert!(usage_error(&run(&record)).starts_with("--record: cannot record to"));
    }
}

#[cfg(unix)]
fn ending_of<E>(entry: Entry<E>) -> Option<Ending> {
    match entry {
        Entry::End(ending) => Some(ending),
        Entry::Event { .. } | Entry::Refused(_) | Entry::Action(_) => None,
    }
}
