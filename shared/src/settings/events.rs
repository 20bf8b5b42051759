//! Settings of who is told what became of tenants.

use super::{ArchiveSettings, Authorities, Env, SettingError};

/// The event bus of AWS, if there is one.
#[derive(Debug, Clone)]
pub struct EventSettings {
    /// Its name or ARN; `None` where only the stream in Redis is told.
    pub bus: Option<String>,
    /// Endpoint of EventBridge, where it is not AWS.
    pub endpoint: Option<String>,
    /// Region of AWS.
    pub region: String,
    /// Who is trusted beside the public authorities.
    pub authorities: Option<Authorities>,
}

impl EventSettings {
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            bus: env.optional("LOGGERHUB_EVENT_BUS"),
            endpoint: env.optional_http("LOGGERHUB_EVENTS_ENDPOINT")?,
            region: ArchiveSettings::region_from_env(env)?,
            authorities: Authorities::from_env(env)?,
        })
    }
}
