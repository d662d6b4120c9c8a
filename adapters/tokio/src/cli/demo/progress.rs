//! Progress bars.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of one transfer: a bar on a terminal, and a line when it is done.
pub(super) struct Progress {
    bar: ProgressBar,
    label: String,
}

impl Progress {
    pub(super) fn start(label: &str, bytes: usize) -> Self {
        // Draws on the standard error, and only if it is a terminal.
        let bar = ProgressBar::new(bytes as u64).with_message(label.to_owned());
        let style = ProgressStyle::with_template("{msg:52} {bar:24} {decimal_bytes:>9} {elapsed:>3}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, label: label.to_owned() }
    }

    /// Sets the number of transferred bytes.
    pub(super) fn reached(&self, bytes: usize) {
        self.bar.set_position(bytes as u64);
    }

    /// Replaces the bar by the outcome.
    pub(super) fn finish(&self, outcome: Result<f64, &str>) {
        self.bar.finish_and_clear();
        match outcome {
            Ok(seconds) => eprintln!("{}: {seconds:.3} s", self.label),
            Err(failure) => eprintln!("{}: FAILED: {failure}", self.label),
        }
    }
}
