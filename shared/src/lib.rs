//! What two or more functions of Logger Hub use: the doors between the rooms.
//!
//! Words first (ids, the record, errors), then what every HTTP function wears, then a door to each engine. The doors
//! do not know each other; a function joins them. See `docs/ARCHITECTURE.md` for the way of a log through them.

pub mod billing;
pub mod document;
pub mod grant;
pub mod ids;
pub mod late;
pub mod limits;
pub mod people;
pub mod query;
pub mod range;
pub mod raw;
pub mod record;
pub mod retention;
pub mod text;
pub mod timestamp;

pub mod error;
pub mod events;
pub mod fault;
pub mod settings;
pub mod telemetry;
pub mod webhooks;

pub mod auth;
pub mod http;
pub mod lambda;
pub mod problem;

pub mod archive;
pub mod aws;
pub mod bell;
pub mod index;
pub mod keys;
pub mod postgres;
pub mod queue;
pub mod redis_link;
pub mod rows;
pub mod sessions;
pub mod tenants;
pub mod throttle;
