//! What wakes the function on Lambda: messages of the bell's SQS queue, or a schedule. Neither says what to do: both mean "look".

use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{App, Until, drain_queue};

/// What is left of the invocation's time when the last drain begins: longer than a drain takes in which a `_bulk` times out (15 s)
/// and a PUT is tried again (10 s).
const STOP_BEFORE: Duration = Duration::from_secs(30);
/// What is left of it when a write that hangs is given up: enough to park, to answer, and to be seen not to have died.
const GIVE_UP_BEFORE: Duration = Duration::from_secs(5);
/// What is left of it when the answer is sent, whatever still hangs.
const ANSWER_BEFORE: Duration = Duration::from_secs(2);
/// Deadlines are moments, in milliseconds since 1970. One that lies in its first days is none but a length of time: the emulator
/// sends 600,000 (seen in cargo-lambda 1.9.2).
const A_MOMENT: u64 = 1_000_000_000;

/// Drains the queue until nothing much is left or the invocation's time is nearly over; then somebody is called to go on.
///
/// # Errors
/// Where nothing could be drained for weather: a schedule's event is then tried again by Lambda. SQS messages are answered one by
/// one instead, all as failed, so that SQS rings again.
pub async fn handle(app: &App, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let left = deadline_of(&event.context).saturating_duration_since(Instant::now());
    let now = Instant::now();
    let until = Until::deadline(now + left.saturating_sub(STOP_BEFORE).max(left / 2)).giving_up_at(now + left.saturating_sub(GIVE_UP_BEFORE));
    // Whatever hangs, an answer comes in time: without one, AWS would count it as a death of the processor.
    let outcome = tokio::time::timeout(left.saturating_sub(ANSWER_BEFORE), drain_queue(app, &until)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(shared::error::Error::internal("draining before the deadline", "something hung")));
    match (serde_json::from_value::<SqsEvent>(event.payload), outcome) {
        (Ok(bell), outcome) => {
            let mut answer = SqsBatchResponse::default();
            if let Err(error) = outcome {
                tracing::error!(cause = shared::error::chain(&error), "the queue could not be drained");
                bell.records.into_iter().filter_map(|message| message.message_id).for_each(|id| answer.add_failure(id));
            }
            Ok(serde_json::to_value(answer)?)
        }
        (Err(_), Ok(drained)) => Ok(serde_json::json!({ "stored": drained.stored })),
        (Err(_), Err(error)) => Err(error.into()),
    }
}

fn deadline_of(context: &lambda_runtime::Context) -> Instant {
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    let left = if context.deadline < A_MOMENT { context.deadline } else { context.deadline.saturating_sub(now) };
    Instant::now() + Duration::from_millis(left)
}
