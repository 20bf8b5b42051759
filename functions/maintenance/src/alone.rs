//! Work that one process does at a time: two would do it twice, side by side, when there is most of it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use shared::queue::Queue;
use uuid::Uuid;

/// How long a process that has died keeps others from its work.
const LEASE: Duration = Duration::from_secs(6);
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// Does work unless another process is at it; `None` says that one is, or that the work was given up after `at_most`: a store whose
/// host vanished may never answer, and must not keep the lease. Where Redis does not answer it is done all the same: doing it twice is a
/// waste, and no harm.
pub(crate) async fn alone<T>(queue: &Queue, name: &str, at_most: Duration, work: impl Future<Output = T>) -> Option<T> {
    let holder = Uuid::new_v4();
    if matches!(queue.lease(name, holder, LEASE).await, Ok(false)) {
        return None;
    }
    let renewal = async {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let _ = queue.lease(name, holder, LEASE).await;
        }
    };
    let done = tokio::select! {
        done = pin!(work) => Some(done),
        () = tokio::time::sleep(at_most) => {
            tracing::error!(work = name, seconds = at_most.as_secs(), "work was given up: a store does not answer, and says nothing");
            None
        }
        () = renewal => unreachable!("it is renewed for ever"),
    };
    let _ = queue.lease(name, holder, Duration::ZERO).await;
    done
}
