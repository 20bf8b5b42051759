//! What Redis should know of keys and does not: parts of the key ring that it lost, and changes whose publishing failed.

use shared::error::Result;
use shared::grant::Grant;
use shared::ids::KeyHash;

use crate::App;

/// Changes that are published at once.
const PAGE: i64 = 1000;

/// What was published.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Republished {
    /// Parts of the ring that were lost, or never made, and are whole now.
    pub parts: usize,
    /// Grants, those of the parts included.
    pub grants: usize,
}

/// Makes lost parts whole, and publishes what was not published.
///
/// # Errors
/// Weather of Redis or Postgres: what was done stays done.
pub async fn republish_keys(app: &App) -> Result<Republished> {
    let mut done = Republished::default();
    for part in app.ring.lost_parts().await? {
        let making = app.ring.begin_part(part).await?;
        done.grants += publish(app, &app.registry.grants_of_part(part).await?).await?;
        done.parts += usize::from(app.ring.mark_whole(making).await?);
    }
    loop {
        let published = publish(app, &app.registry.unpublished(PAGE).await?).await?;
        done.grants += published;
        if i64::try_from(published).unwrap_or(PAGE) < PAGE {
            return Ok(done);
        }
    }
}

pub(crate) async fn publish(app: &App, grants: &[(KeyHash, Grant)]) -> Result<usize> {
    app.ring.publish(grants).await?;
    app.registry.mark_published(grants).await?;
    Ok(grants.len())
}
