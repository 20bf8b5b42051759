//! Fault points: places where a test ends the process as a power cut would, to see what another makes of what is left.
//!
//! They stand before and after every write on the way of a log and between the steps of a tenant's making and removal, in what ships, so that the tests run on that. Nothing is armed
//! unless `LOGGERHUB_ABORT_AT` names a point; one that is not armed costs a look at a word in memory.

use std::sync::OnceLock;

/// Every point.
pub const POINTS: &[&str] = &[
    "ingest.before_push",
    "ingest.after_push",
    "processor.taken",
    "processor.before_raw",
    "processor.after_raw",
    "processor.before_index",
    "processor.after_index",
    "processor.before_rows",
    "rows.after_receipts",
    "rows.after_copy",
    "processor.after_rows",
    "processor.after_ack",
    "processor.before_bury",
    "processor.after_bury",
    "maintenance.before_bulk",
    "maintenance.after_bulk",
    "maintenance.after_settle",
    "redrive.before_raw",
    "redrive.after_raw",
    "redrive.after_index",
    "redrive.after_rows",
    "rebuild.after_rows",
    "rebuild.after_pending",
    "billing.after_draft",
    "billing.after_take",
    "billing.after_finalize",
    "events.after_append",
    "events.after_put",
    "webhooks.after_fan_out",
    "webhooks.before_send",
    "webhooks.after_send",
    "provisioning.registered",
    "provisioning.schema_made",
    "provisioning.activated",
    "deletion.begun",
    "deletion.keys_closed",
    "deletion.schema_dropped",
    "deletion.documents_removed",
    "deletion.objects_removed",
    "deletion.late_removed",
    "retention.before_noted",
    "deletion.forgotten",
];

static ARMED: OnceLock<&'static str> = OnceLock::new();

/// Arms one of [`POINTS`]: the process ends when it gets there. Answers whether there is such a point.
pub fn arm(name: &str) -> bool {
    let Some(point) = POINTS.iter().find(|point| **point == name) else { return false };
    ARMED.set(point).is_ok()
}

/// One of [`POINTS`]. Ends the process, without unwinding, if it is armed.
pub fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is missing in the list");
    if ARMED.get().is_some_and(|armed| *armed == name) {
        eprintln!("loggerhub: ended at the fault point {name}");
        std::process::abort();
    }
}
