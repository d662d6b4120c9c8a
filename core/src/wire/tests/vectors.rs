//! The test vectors of protocol.md 3.7: what is written there is what the other tests check.

extern crate std;

use alloc::format;
use alloc::string::String;

use serde_json::Value;

/// Whether the page has a value, whatever the line breaks.
fn assert_written(page: &str, name: &str, value: &Value) {
    let hex = value.as_str().unwrap();
    assert!(page.contains(hex), "{name} is {hex}");
}

#[test]
fn the_vectors_of_the_handshake_are_on_the_page() {
    let page: String = include_str!("../../../../docs/protocol.md").split_whitespace().collect();
    let vectors: Value = serde_json::from_str(include_str!("handshake.json")).unwrap();
    for key in ["psk", "k_id", "k_notice"] {
        assert_written(&page, key, &vectors["from the secret"][key]);
        assert_written(&page, key, &vectors["open (from the empty secret)"][key]);
    }
    for name in ["r", "client id", "open client id"] {
        assert_written(&page, name, &vectors["id"][name]);
    }
    for name in ["client private", "client public", "node private", "node public", "shared"] {
        assert_written(&page, name, &vectors["ephemeral"][name]);
    }
    for step in vectors["noise"]["after step"].as_object().unwrap().values() {
        assert_written(&page, "h", &step["h"]);
        assert_written(&page, "ck", &step["ck"]);
    }
    for message in ["hello", "answer"] {
        assert_written(&page, message, &vectors[message]["packet"]);
    }
    for way in ["up", "down"] {
        assert_written(&page, way, &vectors["connection keys"][way]);
    }
    for (group, field) in [("packets", "plaintext"), ("packets", "packet"), ("notices", "packet")] {
        for (name, written) in vectors[group].as_object().unwrap() {
            assert_written(&page, &format!("{name}, {field}"), &written[field]);
        }
    }
}
