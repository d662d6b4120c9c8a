//! Programs that end by themselves, with a result.

use crate::binary::{Listener, run, seqlane};

#[test]
fn check_says_which_relay_does_not_work() {
    let output = run(&["check", "--key", "k", "--relay", "http://127.0.0.1:1/", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["ok"], false);
    assert!(document["relays"][0]["problems"][0].as_str().unwrap().contains("cannot be reached"));
}

#[test]
fn check_is_content_with_a_node_that_works() {
    let node = Listener::start(&mut seqlane(&["node", "--listen", "127.0.0.1:0", "--key", "k"]));
    let output = run(&["check", "--key", "k", "--node", &format!("http://{}", node.address), "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{document}");
    assert_eq!(document["relays"][0]["level"], 2);
}

#[test]
fn a_short_demo_checks_every_row() {
    let output = run(&["demo", "--size", "64KiB", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{document}");
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 30);
    let losing = rows.iter().filter(|row| row["condition"].as_str().unwrap().contains("losing"));
    for row in losing {
        let cut = row["flows_whole"].as_u64() < row["flows"].as_u64();
        assert_eq!(cut, row["level"].as_u64() < Some(2), "{row}");
    }
}
