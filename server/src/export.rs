//! `loggerhub export`: a tenant's logs into a file, over HTTP, as anybody with a key could.
//!
//! What breaks off is taken up behind the last whole log, also by another run: until all is there, a file lies beside it as `FILE.part`,
//! with what takes it up again as `FILE.part.cursor`.

mod progress;
mod target;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::progress::Progress;
use self::target::Target;
use self::wire::{Ended, Wire};

/// Tries that bring nothing, one after the other, before it is given up.
const TRIES: u32 = 8;
/// Pause before the first of them; each next one is twice as long, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Arguments of `loggerhub export`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Where the server is.
    #[arg(long, env = "LOGGERHUB_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The key that reads the logs.
    #[arg(long, env = "LOGGERHUB_API_KEY", hide_env_values = true)]
    key: String,
    /// What to export, in the language of searches; without it all logs.
    #[arg(long, short)]
    q: Option<String>,
    /// First moment: RFC 3339, or relative, such as now-1d.
    #[arg(long)]
    from: Option<String>,
    /// Last moment, not included.
    #[arg(long)]
    to: Option<String>,
    /// Only this service. Can be repeated.
    #[arg(long)]
    service: Vec<String>,
    /// Only this level. Can be repeated.
    #[arg(long)]
    level: Vec<String>,
    /// Which log comes first.
    #[arg(long, default_value = "oldest", value_parser = ["oldest", "newest"])]
    sort: String,
    /// How the file is written.
    #[arg(long, default_value = "ndjson", value_parser = ["ndjson", "csv"])]
    format: String,
    /// The file, which must not be there yet; without it what is exported is printed.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Exports. Ends 0 once all is there.
///
/// # Errors
/// A sentence that says what went wrong. What came until then is kept, and the same command goes on behind it.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wire = Wire::new(arguments)?;
    let mut target = Target::open(arguments.output.as_deref(), &wire.filters(), &arguments.format)?;
    let progress = Progress::begin(wire.count().await, target.logs());
    let (mut tries, mut pause) = (0, PAUSE);
    loop {
        let before = target.logs();
        match wire.fetch(&mut target, &progress).await? {
            Ended::Complete => break,
            Ended::HasMore => {}
            Ended::BrokeOff(why) => {
                if target.logs() > before {
                    (tries, pause) = (0, PAUSE);
                }
                tries += 1;
                anyhow::ensure!(tries < TRIES, "{why:#}; given up after {TRIES} tries, and {} logs: the same command goes on from there", target.logs());
                progress.say(&format!("{why:#}; going on in {:.1} s", pause.as_secs_f64()));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    target.finish()?;
    progress.end(target.logs());
    Ok(ExitCode::SUCCESS)
}
