//! Telling others what became of tenants and keys: events in the form of CloudEvents 1.0, to a stream in Redis and to an event bus of AWS.
//!
//! An event is told at least once, and may be told again after a crash: its `id` tells doubles. Those of one tenant are told in the order in
//! which they came about.

use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::aws::{self, Identity};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::redis_link::{RedisLink, failed};
use crate::settings::EventSettings;
use crate::timestamp;

/// The `source` of every event, and of the entries on the bus.
pub const SOURCE: &str = "io.loggerhub";
/// The type of the event that a webhook is tested with.
pub const TEST_TYPE: &str = "io.loggerhub.webhook.test.v1";
/// Most entries of one request to a bus (AWS: "PutEvents").
pub const MOST_AT_ONCE: usize = 10;
/// About how many events the stream holds: the oldest make room.
const STREAM_LENGTH: usize = 100_000;

/// What came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the order of all.
    pub position: i64,
    /// Tells doubles.
    pub id: Uuid,
    /// Whose it is; `None` where it is about a person alone.
    pub tenant: Option<String>,
    /// Its type, such as `io.loggerhub.tenant.created.v1`.
    pub kind: String,
    /// What it is about: the tenant, or the id of a key, an invitation or a person.
    pub subject: String,
    /// When it came about.
    pub at: OffsetDateTime,
    /// What is said of it: a JSON object.
    pub data: Value,
}

impl Event {
    /// An event that says nothing, for the test of a webhook. It has no place in the order.
    #[must_use]
    pub fn of_test(tenant: &TenantId, webhook: Uuid) -> Self {
        Self {
            position: 0,
            id: Uuid::now_v7(),
            tenant: Some(tenant.to_string()),
            kind: TEST_TYPE.to_owned(),
            subject: webhook.to_string(),
            at: OffsetDateTime::now_utc(),
            data: json!({ "webhook_id": webhook }),
        }
    }

    /// The event in the JSON format of CloudEvents 1.0, section 3. `tenantid` is an extension attribute.
    #[must_use]
    pub fn to_cloud_event(&self) -> Value {
        let mut event = json!({
            "specversion": "1.0",
            "id": self.id,
            "source": SOURCE,
            "type": self.kind,
            "subject": self.subject,
            "time": timestamp::format(timestamp::from_datetime(self.at)),
            "datacontenttype": "application/json",
            "data": self.data,
        });
        // An attribute has a value or is not there (CloudEvents 1.0, section 3.1).
        if let Some(tenant) = &self.tenant {
            event["tenantid"] = json!(tenant);
        }
        event
    }
}

/// The stream `PREFIXevents` in Redis. Each entry has the fields `type`, `tenant` and `event`, which holds the whole event.
#[derive(Debug, Clone)]
pub struct EventStream {
    redis: RedisLink,
}

impl EventStream {
    /// The stream behind this connection.
    #[must_use]
    pub fn new(redis: RedisLink) -> Self {
        Self { redis }
    }

    /// Appends events, in their order.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may have been appended.
    pub async fn append(&self, events: &[Event]) -> Result<()> {
        let key = format!("{}events", self.redis.prefix);
        // In one transaction: of two, the second is not appended where the first was refused.
        let mut pipe = redis::pipe();
        pipe.atomic();
        for event in events {
            let add = pipe.cmd("XADD").arg(&key).arg("MAXLEN").arg("~").arg(STREAM_LENGTH).arg("*");
            add.arg("type").arg(&event.kind).arg("tenant").arg(event.tenant.as_deref().unwrap_or_default()).arg("event").arg(event.to_cloud_event().to_string()).ignore();
        }
        pipe.query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }
}

/// An event bus of AWS.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: aws_sdk_eventbridge::Client,
    name: String,
}

impl EventBus {
    /// The bus that the settings name, if they do.
    ///
    /// # Errors
    /// [`Error::Internal`] for authorities that are none.
    pub fn open(settings: &EventSettings, identity: &Identity) -> Result<Option<Self>> {
        let Some(name) = settings.bus.clone() else { return Ok(None) };
        Ok(Some(Self { client: aws::event_bridge(settings, identity)?, name }))
    }

    /// Puts at most [`MOST_AT_ONCE`] events on the bus, and answers which of them it took.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it took none.
    pub async fn put(&self, events: &[Event]) -> Result<Vec<bool>> {
        let entry = |event: &Event| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(&event.kind)
                .time(DateTime::from_secs(event.at.unix_timestamp()))
                .detail(event.to_cloud_event().to_string())
                .build()
        };
        let answer = self.client.put_events().set_entries(Some(events.iter().map(entry).collect())).send().await.map_err(|e| Error::unavailable(Engine::EventBus, e))?;
        let taken: Vec<bool> = answer.entries().iter().map(|entry| entry.error_code().is_none()).collect();
        if let Some(refused) = answer.entries().iter().find(|entry| entry.error_code().is_some()) {
            tracing::warn!(code = refused.error_code(), reason = refused.error_message(), "the event bus did not take an event");
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_every_attribute_that_cloudevents_requires() {
        let event = Event {
            position: 1,
            id: Uuid::nil(),
            tenant: Some("tenant_a".to_owned()),
            kind: "io.loggerhub.tenant.created.v1".to_owned(),
            subject: "tenant_a".to_owned(),
            at: OffsetDateTime::UNIX_EPOCH,
            data: json!({ "name": "A" }),
        };
        let told = event.to_cloud_event();
        for required in ["id", "source", "specversion", "type"] {
            assert!(told[required].as_str().is_some_and(|text| !text.is_empty()), "{required}");
        }
        assert_eq!((&told["time"], &told["data"]["name"]), (&json!("1970-01-01T00:00:00.000Z"), &json!("A")));
        assert_eq!(told["tenantid"], "tenant_a");
        assert!(Event { tenant: None, ..event }.to_cloud_event().get("tenantid").is_none());
    }
}
