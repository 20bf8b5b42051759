//! A hub in a process of its own, to be ended as no hub of this process can be.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use super::{SOON, Seen, World, eventually};

/// A running `loggerhub serve`. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    url: String,
    log: PathBuf,
}

impl World {
    /// Starts the server that was built beside these tests, on the world's names and a free port, with `changed` settings.
    pub(crate) async fn process(&self, changed: &[(&str, &str)]) -> Process {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").to_string();
        let log = std::env::temp_dir().join(format!("{}-{}.log", self.redis_key("hub").replace(':', "-"), listen.replace(':', "-")));
        let out = File::create(&log).expect("a file");
        let err = out.try_clone().expect("a file");
        let mut command = Command::new(built("loggerhub"));
        command.arg("serve").env_clear().envs(self.env.pairs()).env("LOGGERHUB_LISTEN", &listen).envs(changed.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("it can be run");
        let process = Process { child, url: format!("http://{listen}"), log };
        let look = async || -> Result<(), Seen> { self.anyone().at_url(&process.url).try_health().await };
        eventually(SOON, "the process serves", look).await;
        process
    }
}

impl World {
    /// Runs a command of the operator's with the world's settings, to its end.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Output {
        self.command_with(&[], arguments).await
    }

    /// As [`World::command`], with `changed` settings.
    pub(crate) async fn command_with(&self, changed: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new(built("loggerhub"));
        command.args(arguments).env_clear().envs(self.env.pairs()).envs(changed.iter().copied()).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it can be run")
    }
}

impl World {
    /// Starts a function with `changed` settings where there is no Lambda, and waits for its end.
    pub(crate) async fn run_function(&self, function: &str, changed: &[(&str, &str)]) -> Output {
        let mut command = Command::new(built(function));
        command.env_clear().envs(self.env.pairs()).envs(changed.iter().copied()).env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9").stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it can be run")
    }
}

impl Process {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The most memory that it has had, in MiB (`VmHWM`, proc(5)).
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let mut seen = None;
        let mut left = within;
        while seen.is_none() {
            assert!(left > Duration::ZERO, "it goes on: {}", self.own_log());
            tokio::time::sleep(Duration::from_millis(25)).await;
            left = left.saturating_sub(Duration::from_millis(25));
            seen = self.child.try_wait().expect("it is ours");
        }
        seen.expect("it was looked for")
    }

    /// Waits until it has ended as by a fault point: by SIGABRT, and with the point's name as its last word.
    pub(crate) async fn ended_at(&mut self, point: &str) {
        self.ended_at_within(point, SOON).await;
    }

    /// As [`Process::ended_at`], for a point that is reached within so long.
    pub(crate) async fn ended_at_within(&mut self, point: &str, within: Duration) {
        let status = self.ended(within).await;
        let log = self.own_log();
        assert_eq!(status.signal(), Some(6), "SIGABRT at {point}: {status} {log}");
        assert!(log.contains(&format!("ended at the fault point {point}")), "{log}");
    }

    /// What it said.
    pub(crate) fn own_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// A program of `target/release`, beside the folder of the running tests: `scripts/test` builds all of them first.
pub(super) fn built(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("this program has a path");
    let program = tests.ancestors().nth(2).expect("deps lies in a profile's folder").join(name);
    assert!(program.exists(), "{} is missing: cargo build --release", program.display());
    program
}
