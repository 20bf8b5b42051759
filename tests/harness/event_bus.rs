//! An event bus as on AWS (LocalStack's), with a queue that gets what is put on it.

use aws_sdk_eventbridge::Client as EventBridge;
use aws_sdk_eventbridge::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_eventbridge::types::Target;
use aws_sdk_sqs::Client as Sqs;
use serde_json::{Value, json};

use super::World;

/// A bus of a story's own.
pub(crate) struct Bus {
    events: EventBridge,
    sqs: Sqs,
    name: String,
    queue: String,
    endpoint: String,
}

impl World {
    /// Makes the bus, and a queue for all that Logger Hub puts on it. They go with LocalStack, or by [`Bus::remove`].
    pub(crate) async fn event_bus(&self) -> Bus {
        let endpoint = self.setting("LOGGERHUB_SQS_ENDPOINT");
        let credentials = Credentials::new("test", "test", None, None, "a story");
        let region = Region::new("us-east-1");
        let config = aws_sdk_eventbridge::Config::builder().behavior_version(BehaviorVersion::latest()).endpoint_url(&endpoint).region(region.clone());
        let events = EventBridge::from_conf(config.credentials_provider(credentials.clone()).build());
        let config = aws_sdk_sqs::Config::builder().behavior_version(BehaviorVersion::latest()).endpoint_url(&endpoint).region(region);
        let sqs = Sqs::from_conf(config.credentials_provider(credentials).build());
        let name = format!("{}-events", self.redis_key("").replace(':', ""));
        sqs.create_queue().queue_name(&name).send().await.expect("SQS answers");
        events.create_event_bus().name(&name).send().await.expect("EventBridge answers");
        let pattern = json!({ "source": [shared::events::SOURCE] }).to_string();
        events.put_rule().name(&name).event_bus_name(&name).event_pattern(pattern).send().await.expect("EventBridge answers");
        let target = Target::builder().id("queue").arn(format!("arn:aws:sqs:us-east-1:000000000000:{name}")).build().expect("it has all that it needs");
        let put = events.put_targets().rule(&name).event_bus_name(&name).targets(target).send().await.expect("EventBridge answers");
        assert_eq!(put.failed_entry_count(), 0, "{put:?}");
        Bus { events, sqs, queue: format!("{endpoint}/000000000000/{name}"), name, endpoint }
    }
}

impl Bus {
    /// The settings of a process that puts events on it.
    pub(crate) fn settings(&self) -> [(&str, &str); 4] {
        [("LOGGERHUB_EVENT_BUS", &self.name), ("LOGGERHUB_EVENTS_ENDPOINT", &self.endpoint), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]
    }

    /// What came by now, as EventBridge hands it on; each once.
    pub(crate) async fn received(&self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let received = self.sqs.receive_message().queue_url(&self.queue).max_number_of_messages(10).wait_time_seconds(1).send().await.expect("SQS answers");
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                return all;
            }
            for message in messages {
                all.push(serde_json::from_str(message.body().expect("a body")).expect("JSON"));
                self.sqs.delete_message().queue_url(&self.queue).receipt_handle(message.receipt_handle.expect("one")).send().await.expect("SQS answers");
            }
        }
    }

    pub(crate) async fn remove(&self) {
        let _ = self.events.remove_targets().rule(&self.name).event_bus_name(&self.name).ids("queue").send().await;
        let _ = self.events.delete_rule().name(&self.name).event_bus_name(&self.name).send().await;
        let _ = self.events.delete_event_bus().name(&self.name).send().await;
        let _ = self.sqs.delete_queue().queue_url(&self.queue).send().await;
    }
}
