//! The key ring: what each API key allows, in Redis, so that ingest needs no Postgres.
//!
//! Keys lie in sixteen parts by the first four bits of their hash. In Redis, `PREFIX{kN}:key:HASH` holds the version and the
//! grant as JSON, without expiry; `PREFIX{kN}:marker` says that the part is whole. A part without its marker was lost: what is
//! not found in it may exist all the same, and the answer is "I do not know", never "no such key". Whoever makes a part again
//! sets `PREFIX{kN}:making` first, which becomes the marker: if Redis loses the part once more meanwhile, it loses that too.
//!
//! `PREFIX{kN}:used` holds the minutes in which keys were used last, until maintenance keeps them in Postgres.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::try_join_all;
use redis::Script;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::grant::Grant;
use crate::ids::KeyHash;
use crate::redis_link::{RedisLink, failed};

/// Number of parts: enough to spread over a cluster, few enough to look at each minute.
pub const PARTS: u8 = 16;

/// Takes a grant only over a lower version: of two writers the later change wins, whoever comes last.
const PUBLISH: &str = "
for i = 1, #KEYS do
  local version, grant = ARGV[2 * i - 1], ARGV[2 * i]
  local known = redis.call('HGET', KEYS[i], 'version')
  if not known or tonumber(known) < tonumber(version) then
    redis.call('HSET', KEYS[i], 'version', version, 'grant', grant)
  end
end";

/// Makes the marker of what a maker set, if it is still there.
const MARK_WHOLE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1";

/// Forgets a key's last use, unless it was used again since.
const FORGET_USES: &str = "
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end";

/// Grants in one script call: Redis does nothing else meanwhile, and ingest waits (some 10 us a grant).
const GRANTS_AT_ONCE: usize = 500;

/// A part of the ring that is being made again.
#[derive(Debug)]
#[must_use = "a part counts as lost until it is marked whole"]
pub struct Making {
    part: u8,
    token: String,
}

/// When a key was used last.
#[derive(Debug, Clone)]
pub struct Use {
    part: u8,
    /// The key.
    pub key_id: Uuid,
    /// The beginning of that minute.
    pub at: OffsetDateTime,
}

/// What the ring says of a key.
#[derive(Debug)]
pub enum Lookup {
    /// It is known, and may be a tombstone.
    Found(Arc<Grant>),
    /// There is no such key.
    Unknown,
    /// The part that would hold it was lost.
    Lost,
}

/// The key ring in Redis.
#[derive(Debug, Clone)]
pub struct KeyRing {
    redis: RedisLink,
}

impl KeyRing {
    /// The ring behind this connection.
    #[must_use]
    pub fn new(redis: RedisLink) -> Self {
        Self { redis }
    }

    /// # Errors
    /// [`Error::Unavailable`] where Redis does not answer.
    pub async fn look_up(&self, hash: &KeyHash) -> Result<Lookup> {
        let mut pipe = redis::pipe();
        // In one transaction: else the marker may appear between the two, with a key that was not there yet.
        pipe.atomic().hget(self.key(hash), "grant").exists(self.marker(hash.part()));
        let (grant, whole): (Option<String>, bool) = pipe.query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        match grant {
            Some(json) => serde_json::from_str(&json).map(|grant| Lookup::Found(Arc::new(grant))).map_err(|e| Error::internal("reading a grant", e)),
            None if whole => Ok(Lookup::Unknown),
            None => Ok(Lookup::Lost),
        }
    }

    /// Writes grants, each only over a lower version.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may have been written; doing it again does no harm.
    pub async fn publish(&self, grants: &[(KeyHash, Grant)]) -> Result<()> {
        let script = Script::new(PUBLISH);
        for part in 0..PARTS {
            let of_part: Vec<&(KeyHash, Grant)> = grants.iter().filter(|(hash, _)| hash.part() == part).collect();
            for some in of_part.chunks(GRANTS_AT_ONCE) {
                let mut call = script.prepare_invoke();
                for (hash, grant) in some {
                    let json = serde_json::to_string(grant).map_err(|e| Error::internal("writing a grant", e))?;
                    call.key(self.key(hash)).arg(grant.version).arg(json);
                }
                call.invoke_async::<()>(&mut self.redis.connection.clone()).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Notes that a key is used in this minute.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_use(&self, hash: &KeyHash, key_id: Uuid) -> Result<()> {
        let minute = OffsetDateTime::now_utc().unix_timestamp().div_euclid(60);
        let mut note = redis::cmd("HSET");
        note.arg(self.used(hash.part())).arg(key_id.to_string()).arg(minute);
        note.query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    /// The keys that were used since this was [forgotten](Self::forget_uses), and in which minute last.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn uses(&self) -> Result<Vec<Use>> {
        let asked = (0..PARTS).map(|part| async move {
            let found: HashMap<String, i64> = redis::cmd("HGETALL").arg(self.used(part)).query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
            let used = found.into_iter().filter_map(|(id, minute)| Some((Uuid::parse_str(&id).ok()?, minute)));
            Ok::<_, Error>(
                used.filter_map(|(key_id, minute)| Some(Use { part, key_id, at: OffsetDateTime::from_unix_timestamp(minute.checked_mul(60)?).ok()? })).collect::<Vec<_>>(),
            )
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// Forgets uses that are kept elsewhere; what was noted since stays.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn forget_uses(&self, kept: &[Use]) -> Result<()> {
        let script = Script::new(FORGET_USES);
        for part in 0..PARTS {
            let of_part: Vec<&Use> = kept.iter().filter(|one| one.part == part).collect();
            for some in of_part.chunks(GRANTS_AT_ONCE) {
                let mut call = script.key(self.used(part));
                for one in some {
                    call.arg(one.key_id.to_string()).arg(one.at.unix_timestamp().div_euclid(60));
                }
                call.invoke_async::<()>(&mut self.redis.connection.clone()).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The parts that were lost, or never made.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn lost_parts(&self) -> Result<Vec<u8>> {
        let asked = (0..PARTS).map(|part| async move {
            let whole: bool = redis::cmd("EXISTS").arg(self.marker(part)).query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
            Ok::<_, Error>((part, whole))
        });
        // In a cluster each may lie on another node.
        let parts = try_join_all(asked).await?;
        Ok(parts.into_iter().filter(|(_, whole)| !whole).map(|(part, _)| part).collect())
    }

    /// Begins to make a part again. What is read after this and published makes it whole.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin_part(&self, part: u8) -> Result<Making> {
        let token = Uuid::new_v4().to_string();
        redis::cmd("SET").arg(self.making(part)).arg(&token).query_async::<()>(&mut self.redis.connection.clone()).await.map_err(failed)?;
        Ok(Making { part, token })
    }

    /// Says that a part is whole: every grant of it has been published since [`KeyRing::begin_part`]. Answers `false` where it is
    /// not, because the part was lost again meanwhile, or another began to make it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn mark_whole(&self, making: Making) -> Result<bool> {
        let script = Script::new(MARK_WHOLE);
        let mut call = script.key(self.making(making.part));
        call.key(self.marker(making.part)).arg(making.token);
        call.invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    fn key(&self, hash: &KeyHash) -> String {
        format!("{}{{k{}}}:key:{hash}", self.redis.prefix, hash.part())
    }

    fn used(&self, part: u8) -> String {
        format!("{}{{k{part}}}:used", self.redis.prefix)
    }

    fn marker(&self, part: u8) -> String {
        format!("{}{{k{part}}}:marker", self.redis.prefix)
    }

    fn making(&self, part: u8) -> String {
        format!("{}{{k{part}}}:making", self.redis.prefix)
    }
}
