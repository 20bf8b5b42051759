//! The name that all of a world's things in the engines begin with. It holds the time, so that what a crashed run left behind
//! can be told from what another run is using.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Url;
use shared::settings::Env;

/// A world's name: `lht_{unix time}_{random}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name(String);

impl Name {
    /// What every database of ours begins with.
    pub(crate) const PREFIX: &str = "lht_";

    pub(crate) fn fresh() -> Self {
        Self(format!("{}{}_{:08x}", Self::PREFIX, unix_seconds(), rand::random::<u32>()))
    }

    /// The world that a database belongs to, if it is one of ours.
    pub(crate) fn of_database(database: &str) -> Option<Self> {
        Self::read(database.strip_suffix("_control").or_else(|| database.strip_suffix("_logs"))?)
    }

    /// The world that an index or a template belongs to, if it is one of ours.
    pub(crate) fn of_index(index: &str) -> Option<Self> {
        let mut words = index.trim().splitn(4, '-');
        Self::read(&format!("{}_{}_{}", words.next()?, words.next()?, words.next()?))
    }

    /// The name, if the text is one of ours.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let name = Self(text.to_owned());
        name.made_at().is_some().then_some(name)
    }

    fn made_at(&self) -> Option<u64> {
        self.0.strip_prefix(Self::PREFIX)?.split_once('_')?.0.parse().ok()
    }

    /// Whether it is older than that.
    pub(crate) fn is_older_than(&self, age: Duration) -> bool {
        self.made_at().is_some_and(|made| made + age.as_secs() < unix_seconds())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Both databases: the setting that leads to each, and its name.
    pub(crate) fn databases(&self) -> [(&'static str, String); 2] {
        [("LOGGERHUB_CONTROL_DATABASE_URL", format!("{}_control", self.0)), ("LOGGERHUB_LOGS_DATABASE_URL", format!("{}_logs", self.0))]
    }

    pub(crate) fn redis_prefix(&self) -> String {
        format!("{}:", self.0)
    }

    /// OpenSearch wants no underscore at the front and we want none at all: it is one of its separators.
    pub(crate) fn index_prefix(&self) -> String {
        self.0.replace('_', "-")
    }

    pub(crate) fn object_prefix(&self) -> String {
        format!("{}/", self.index_prefix())
    }

    /// At least 16 characters, as an operator's token must have.
    pub(crate) fn operator_token(&self) -> String {
        format!("operator-of-{}", self.0)
    }

    /// The settings of this world's hub.
    pub(crate) fn settings(&self, engines: &Env) -> Env {
        let mut env = engines
            .clone()
            .with("LOGGERHUB_REDIS_PREFIX", self.redis_prefix())
            .with("LOGGERHUB_INDEX_PREFIX", self.index_prefix())
            .with("LOGGERHUB_S3_PREFIX", self.object_prefix())
            .with("LOGGERHUB_OPERATOR_TOKEN", self.operator_token())
            .with("LOGGERHUB_DELETION_GRACE_SECONDS", "0")
            .with("LOGGERHUB_LINGER_MS", "50")
            .with("LOGGERHUB_INDEX_REFRESH_MS", "100")
            .with("LOGGERHUB_POSTGRES_MAX_CONNECTIONS", "4");
        for (setting, database) in self.databases() {
            env = env.with(setting, in_database(engines, setting, &database));
        }
        env
    }
}

/// The URL of another database on the same server.
fn in_database(engines: &Env, setting: &'static str, database: &str) -> String {
    let mut url = Url::parse(&engines.text(setting).expect("checked at start")).expect("a URL");
    url.set_path(database);
    url.into()
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs()
}
