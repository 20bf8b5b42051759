//! The bell: how ingest wakes the processor. On Lambda an SQS message, delayed by the linger or what is left of it; in one
//! process a wake-up in memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::aws;
use crate::error::{Engine, Error, Result};
use crate::settings::QueueSettings;

/// Longest delay of an SQS message.
const MAX_DELAY: Duration = Duration::from_secs(900);

/// Rings for the processor. Ringing too often does no harm, and a lost ring only delays.
#[derive(Debug, Clone)]
pub struct Bell(Kind);

#[derive(Debug, Clone)]
enum Kind {
    InProcess(Arc<Notify>),
    Sqs { client: aws_sdk_sqs::Client, url: String },
}

impl Bell {
    /// A bell that is heard in this process only.
    #[must_use]
    pub fn in_process() -> Self {
        Self(Kind::InProcess(Arc::default()))
    }

    /// The bell that the settings name: SQS where there is a queue, else in the process.
    ///
    /// # Errors
    /// [`Error::Internal`] for authorities that are none.
    pub fn open(settings: &QueueSettings, region: &str) -> Result<Self> {
        let Some(url) = settings.bell_url.clone() else { return Ok(Self::in_process()) };
        Ok(Self(Kind::Sqs { client: aws::sqs(settings, region)?, url }))
    }

    /// Calls the processor, after `delay` (SQS counts it in whole seconds).
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ring(&self, delay: Duration) -> Result<()> {
        match &self.0 {
            Kind::InProcess(notify) => notify.notify_one(),
            Kind::Sqs { client, url } => {
                let seconds = delay.min(MAX_DELAY).as_millis().div_ceil(1000);
                let message = client.send_message().queue_url(url).message_body("ring").delay_seconds(i32::try_from(seconds).unwrap_or_default());
                message.send().await.map_err(|e| Error::unavailable(Engine::Sqs, e))?;
            }
        }
        Ok(())
    }

    /// Waits for a ring in this process, at most so long. A bell on SQS is heard by a function's event, never here.
    pub async fn wait(&self, at_most: Duration) {
        let heard = async {
            match &self.0 {
                Kind::InProcess(notify) => notify.notified().await,
                Kind::Sqs { .. } => std::future::pending().await,
            }
        };
        let _ = tokio::time::timeout(at_most, heard).await;
    }
}
