//! Scratch copy of the workspace in which mutants are built.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

use super::patch::git_apply;
use crate::cli::verdict::CliError;

/// The crates that the simulator is built from.
const CRATES: [&str; 3] = ["core", "adapters/record", "adapters/sim"];

/// Settings of the profile `sim` that build faster than they run.
const PROFILE: [(&str, &str); 3] = [
    ("CARGO_PROFILE_SIM_LTO", "off"),
    ("CARGO_PROFILE_SIM_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_SIM_INCREMENTAL", "true"),
];

/// A copy of the workspace in `target/mutants`, with a target directory that all mutants share.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    /// Copies the workspace.
    pub(crate) fn new(root: &Path) -> Result<Self, CliError> {
        let scratch = Self { directory: root.join("target/mutants") };
        let tree = scratch.tree();
        let copied = || {
            if tree.exists() {
                std::fs::remove_dir_all(&tree)?;
            }
            std::fs::create_dir_all(&tree)?;
            std::fs::copy(root.join("Cargo.lock"), tree.join("Cargo.lock"))?;
            std::fs::write(
                tree.join("Cargo.toml"),
                manifest(&std::fs::read_to_string(root.join("Cargo.toml"))?)?,
            )?;
            CRATES.iter().try_for_each(|path| copy(&root.join(path), &tree.join(path)))
        };
        copied().map_err(|error: io::Error| CliError::file(&tree, error))?;
        Ok(scratch)
    }

    fn tree(&self) -> PathBuf {
        self.directory.join("tree")
    }

    /// The directory for the failures of a mutant.
    pub(crate) fn failures(&self, name: &str) -> PathBuf {
        self.directory.join("failures").join(name)
    }

    /// Applies a patch, and builds the simulator.
    pub(crate) fn build(&self, patch: &Path) -> Result<PathBuf, String> {
        git_apply(&self.tree(), &[], patch)?;
        let target = self.directory.join("target");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args("build --quiet --profile sim --package seqlane-sim --bin seqlane-sim".split(' '))
            .current_dir(self.tree())
            .env("CARGO_TARGET_DIR", &target)
            .envs(PROFILE)
            .output()
            .map_err(|error| format!("cargo cannot be run: {error}"))?;
        if output.status.success() {
            return Ok(target.join("sim").join(format!("seqlane-sim{}", std::env::consts::EXE_SUFFIX)));
        }
        Err(format!("does not build: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// Takes a patch back, if it was applied.
    pub(crate) fn restore(&self, patch: &Path) -> Result<(), CliError> {
        let tree = self.tree();
        if git_apply(&tree, &["--reverse", "--check"], patch).is_ok() {
            git_apply(&tree, &["--reverse"], patch).map_err(|error| CliError::file(patch, error))?;
        }
        Ok(())
    }
}

/// The workspace's manifest with the copied crates as its members.
fn manifest(text: &str) -> io::Result<String> {
    let mut manifest: Table = text.parse().map_err(io::Error::other)?;
    if let Some(workspace) = manifest.get_mut("workspace").and_then(Value::as_table_mut) {
        workspace.insert("members".to_owned(), CRATES.map(str::to_owned).to_vec().into());
        workspace.remove("default-members");
    }
    Ok(manifest.to_string())
}

/// Copies a directory with everything in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scratch_workspace_has_the_crates_that_are_copied() {
        let text = "[workspace]\nmembers = [\"core\", \"tests\"]\ndefault-members = [\"tests\"]\n[profile.sim]\nlto = \"thin\"\n";
        let manifest: Table = manifest(text).expect("a manifest").parse().expect("TOML");
        let workspace = manifest["workspace"].as_table().expect("a table");
        assert_eq!(workspace["members"].as_array().map(Vec::len), Some(CRATES.len()));
        assert!(!workspace.contains_key("default-members"));
        assert_eq!(manifest["profile"]["sim"]["lto"].as_str(), Some("thin"));
    }
}
