//! Tenants whose lines leave raw objects that they share with others: each such object is rewritten, its other lines where they were.

use std::collections::HashSet;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::{Engine, Error, Result, chain};
use shared::ids::TenantId;
use shared::raw::{self, Left, Manifest};

use crate::App;

/// Objects that are looked at or rewritten at the same time: one is at most some megabytes.
const OBJECTS_AT_ONCE: usize = 8;
/// First bytes of an object that are read to see whose lines it holds: the manifest of some five hundred tenants.
const HEAD: u64 = 64 * 1024;
/// How often an object is read again that others rewrite at the same time.
const TRIES: usize = 5;

/// What became of shared objects.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftShared {
    /// Objects that were rewritten, or removed since nobody is left in them.
    pub(crate) objects: u64,
    /// Objects that cannot be read; each was logged, and the others were left all the same.
    pub(crate) unreadable: u64,
}

/// Takes these tenants out of each of these objects that holds lines of theirs.
///
/// # Errors
/// Weather.
pub(crate) async fn leave_shared(app: &App, paths: Vec<String>, tenants: &HashSet<TenantId>) -> Result<LeftShared> {
    let leaving = stream::iter(paths).map(|path| async move {
        match leave(app, &path, tenants).await {
            Ok(left) => Ok(LeftShared { objects: u64::from(left), unreadable: 0 }),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::error!(path, cause = chain(&error), "a raw object cannot be rewritten");
                Ok(LeftShared { objects: 0, unreadable: 1 })
            }
        }
    });
    let add = |all: LeftShared, one: LeftShared| async move { Ok(LeftShared { objects: all.objects + one.objects, unreadable: all.unreadable + one.unreadable }) };
    leaving.buffer_unordered(OBJECTS_AT_ONCE).try_fold(LeftShared::default(), add).await
}

async fn leave(app: &App, path: &str, tenants: &HashSet<TenantId>) -> Result<bool> {
    match holds_any(app, path, tenants).await {
        Ok(true) => {}
        Ok(false) | Err(Error::NotFound(_)) => return Ok(false),
        Err(error) => return Err(error),
    }
    // Two who rewrite it side by side would each bring back what the other took out: the second reads it again.
    for _ in 0..TRIES {
        let (object, tag) = match app.archive.tagged(path).await {
            Ok(read) => read,
            Err(Error::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        match raw::without(&object, |tenant| tenants.contains(tenant))? {
            Left::AsItWas => return Ok(false),
            // Nobody is ever added to an object.
            Left::Nothing => return app.archive.delete(path).await.map(|()| true),
            Left::Others(bytes) => {
                if app.archive.replace(path, Bytes::from(bytes), &tag).await? {
                    return Ok(true);
                }
            }
        }
    }
    Err(Error::unavailable(Engine::ObjectStore, "others go on rewriting the same raw object"))
}

async fn holds_any(app: &App, path: &str, tenants: &HashSet<TenantId>) -> Result<bool> {
    let mut wanted = HEAD;
    loop {
        match raw::manifest(&app.archive.range(path, 0, wanted).await?)? {
            Manifest::Whole(entries) => return Ok(entries.iter().any(|entry| tenants.contains(&entry.tenant))),
            Manifest::Cut { needs } if needs > wanted => wanted = needs,
            Manifest::Cut { .. } => return Err(Error::internal("reading a raw object", format!("{path} ends within its manifest"))),
        }
    }
}
