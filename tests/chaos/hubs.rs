//! The two hubs: processes of the server that was built beside this program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// What the hubs take for their operator's token; they live on loopback for minutes.
pub(crate) const OPERATOR: &str = "chaos-operator-token";
/// How long one may take to answer once it was started.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// How long one may take to finish what it has in hand.
const STOPS_WITHIN: Duration = Duration::from_secs(45);

pub(crate) struct Hubs {
    urls: [String; 2],
    logs: [PathBuf; 2],
    running: Mutex<[Option<Child>; 2]>,
    peaks: Mutex<[u64; 2]>,
    http: reqwest::Client,
}

impl Hubs {
    /// Migrates, and starts both.
    pub(crate) async fn start(port: u16, out: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(out)?;
        let migrated = command()?.arg("migrate").status()?;
        anyhow::ensure!(migrated.success(), "`loggerhub migrate` failed");
        let hubs = Self {
            urls: [0, 1].map(|number| format!("http://127.0.0.1:{}", port + number)),
            logs: [0, 1].map(|number| out.join(format!("hub-{number}.log"))),
            running: Mutex::default(),
            peaks: Mutex::default(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?,
        };
        for log in &hubs.logs {
            let _ = std::fs::remove_file(log);
        }
        for number in 0..2 {
            hubs.start_again(number).await?;
        }
        Ok(hubs)
    }

    pub(crate) fn url(&self, number: usize) -> &str {
        &self.urls[number % 2]
    }

    pub(crate) fn pid(&self, number: usize) -> Option<u32> {
        self.note_peak(number);
        self.running.lock().expect("no panic while held")[number].as_ref().map(Child::id)
    }

    /// Starts one that does not run, and waits until it answers.
    pub(crate) async fn start_again(&self, number: usize) -> anyhow::Result<()> {
        {
            let mut running = self.running.lock().expect("no panic while held");
            let alive = running[number].as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
            if !alive {
                let log = File::options().create(true).append(true).open(&self.logs[number])?;
                let listen = self.urls[number].trim_start_matches("http://");
                running[number] = Some(command()?.arg("serve").env("LOGGERHUB_LISTEN", listen).stdout(log.try_clone()?).stderr(log).spawn()?);
            }
        }
        let began = Instant::now();
        while self.http.get(format!("{}/healthz", self.urls[number])).send().await.is_err() {
            if began.elapsed() > STARTS_WITHIN {
                bail!("hub {number} does not answer");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Stops one as its operator would.
    pub(crate) async fn terminate(&self, number: usize) -> anyhow::Result<()> {
        let Some(pid) = self.pid(number) else { return Ok(()) };
        Command::new("kill").arg(pid.to_string()).status().context("kill cannot be run")?;
        let began = Instant::now();
        while !self.has_ended(number)? {
            if began.elapsed() > STOPS_WITHIN {
                bail!("hub {number} does not stop");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn has_ended(&self, number: usize) -> anyhow::Result<bool> {
        let mut running = self.running.lock().expect("no panic while held");
        Ok(match running[number].as_mut() {
            Some(child) => child.try_wait()?.is_some(),
            None => true,
        })
    }

    /// The most memory that any process of each hub held, in MiB, as the kernel counts it.
    pub(crate) fn peaks_mib(&self) -> [u64; 2] {
        (0..2).for_each(|number| self.note_peak(number));
        *self.peaks.lock().expect("no panic while held")
    }

    fn note_peak(&self, number: usize) {
        let pid = self.running.lock().expect("no panic while held")[number].as_ref().map(Child::id);
        let status = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok()).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let mib = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024;
        let mut peaks = self.peaks.lock().expect("no panic while held");
        peaks[number] = peaks[number].max(mib);
    }

    pub(crate) fn stop(&self) {
        for child in self.running.lock().expect("no panic while held").iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `loggerhub`, beside this program.
pub(crate) fn command() -> anyhow::Result<Command> {
    let program = std::env::current_exe()?.with_file_name("loggerhub");
    anyhow::ensure!(program.exists(), "{} is missing: build it first", program.display());
    let mut command = Command::new(program);
    command.env("LOGGERHUB_OPERATOR_TOKEN", OPERATOR).env("LOGGERHUB_LOG", "warn").stdin(Stdio::null());
    Ok(command)
}
