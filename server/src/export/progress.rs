//! How far an export is, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar where it is known how many logs there are, else a count. Drawn on standard error, and where that is a terminal only.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn begin(total: Option<u64>, done: u64) -> Self {
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{wide_bar} {human_pos} of {human_len} logs, {per_sec}, {eta} left"),
            None => (ProgressBar::new_spinner(), "{spinner} {human_pos} logs, {per_sec}"),
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a template of this file"));
        bar.set_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(super) fn set(&self, logs: u64) {
        self.0.set_position(logs);
    }

    /// Says a sentence, bar or not.
    pub(super) fn say(&self, sentence: &str) {
        self.0.suspend(|| eprintln!("loggerhub: {sentence}"));
    }

    pub(super) fn end(&self, logs: u64) {
        self.0.finish_and_clear();
        eprintln!("{logs} logs exported in {:.1} s", self.0.elapsed().as_secs_f64());
    }
}
