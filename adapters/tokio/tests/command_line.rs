//! The binary as a user or a supervisor meets it: arguments, exit codes, signals.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// The binary with these arguments, and an environment without values for it.
fn seqlane(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seqlane"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    seqlane(arguments).output().unwrap()
}

/// Asserts exit code 2 and returns the one line that says why.
fn usage_error(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text.strip_prefix("seqlane: ").unwrap().trim_end().to_owned()
}

/// A file that lives as long as this.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A running listener; killed when dropped.
struct Listener {
    child: Child,
    address: String,
}

impl Listener {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("{line}{why}");
        };
        Self { address: address.to_owned(), child }
    }

    #[cfg(unix)]
    fn end_by(mut self, signal: &str) -> ExitStatus {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
fn a_flag_that_does_not_exist_is_bad_usage() {
    assert_eq!(run(&["node", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&["client", "--key", "k"]).status.code(), Some(2));
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
fn bounds_of_the_library_are_named_as_flags() {
    let output = run(&["client", "--node", "http://a", "--key", "k", "--depth", "0"]);
    assert_eq!(usage_error(&output), "--depth: must be 1 to 64");
}

#[test]
fn a_port_that_is_taken_is_a_failure_and_not_bad_usage() {
    let node = Listener::start(&mut seqlane(&["node", "--key", "k", "--listen", "127.0.0.1:0"]));
    let output = run(&["node", "--key", "k", "--listen", &node.address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("seqlane: cannot listen on"));
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

#[test]
fn a_node_takes_the_environment_of_a_deployed_node() {
    let mut taken = Listener::start(seqlane(&["node"]).env("PORT", "0").env("TUNNEL_AUTH_KEY", "k"));
    assert!(taken.address.starts_with("0.0.0.0:"));
    assert!(taken.child.try_wait().unwrap().is_none());
    let error = usage_error(&seqlane(&["node", "--key", "k"]).env("PORT", "many").output().unwrap());
    assert!(error.contains("PORT"));
}

#[test]
fn keys_never_reach_the_log() {
    let key = "a-key-that-nobody-may-read";
    let mut command = seqlane(&["node", "--listen", "127.0.0.1:0", "-vvv", "--log-format", "json"]);
    let mut node = Listener::start(command.env("SEQLANE_KEY", key));
    node.child.kill().unwrap();
    let mut log = String::new();
    node.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("node started"), "{log}");
    assert!(!log.contains(key));
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
    assert_eq!(document["relays"][0]["level"], 1);
}

#[test]
fn a_short_demo_checks_every_row() {
    let output = run(&["demo", "--size", "64KiB", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{document}");
    assert_eq!(document["rows"].as_array().unwrap().len(), 18);
}
