//! An engine of a story's own, to be stopped, started again and set up otherwise: by `scripts/engines`, with data and port of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::certificates::Certificates;
use super::name::Name;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Below Linux' range of ports for outgoing connections, so that nobody gets it by chance.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ObjectStore,
    OpenSearch,
    Postgres,
    Redis,
}

/// The engine. It ends, with its data, when this is dropped.
#[derive(Debug)]
pub(crate) struct OwnEngine {
    kind: Kind,
    data: PathBuf,
    port: u16,
    /// Folder of its certificates, where it speaks TLS.
    tls: Option<PathBuf>,
}

impl OwnEngine {
    /// Starts one and waits until it works.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::started(kind, None)
    }

    /// Starts one that speaks TLS only, by these certificates.
    pub(crate) fn start_with_tls(kind: Kind, certificates: &Certificates) -> Self {
        Self::started(kind, Some(certificates.folder().to_owned()))
    }

    fn started(kind: Kind, tls: Option<PathBuf>) -> Self {
        let own = Self { kind, data: folder().join(Name::fresh().as_str()), port: free_port(), tls };
        own.start_again();
        own
    }

    /// The setting that leads to it, and its URL. Of Postgres: to the database of rows.
    pub(crate) fn setting(&self) -> (&'static str, String) {
        let (port, s) = (self.port, if self.tls.is_some() { "s" } else { "" });
        match self.kind {
            Kind::ObjectStore => ("LOGGERHUB_S3_ENDPOINT", format!("http{s}://127.0.0.1:{port}")),
            Kind::OpenSearch => ("LOGGERHUB_OPENSEARCH_URL", format!("http://127.0.0.1:{port}")),
            Kind::Postgres => {
                let mode = if self.tls.is_some() { "verify-full" } else { "disable" };
                ("LOGGERHUB_LOGS_DATABASE_URL", format!("postgres://loggerhub:loggerhub@127.0.0.1:{port}/loggerhub_processor_db?sslmode={mode}"))
            }
            Kind::Redis => ("LOGGERHUB_REDIS_URL", format!("redis{s}://127.0.0.1:{port}/0")),
        }
    }

    pub(crate) fn stop(&self) {
        self.engines("stop");
    }

    pub(crate) fn start_again(&self) {
        self.engines("start");
    }

    fn engines(&self, command: &str) {
        let outcome = self.command(command).output().expect("scripts/engines can be run");
        assert!(outcome.status.success(), "scripts/engines {command}: {}{}", String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    }

    fn command(&self, command: &str) -> Command {
        let (name, port) = match self.kind {
            Kind::ObjectStore => ("object-store", "LOGGERHUB_OBJECT_STORE_PORT"),
            Kind::OpenSearch => ("opensearch", "LOGGERHUB_OPENSEARCH_PORT"),
            Kind::Postgres => ("postgres", "LOGGERHUB_POSTGRES_PORT"),
            Kind::Redis => ("redis", "LOGGERHUB_REDIS_PORT"),
        };
        let mut engines = scripts_engines(&self.data, command);
        engines.arg(name).env(port, self.port.to_string()).env("LOGGERHUB_OPENSEARCH_HEAP", "512m");
        if let Some(tls) = &self.tls {
            engines.env("LOGGERHUB_ENGINES_TLS", tls);
        }
        engines
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let _ = self.command("wipe").output();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn scripts_engines(data: &Path, command: &str) -> Command {
    let mut engines = Command::new(format!("{ROOT}/scripts/engines"));
    engines.arg(command).env("LOGGERHUB_DATA", data).stdin(Stdio::null());
    engines
}

/// A port on which nobody listens.
pub(super) fn free_port() -> u16 {
    let free = || Some(rand::random_range(PORTS)).filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    std::iter::repeat_with(free).flatten().next().expect("some port is free")
}

/// Where stories' own engines keep their data: beside the others', which git ignores.
pub(super) fn folder() -> PathBuf {
    let data = std::env::var_os("LOGGERHUB_DATA").map_or_else(|| Path::new(ROOT).join(".loggerhub"), PathBuf::from);
    std::path::absolute(data).expect("a path").join("stories")
}

/// Ends engines that crashed runs left behind.
pub(super) fn remove_crashed(after: Duration) {
    for entry in std::fs::read_dir(folder()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if Name::read(&name).is_some_and(|name| name.is_older_than(after)) {
            let _ = scripts_engines(&entry.path(), "wipe").output();
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
