//! Users of a node, from a file.

use std::io::Write;
use std::net::TcpStream;

use crate::binary::{File, Listener, run, seqlane, usage_error};

const LAPTOP: &str = "[[user]]\nname = \"laptop\"\nsecret = \"laptop-for-no-eye\"\n";
const PHONE: &str = "[[user]]\nname = \"phone\"\nsecret = \"phone-for-no-eye\"\n";

fn node(file: &File) -> Listener {
    let node = ["node", "-v", "--listen", "127.0.0.1:0", "--key", "k", "--users", file.path()];
    Listener::start(&mut seqlane(&node))
}

fn client(node: &Listener, secret: &str) -> Listener {
    let (url, listen) = (node.url(), ["--listen", "127.0.0.1:0"]);
    let client = ["client", "-v", "--key", "k", "--secret", secret, "--node", &url];
    Listener::start(&mut seqlane(&[&client[..], &listen].concat()))
}

/// Asks a client for a target that the node does not open.
fn ask(client: &Listener) -> TcpStream {
    let mut socket = TcpStream::connect(&client.address).unwrap();
    socket.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 9]).unwrap();
    socket
}

#[test]
fn a_bad_file_is_bad_usage_and_names_the_user_and_never_a_secret() {
    let user = |name: &str, secret: &str| format!("[[user]]\nname = {name:?}\nsecret = {secret:?}\n");
    for (number, (text, words)) in [
        (String::new(), &["there is no user"][..]),
        (format!("{LAPTOP}alow = []"), &["user \"laptop\"", "`alow`", "allow"]),
        (format!("{LAPTOP}deny = [\"10.0.0.0/8\"]"), &["user \"laptop\"", "is no HOST:PORT"]),
        (
            format!("{LAPTOP}{}", user("laptop", "another for-no-eye")),
            &["user \"laptop\"", "another user has this name"],
        ),
        (
            format!("{LAPTOP}{}", user("tablet", "laptop-for-no-eye")),
            &["user \"tablet\"", "seqlane keygen", "\"laptop\""],
        ),
        (user("tablet", "for-no-eye"), &["user \"tablet\"", "16 to 1024 bytes", "seqlane keygen"]),
        (user("tablet", "the key for-no-eye"), &["user \"tablet\"", "must not be the node's key"]),
        ("[[user]]\nname = \"laptop\"\nsecret = laptop-for-no-eye\n".into(), &["line 3"]),
    ]
    .into_iter()
    .enumerate()
    {
        let file = File::new(&format!("bad-users-{number}.toml"), &text);
        let error = usage_error(&run(&["node", "--key", "the key for-no-eye", "--users", file.path()]));
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        assert!(!error.contains("for-no-eye"), "{error}");
    }
    let error = usage_error(&run(&["node", "--key", "k", "--users", "/no/such/users.toml"]));
    assert!(error.contains("/no/such/users.toml"));
}

#[test]
fn with_users_the_lowest_level_is_2() {
    let file = File::new("users-level.toml", LAPTOP);
    let error = usage_error(&run(&["node", "--key", "k", "--users", file.path(), "--max-level", "1"]));
    assert!(error.contains("--min-level"), "{error}");
}

#[test]
fn a_file_that_changes_is_read_again_and_a_bad_one_changes_nothing() {
    let file = File::new("users-change.toml", &format!("{LAPTOP}{PHONE}"));
    let mut node = node(&file);
    let mut phone = client(&node, "phone-for-no-eye");
    let _refused = ask(&phone);
    node.logs(&["client connected", "user=phone"]);
    file.change(&format!("{LAPTOP}{LAPTOP}"));
    node.logs(&["WARN", "the node keeps those that it has", "laptop", "another user has this name"]);
    file.change(LAPTOP);
    node.logs(&["users read again", "users=1"]);
    node.logs(&["client gone", "its user was removed or changed"]);
    node.logs(&["user's total", "user=\"phone\"", "refused=1"]);
    let _unanswered = ask(&phone);
    phone.logs(&["WARN", "the node has removed or changed the user of this secret"]);
    let log = node.whole_log();
    assert!(!log.contains("for-no-eye") && !log.contains("not sealed"), "{log}");
}

#[cfg(unix)]
#[test]
fn a_hangup_reads_the_file_again() {
    let file = File::new("users-hangup.toml", LAPTOP);
    let mut node = node(&file);
    node.signal("-HUP");
    node.logs(&["users read again", "users=1"]);
    assert_eq!(node.end_by("-TERM").code(), Some(0));
}
