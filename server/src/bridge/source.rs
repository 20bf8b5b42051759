//! One queue, polled for one function.

use std::time::Duration;

use anyhow::Context;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

use super::function::Function;
use super::response::Failed;

/// What SQS gives in one answer at most; also the bell's `BatchSize` in template.yaml.
const MESSAGES: i32 = 10;
/// Events are worked off one by one: those that wait must not become visible again behind one that takes long.
const EVENTS: i32 = 1;
/// The longest that SQS lets a question wait.
const WAIT_SECONDS: i32 = 20;
/// How long a poller rests after SQS or the Lambda API could not be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// What a queue's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages for an SQS event; the function says which failed.
    Messages,
    /// Events, each for itself: they are told once and forgotten, as EventBridge does that is told not to try again.
    Events,
}

/// A queue and its function.
#[derive(Debug)]
pub(super) struct Source {
    sqs: Client,
    url: String,
    arn: String,
    function: Function,
    kind: Kind,
}

impl Source {
    /// Asks the queue for its name on AWS.
    ///
    /// # Errors
    /// There is no such queue.
    pub(super) async fn open(sqs: Client, url: &str, function: Function, kind: Kind) -> anyhow::Result<Self> {
        let asked = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn).send().await;
        let attributes = asked.map_err(aws_sdk_sqs::Error::from).with_context(|| format!("asking for the queue {url}"))?;
        let arn = attributes.attributes().and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn)).context("SQS does not tell the queue's ARN")?.clone();
        Ok(Self { sqs, url: url.to_owned(), arn, function, kind })
    }

    /// Feeds the function for ever.
    pub(super) async fn feed(&self) {
        loop {
            if let Err(error) = self.feed_once().await {
                tracing::warn!(queue = self.url, function = self.function.name, "{error:#}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn feed_once(&self) -> anyhow::Result<()> {
        let at_most = if self.kind == Kind::Messages { MESSAGES } else { EVENTS };
        let ask = self.sqs.receive_message().queue_url(&self.url).max_number_of_messages(at_most).wait_time_seconds(WAIT_SECONDS);
        let received = ask.message_system_attribute_names(MessageSystemAttributeName::All).send().await.map_err(aws_sdk_sqs::Error::from).context("receiving")?;
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(());
        }
        match self.kind {
            Kind::Messages => {
                let ids: Vec<&str> = messages.iter().filter_map(Message::message_id).collect();
                let answer = self.function.invoke(serde_json::to_vec(&self.event(&messages))?).await?;
                let failed = Failed::read(&answer, &ids);
                for message in messages.iter().filter(|message| !failed.holds(message.message_id().unwrap_or_default())) {
                    self.remove(message).await?;
                }
            }
            Kind::Events => {
                for message in &messages {
                    self.remove(message).await?;
                    self.function.invoke(message.body().unwrap_or_default().into()).await?;
                }
            }
        }
        Ok(())
    }

    async fn remove(&self, message: &Message) -> anyhow::Result<()> {
        let remove = self.sqs.delete_message().queue_url(&self.url).receipt_handle(message.receipt_handle().unwrap_or_default());
        remove.send().await.map_err(aws_sdk_sqs::Error::from).context("removing what is done")?;
        Ok(())
    }

    /// The messages as the event that Lambda makes of them.
    fn event(&self, messages: &[Message]) -> SqsEvent {
        let mut event = SqsEvent::default();
        event.records = messages.iter().map(|message| self.record(message)).collect();
        event
    }

    fn record(&self, message: &Message) -> SqsMessage {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let mut record = SqsMessage::default();
        record.message_id = text(message.message_id());
        record.receipt_handle = text(message.receipt_handle());
        record.body = text(message.body());
        record.md5_of_body = text(message.md5_of_body());
        record.attributes = message.attributes().into_iter().flatten().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
        record.event_source = Some("aws:sqs".to_owned());
        record.event_source_arn = Some(self.arn.clone());
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        record.aws_region = self.arn.split(':').nth(3).map(str::to_owned);
        record
    }
}
