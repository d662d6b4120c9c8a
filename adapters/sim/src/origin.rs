//! The version and commit of the code that made a run.

use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::rng::SCHEME;

/// What must be the same for a seed to make the same run.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The version of this crate.
    pub version: String,
    /// The scheme that turns seeds into decisions.
    pub rng: String,
    /// The commit, where it is known.
    pub commit: Option<String>,
    /// Whether anything was changed after the commit.
    pub dirty: Option<bool>,
}

impl Origin {
    /// This program: the commit it was built from if the build said so (`SEQLANE_COMMIT`), else the one that is
    /// checked out where it runs.
    pub fn here() -> Self {
        let built = option_env!("SEQLANE_COMMIT").map(str::to_owned);
        let commit = built.clone().or_else(|| git(&["rev-parse", "HEAD"]));
        let status = if built.is_some() { None } else { git(&["status", "--porcelain", "-uno"]) };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rng: SCHEME.to_owned(),
            commit,
            dirty: status.map(|changes| !changes.is_empty()),
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
