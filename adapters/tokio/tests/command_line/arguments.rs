//! What is bad usage, and where values come from.

use crate::binary::{File, Listener, run, seqlane, usage_error};

#[test]
fn help_has_examples_and_exit_codes_for_every_command() {
    for command in ["demo", "node", "client", "relay", "check"] {
        let output = run(&[command, "--help"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(text.contains("Examples:") && text.contains("Exit codes:"), "{command}");
    }
}

#[test]
fn bad_usage_is_said_in_one_line_that_names_the_flag() {
    for (arguments, words) in [
        (&["nod"][..], &["'nod'", "'node'", "--help"][..]),
        (&["node", "--no-such-flag"], &["'--no-such-flag'"]),
        (&["node", "--listen", "here"], &["'here'", "--listen"]),
        (&["node", "--max-level", "9"], &["--max-level", "a level is 0, 1 or 2"]),
        (&["client", "--key", "k"], &["--relay <URL>", "--node <URL>"]),
        (&["client", "--key", "k", "--relay", "http://a", "--node", "http://b"], &["--relay", "--node"]),
        (&["client", "--key", "k", "--relay", "ftp://a"], &["must start with http:// or https://"]),
        (&["client", "--key", "k", "--relay", "http://a", "--open", "x"], &["optimistic, confirmed"]),
        (&["client", "--key", "k", "--relay", "http://a", "--ca", "/no/file"], &["--ca", "/no/file"]),
        (&["relay"], &["--node <URL>, --key <KEY>, --node-key <KEY>"]),
        (&["relay", "--key", "k", "--node-key", "n", "--node", "x"], &["--node", "http://"]),
        (&["relay", "--key", "k", "--node-key", "n", "--node", "http://a", "--delay", "5"], &["--delay"]),
        (&["check", "--key", "k", "--relay", "http://a", "--target", "x"], &["--target", "example.org:443"]),
        (&["check", "--key", "k", "--relay", "http://a", "--hold", "51s"], &["--hold", "50s"]),
        (&["demo", "--size", "1"], &["--size"]),
    ] {
        let error = usage_error(&run(arguments));
        assert!(words.iter().all(|word| error.contains(word)), "{arguments:?}: {error}");
    }
}

#[test]
fn a_missing_key_is_bad_usage_and_says_where_to_put_one() {
    assert!(usage_error(&run(&["node"])).contains("SEQLANE_KEY"));
    assert!(usage_error(&run(&["client", "--node", "http://a"])).contains("SEQLANE_KEY"));
    assert!(usage_error(&run(&["check", "--node", "http://a"])).contains("SEQLANE_KEY"));
}

#[test]
fn an_empty_key_is_refused() {
    assert!(usage_error(&run(&["node", "--key", ""])).contains("--key"));
}

#[test]
fn an_empty_secret_is_refused() {
    assert!(usage_error(&run(&["node", "--key", "k", "--secret", ""])).contains("--secret"));
    let client = ["client", "--node", "http://a", "--key", "k", "--secret", ""];
    assert!(usage_error(&run(&client)).contains("--secret"));
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    let node = ["node", "--key", "a key of this length", "--secret"];
    let short = usage_error(&run(&[&node[..], &["fifteen letters"]].concat()));
    assert!(short.contains("16 to 1024 bytes") && short.contains("seqlane keygen"), "{short}");
    let same = usage_error(&run(&[&node[..], &["a key of this length"]].concat()));
    assert!(same.contains("must not be a key"), "{same}");
    let empty = seqlane(&["node", "--key", "k"]).env("SEQLANE_SECRET", "").output().unwrap();
    assert!(usage_error(&empty).contains("--secret"));
}

#[test]
fn a_level_below_the_lowest_is_refused() {
    let node = ["node", "--key", "k", "--secret", "known to both ends", "--max-level", "1"];
    assert!(usage_error(&run(&node)).contains("--min-level"));
}

#[test]
fn keygen_prints_a_new_secret_each_time() {
    let print = || String::from_utf8(run(&["keygen"]).stdout).unwrap();
    let (first, second) = (print(), print());
    assert!(
        first != second && first.len() == 65 && first.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit())
    );
}

#[test]
fn packets_need_a_key_that_fits_into_a_header() {
    let client = ["client", "--relay", "http://a", "--key", "k\n", "--binary"];
    assert!(usage_error(&run(&client)).starts_with("--binary: needs a key"));
    let relay = ["relay", "--node", "http://a", "--key", "k", "--node-key", "n\n", "--binary"];
    assert!(usage_error(&run(&relay)).starts_with("--node-key: must have no control character"));
}

#[test]
fn bounds_of_the_library_are_named_as_flags() {
    let output = run(&["client", "--node", "http://a", "--key", "k", "--depth", "0"]);
    assert_eq!(usage_error(&output), "--depth: must be 1 to 64");
}

#[test]
fn a_file_has_the_names_of_the_flags() {
    let file =
        File::new("names.toml", "listen = \"127.0.0.1:0\"\nkey = \"k\"\nallow-private = true\nverbose = 2\n");
    let node = Listener::start(&mut seqlane(&["node", "--config", file.path()]));
    assert!(node.address.starts_with("127.0.0.1:"));
}

#[test]
fn lists_in_a_file_are_repeated_flags() {
    let text = "key = \"k\"\nlisten = \"127.0.0.1:0\"\nrelay = [\"http://a/x\", \"http://b/y\"]\n";
    let file = File::new("lists.toml", text);
    Listener::start(&mut seqlane(&["client", "--config", file.path()]));
}

#[test]
fn an_unknown_name_in_a_file_is_named() {
    let file = File::new("unknown.toml", "key = \"k\"\nlissten = \"127.0.0.1:0\"\n");
    let error = usage_error(&run(&["node", "--config", file.path()]));
    assert!(error.contains("unknown.toml") && error.contains("`lissten`"), "{error}");
}

#[test]
fn a_bad_value_in_a_file_is_blamed_on_the_file() {
    let file = File::new("value.toml", "key = \"k\"\nmax-level = 7\n");
    let error = usage_error(&run(&["node", "--config", file.path()]));
    assert!(error.contains("value.toml") && error.contains("--max-level"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_bad_usage() {
    let error = usage_error(&run(&["node", "--config", "/no/such/file.toml"]));
    assert!(error.contains("/no/such/file.toml"));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file =
        File::new("wins.toml", "key = \"k\"\nlisten = \"127.0.0.1:0\"\ndepth = 0\nnode = \"http://a\"\n");
    let of_file = run(&["client", "--config", file.path()]);
    assert!(usage_error(&of_file).contains("--depth"));
    let of_environment =
        seqlane(&["client", "--config", file.path()]).env("SEQLANE_DEPTH", "99").output().unwrap();
    assert!(usage_error(&of_environment).contains("--depth"));
    let mut of_flag = seqlane(&["client", "--config", file.path(), "--depth", "4"]);
    Listener::start(of_flag.env("SEQLANE_DEPTH", "99"));
}

#[test]
fn a_relay_flag_replaces_the_node_of_a_file() {
    let file = File::new("rivals.toml", "key = \"k\"\nlisten = \"127.0.0.1:0\"\nnode = \"http://a\"\n");
    Listener::start(&mut seqlane(&["client", "--config", file.path(), "--relay", "http://b/x"]));
}
