//! Webhooks: which addresses may be told what becomes of a tenant, and how what they are told is signed.
//!
//! A tenant says where to; nothing of the inside of our network may be reached that way.

mod address;
mod seal;
mod secret;
mod target;

pub use address::is_public;
pub use seal::Sealer;
pub use secret::SigningSecret;
pub use target::{Target, TargetError};
