//! What two or more functions of Logger Hub use: the doors between the rooms.
//!
//! Words first (ids, the record, errors), then what every HTTP function wears, then a door to each engine. The doors
//! do not know each other; a function joins them. See `docs/ARCHITECTURE.md` for the way of a log through them.

pub mod ids;
pub mod text;
pub mod timestamp;
pub mod grant;
pub mod record;
pub mod document;
pub mod raw;

pub mod error;
pub mod settings;
pub mod telemetry;

pub mod problem;
pub mod http;
pub mod auth;

pub mod redis_link;
pub mod queue;
pub mod keys;
pub mod bell;
pub mod postgres;
pub mod rows;
pub mod tenants;
pub mod index;
pub mod archive;
