//! What the commands that go through a period's logs have in common.

use std::io::IsTerminal;

use clap::Args;
use maintenance::Period;
use shared::range::Range;

use crate::Doors;

/// Ends so where an engine is down or the arguments make no sense: nothing was found out.
pub(crate) const FOUND_NOTHING_OUT: u8 = 2;

/// Which logs, by when they were received.
#[derive(Debug, Args)]
pub(crate) struct PeriodArguments {
    /// Received from this moment on: RFC 3339, or relative, such as now-1d.
    #[arg(long)]
    from: Option<String>,
    /// Received before this moment: as --from.
    #[arg(long)]
    to: Option<String>,
}

impl PeriodArguments {
    /// Reads it. It ends now: what is received from now on is left to the next time.
    ///
    /// # Errors
    /// Redis does not answer, by whose clock ids are made; or a moment is none.
    pub(crate) async fn read(&self, doors: &Doors) -> anyhow::Result<Period> {
        doors.patient_queue.ask_clock().await?;
        let now = doors.patient_queue.now_ms();
        let Range { from, to } = Range::parse(self.from.as_deref(), self.to.as_deref(), i64::try_from(now)?)?;
        let at = |moment: i64| u64::try_from(moment).unwrap_or_default();
        Ok(Period { from_ms: from.map_or(0, at), to_ms: to.map_or(now, at).min(now) })
    }
}

/// One line that is written over, for a person who waits.
pub(crate) fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// Takes that line away.
pub(crate) fn end_progress() {
    progress("");
}
