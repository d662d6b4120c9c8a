//! Users of a node: a file of them, which is read again when it changes.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use seqlane_tokio::Node;
use seqlane_tokio::node::{Access, User};
use serde::Deserialize;
use toml::{Table, Value};
use tracing::{info, warn};

use super::failure::Failure;
use super::signal::Hangups;
use super::sources;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// A file of users.
pub(super) struct UsersFile {
    path: PathBuf,
    hangups: Hangups,
    /// When it was changed and its length, before it was read; none if it is not there.
    stamp: Option<(SystemTime, u64)>,
}

impl UsersFile {
    /// Reads the file. From now on a hangup does not end the process.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Vec<User>), Failure> {
        let hangups = Hangups::listen()?;
        let stamp = stamp(&path);
        let users = read(&path)?;
        Ok((Self { path, hangups, stamp }, users))
    }

    /// Gives the node the users of the file, on each hangup, and whenever the file has changed.
    pub(super) async fn watch(mut self, node: &Node) -> Infallible {
        loop {
            let is_asked = tokio::select! {
                () = self.hangups.next() => true,
                () = tokio::time::sleep(INTERVAL) => false,
            };
            let stamp = stamp(&self.path);
            if is_asked || stamp != self.stamp {
                self.stamp = stamp;
                self.reload(node).await;
            }
        }
    }

    async fn reload(&self, node: &Node) {
        let reloaded = match read(&self.path) {
            Ok(users) => {
                let count = users.len();
                let set = node.set_users(users).await;
                set.map(|()| count).map_err(|error| sources::in_file(&self.path, error))
            }
            Err(failure) => Err(failure),
        };
        match reloaded {
            Ok(users) => info!(users, "users read again"),
            Err(failure) => {
                warn!(reason = failure.text(), "users not read again: the node keeps those that it has")
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// A user as it stands in the file. What is wrong is told without the values: one of them is a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    secret: String,
    max_streams: Option<u32>,
    max_clients: Option<usize>,
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Vec<String>,
}

fn read(path: &Path) -> Result<Vec<User>, Failure> {
    let table = sources::table(path)?;
    users(&table).map_err(|reason| sources::in_file(path, reason))
}

fn users(table: &Table) -> Result<Vec<User>, String> {
    if let Some(other) = table.keys().find(|name| *name != "user") {
        return Err(format!("`{other}` is not known here: the file has [[user]] tables and nothing else"));
    }
    match table.get("user") {
        Some(Value::Array(entries)) if !entries.is_empty() => {
            entries.iter().enumerate().map(|(place, entry)| user(place, entry)).collect()
        }
        Some(Value::Array(_)) | None => {
            Err("there is no user: each is a [[user]] table with name and secret".into())
        }
        Some(_) => Err("a user is a [[user]] table, in two pairs of brackets".into()),
    }
}

fn user(place: usize, entry: &Value) -> Result<User, String> {
    let name = entry.get("name").and_then(Value::as_str);
    let name =
        name.map_or_else(|| format!("user {} of the file", place + 1), |name| format!("user {name:?}"));
    let bad = |reason: &dyn std::fmt::Display| format!("{name}: {reason}");
    if entry.get("secret").is_some_and(|secret| !secret.is_str()) {
        return Err(bad(&"`secret` must be a string"));
    }
    let entry: Entry = entry
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| bad(&error.message().replace('\n', " ")))?;
    if entry.allow.as_ref().is_some_and(Vec::is_empty) {
        return Err(bad(&"`allow` is empty: leave it out to allow everything, or remove the user"));
    }
    let access = Access::new(entry.allow.unwrap_or_default(), entry.deny);
    let mut user = User::new(entry.name, entry.secret).access(access.map_err(|error| bad(&error))?);
    user.options.max_streams = entry.max_streams;
    user.options.max_clients = entry.max_clients;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<User>, String> {
        users(&text.parse().unwrap())
    }

    #[test]
    fn a_file_has_users_with_limits_and_rules() {
        let text = r#"
            [[user]]
            name = "laptop"
            secret = "the secret of a laptop"

            [[user]]
            name = "phone"
            secret = "the secret of a phone!"
            max_streams = 64
            max_clients = 2
            allow = ["*:443", "10.0.0.0/8:*"]
            deny = ["*.example.com:*"]
        "#;
        let mut phone = User::new("phone", "the secret of a phone!");
        (phone.options.max_streams, phone.options.max_clients) = (Some(64), Some(2));
        phone.access = Access::new(["*:443", "10.0.0.0/8:*"], ["*.example.com:*"]).unwrap();
        assert_eq!(parse(text).unwrap(), [User::new("laptop", "the secret of a laptop"), phone]);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_and_without_the_secret() {
        let user = |rest: &str| format!("[[user]]\nname = \"ann\"\nsecret = \"never to be seen\"\n{rest}");
        for (text, words) in [
            (String::new(), "there is no user"),
            ("user = []".into(), "there is no user"),
            ("[user]\nname = \"ann\"".into(), "two pairs of brackets"),
            (format!("{}\n[other]", user("")), "`other` is not known here"),
            ("[[user]]\nsecret = \"never to be seen\"".into(), "user 1 of the file: missing field `name`"),
            ("[[user]]\nname = \"ann\"".into(), "user \"ann\": missing field `secret`"),
            ("[[user]]\nname = \"ann\"\nsecret = 4711".into(), "user \"ann\": `secret` must be a string"),
            (user("alow = []"), "user \"ann\": unknown field `alow`, expected one of"),
            (user("max_streams = -1"), "user \"ann\": invalid value: integer `-1`"),
            (user("max_clients = \"2\""), "user \"ann\": invalid type: string \"2\""),
            (user("allow = []"), "user \"ann\": `allow` is empty"),
            (user("allow = [\"example.org\"]"), "user \"ann\": \"example.org\": is no HOST:PORT"),
            (user("deny = [\"10.0.0.0/40:*\"]"), "user \"ann\": \"10.0.0.0/40:*\": the length of a range"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
            assert!(!error.contains("never to be seen") && !error.contains("4711"), "{error}");
        }
    }
}
