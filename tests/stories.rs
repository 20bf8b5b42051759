//! The stories, by what they are about.

mod batches;
mod dead_letters;
mod detail;
mod engines_down;
mod fault_points;
mod health;
mod idempotency;
mod ingest_limits;
mod ingest_records;
mod ingest_refusals;
mod ingest_shapes;
mod isolation;
mod keys_and_scopes;
mod listing;
mod many_hubs;
mod opensearch_down;
mod poison;
mod processor_dies;
mod queue_limits;
mod samples;
mod searching;
mod stopping;
mod tenant_life;
mod tenants_routes;
