//! Runs of the binary.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The binary with these arguments, and an environment without values for it.
pub(crate) fn seqlane(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seqlane"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    seqlane(arguments).output().unwrap()
}

/// Asserts exit code 2 and returns the one line of the error.
pub(crate) fn usage_error(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text.strip_prefix("seqlane: ").unwrap().trim_end().to_owned()
}

/// A file that lives as long as this.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    /// A file that somebody else shall make.
    pub(crate) fn absent(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    /// Writes another text into it.
    pub(crate) fn change(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A running listener; killed when dropped.
pub(crate) struct Listener {
    child: Child,
    pub(crate) address: String,
    lines: Receiver<String>,
    log: String,
}

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

impl Listener {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = read_lines(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            panic!("{line}{:?}", lines.iter().collect::<Vec<_>>());
        };
        Self { address: address.to_owned(), child, lines, log: String::new() }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Where HTTP requests to it go.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for a line of the log that has all of these words.
    pub(crate) fn logs(&mut self, words: &[&str]) -> String {
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        loop {
            if let Some(line) = self.log.lines().find(fits) {
                return line.to_owned();
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.log.push_str(&(line + "\n")),
                Err(error) => panic!("no line with {words:?} ({error}) in:\n{}", self.log),
            }
        }
    }

    /// Kills it, and returns everything that it logged.
    pub(crate) fn whole_log(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().fold(std::mem::take(&mut self.log), |log, line| log + &line + "\n")
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    #[cfg(unix)]
    pub(crate) fn end_by(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a log. It is read at once, so that its writer never waits.
fn read_lines(log: ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let read = BufReader::new(log).lines().map_while(Result::ok);
        read.into_iter().all(|line| sender.send(line).is_ok())
    });
    lines
}
