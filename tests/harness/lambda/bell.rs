//! The bell as it is on AWS: a queue of SQS (LocalStack's), and what feeds a function from it.

use std::process::Stdio;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use shared::settings::QueueSettings;
use tokio::process::{Child, Command};

use super::Lambda;
use crate::harness::World;
use crate::harness::process::built;

/// How long a message stays hidden after it was received, in seconds: some, so that a story need not wait for minutes.
const VISIBILITY: &str = "5";
/// Receives after which a message is dead.
const RECEIVES: u8 = 3;

/// A bell of a story's own, with its dead letters, and a queue for what the minute's rule says.
pub(crate) struct BellQueue {
    sqs: Client,
    pub(crate) bell: String,
    pub(crate) dead: String,
    pub(crate) minute: String,
}

impl World {
    /// Makes the queues. They go with LocalStack, or by [`BellQueue::remove`].
    pub(crate) async fn bell_queue(&self) -> BellQueue {
        let settings = QueueSettings::from_env(&self.env).expect("settings");
        let endpoint = settings.sqs_endpoint.expect("LOGGERHUB_SQS_ENDPOINT is set by scripts/test");
        let credentials = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "a story");
        let config = aws_sdk_sqs::Config::builder().behavior_version_latest().endpoint_url(&endpoint).region(aws_sdk_sqs::config::Region::new("us-east-1"));
        let sqs = Client::from_conf(config.credentials_provider(credentials).build());
        let name = self.redis_key("").replace(':', "");
        let make = async |suffix: &str, redrive: Option<String>| {
            let call = sqs.create_queue().queue_name(format!("{name}-{suffix}")).attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY);
            let call = match redrive {
                Some(redrive) => call.attributes(QueueAttributeName::RedrivePolicy, redrive),
                None => call,
            };
            call.send().await.expect("SQS answers");
            format!("{endpoint}/000000000000/{name}-{suffix}")
        };
        let dead = make("dead", None).await;
        let to_the_dead = json!({ "deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:000000000000:{name}-dead"), "maxReceiveCount": RECEIVES });
        let bell = make("bell", Some(to_the_dead.to_string())).await;
        let minute = make("minute", None).await;
        BellQueue { sqs, bell, dead, minute }
    }
}

impl BellQueue {
    /// The settings of functions that ring it.
    pub(crate) fn settings(&self) -> [(&str, &str); 1] {
        [("LOGGERHUB_BELL_URL", &self.bell)]
    }

    /// Feeds `processor` from the bell and from the minute's rule, by `loggerhub bridge`, until it is dropped.
    pub(crate) fn bridge(&self, world: &World, lambda: &Lambda) -> Bridge {
        let mut command = Command::new(built("loggerhub"));
        command.args(["bridge", "--invoke-url", lambda.url(), "--messages", &format!("{}=processor", self.bell), "--events", &format!("{}=processor", self.minute)]);
        command.env_clear().envs(world.env.pairs()).env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        Bridge(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("it can be run"))
    }

    /// Puts a message into one of the queues.
    pub(crate) async fn put(&self, queue: &str, body: &str) {
        self.sqs.send_message().queue_url(queue).message_body(body).send().await.expect("SQS answers");
    }

    /// Says what the rule says every minute.
    pub(crate) async fn let_the_minute_ring(&self) {
        let event = json!({ "version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
        self.put(&self.minute, &event.to_string()).await;
    }

    /// Throws away what waits in the bell. Answers how many messages that were.
    pub(crate) async fn lose_rings(&self) -> usize {
        let mut lost = 0;
        loop {
            let received = self.sqs.receive_message().queue_url(&self.bell).max_number_of_messages(10).wait_time_seconds(2).send().await.expect("SQS answers");
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                return lost;
            }
            for message in messages {
                self.sqs.delete_message().queue_url(&self.bell).receipt_handle(message.receipt_handle.expect("one")).send().await.expect("SQS answers");
                lost += 1;
            }
        }
    }

    /// Messages of a queue, those that are hidden just now included.
    pub(crate) async fn holds(&self, queue: &str) -> u64 {
        let names = [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];
        let asked = self.sqs.get_queue_attributes().queue_url(queue).set_attribute_names(Some(names.to_vec())).send().await.expect("SQS answers");
        names.iter().filter_map(|name| asked.attributes()?.get(name)?.parse::<u64>().ok()).sum()
    }

    pub(crate) async fn remove(&self) {
        for queue in [&self.bell, &self.dead, &self.minute] {
            let _ = self.sqs.delete_queue().queue_url(queue).send().await;
        }
    }
}

/// A running `loggerhub bridge`. Killed when dropped.
pub(crate) struct Bridge(Child);

impl Bridge {
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}
