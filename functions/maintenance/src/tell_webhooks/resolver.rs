//! Names to addresses, for requests to strangers: a name that leads to the inside of a network, also beside public addresses, is refused.
//!
//! The client connects to the addresses that are answered here and asks nobody else, so a name whose answer changes between a check and the
//! connection (DNS rebinding) gains nothing: there is one look-up, and what it found is what was checked.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use shared::webhooks::is_public;

/// A look-up of a name.
pub(super) type LookUp = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

/// A name that leads nowhere, or to the inside: a tenant is not told which, for it could try out the names of our network.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no public address")]
pub(super) struct NoPublicAddress;

/// Looks names up and checks what they lead to.
pub(super) struct Resolver {
    allow_private: bool,
    look_up: LookUp,
}

impl Resolver {
    /// By what the operating system asks.
    pub(super) fn of_system(allow_private: bool) -> Self {
        Self::new(allow_private, Arc::new(|name| Box::pin(async move { tokio::net::lookup_host((name, 0)).await.map(Iterator::collect) })))
    }

    pub(super) fn new(allow_private: bool, look_up: LookUp) -> Self {
        Self { allow_private, look_up }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow_private, found) = (self.allow_private, (self.look_up)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = found.await.map_err(|_| NoPublicAddress)?;
            // One foul address spoils all: an honest name has none.
            if found.is_empty() || (!allow_private && !found.iter().all(|address| is_public(address.ip()))) {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
