//! Tenants whose lines leave raw objects that they share with others: each such object is rewritten, its other lines where they were.

use std::collections::HashSet;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use shared::error::{Error, Result};
use shared::ids::TenantId;
use shared::raw::{self, Left};

use crate::App;

/// Who owns the objects that tenants share, as their names say.
pub(crate) const SHARED: &str = "_shared";
/// Objects that are looked at or rewritten at the same time: one is at most some megabytes.
const OBJECTS_AT_ONCE: usize = 8;
/// First bytes of an object that are read to see whose lines it holds: the manifest of some five hundred tenants.
const HEAD: u64 = 64 * 1024;

/// Takes these tenants out of each of these objects that holds lines of theirs. Answers how many objects were rewritten, or removed since nobody
/// is left in them.
///
/// # Errors
/// Weather; [`Error::Internal`] for an object that is none of ours.
pub(crate) async fn leave_shared(app: &App, paths: Vec<String>, tenants: &HashSet<TenantId>) -> Result<u64> {
    let leaving = stream::iter(paths).map(|path| async move { leave(app, &path, tenants).await });
    leaving.buffer_unordered(OBJECTS_AT_ONCE).try_fold(0, |count, left| async move { Ok(count + u64::from(left)) }).await
}

async fn leave(app: &App, path: &str, tenants: &HashSet<TenantId>) -> Result<bool> {
    match holds_any(app, path, tenants).await {
        Ok(true) => {}
        Ok(false) | Err(Error::NotFound(_)) => return Ok(false),
        Err(error) => return Err(error),
    }
    // Two who rewrite it side by side would each bring back what the other took out.
    let lock = app.rows.lock_object(path).await?;
    let left = rewrite(app, path, tenants).await;
    lock.release().await?;
    left
}

async fn holds_any(app: &App, path: &str, tenants: &HashSet<TenantId>) -> Result<bool> {
    let mut wanted = HEAD;
    loop {
        let head = app.archive.range(path, 0, wanted).await?;
        match raw::manifest(&head) {
            Ok(entries) => return Ok(entries?.iter().any(|entry| tenants.contains(&entry.tenant))),
            Err(bytes) if bytes as u64 > wanted => wanted = bytes as u64,
            Err(_) => return Err(Error::internal("reading a raw object", format!("{path} ends within its manifest"))),
        }
    }
}

async fn rewrite(app: &App, path: &str, tenants: &HashSet<TenantId>) -> Result<bool> {
    let object = match app.archive.whole(path).await {
        Ok(object) => object,
        Err(Error::NotFound(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    match raw::without(&object, |tenant| tenants.contains(tenant))? {
        Left::AsItWas => return Ok(false),
        Left::Others(bytes) => app.archive.put(path, Bytes::from(bytes)).await?,
        Left::Nothing => app.archive.delete(path).await?,
    }
    Ok(true)
}
