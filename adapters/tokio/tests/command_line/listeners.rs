//! Programs that serve until they are told to stop.

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
