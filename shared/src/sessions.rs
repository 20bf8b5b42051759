//! Sessions of people, in Redis: a token opens one until nobody has used it for a while, until its time is over, or until it is ended.
//!
//! `PREFIXsession:HASH` (of the token, whose clear text is with the browser alone) is a hash with the session as JSON (`session`), and by the
//! clock of Redis when it was used last (`seen`, to the minute) and when its time is over (`ends`), both in milliseconds since 1970.
//! `PREFIXsessions:USER` is a sorted set of the hashes of a user's sessions by their ends: for lists, and to end them all. It is written before
//! and cleared after what it lists, so it may name sessions that are gone. That all of a user's sessions have ended does not rest on it, but on
//! the user's epoch: each session says under which it began.
//!
//! Where Redis has lost a session its person is logged out.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use redis::Script;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::ids::{Token, TokenHash, TokenKind};
use crate::redis_link::{RedisLink, failed};
use crate::settings::SessionSettings;
use crate::timestamp::{self, UnixMs};

/// Most sessions of a user: one more ends the oldest.
pub const MOST_OF_A_USER: usize = 50;
/// How exactly it is known when a session was used last: a write for each request would be one that reaches the disk.
const SEEN_TO: Duration = Duration::from_secs(60);
/// The same where sessions end sooner than that: this part of the time after which they do.
const SEEN_PART: u32 = 10;

const BEGIN: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'session', ARGV[1], 'seen', string.format('%.0f', now), 'ends', string.format('%.0f', ends))
redis.call('PEXPIRE', KEYS[1], math.min(tonumber(ARGV[2]), tonumber(ARGV[3])))
return string.format('%.0f', ends)";

/// Answers a session that has not ended, and notes that it is used where that was not noted lately.
const FIND: &str = "
local found = redis.call('HMGET', KEYS[1], 'session', 'seen', 'ends')
if not found[1] then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = tonumber(found[3]) - now
if left <= 0 then return false end
if now - tonumber(found[2]) >= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], math.min(tonumber(ARGV[2]), left))
end
return found[1]";

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, for people: it opens nothing.
    pub id: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// Under which of the user's epochs it began: a later one has ended it.
    pub epoch: i64,
    /// When it began, in milliseconds since 1970.
    pub began_at: UnixMs,
    /// The address from which it began.
    pub address: Option<String>,
}

/// A session as its person sees it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The session.
    pub session: Session,
    /// What is looked up for its token.
    pub hash: String,
    /// When it was used last, to the minute.
    pub seen_at: UnixMs,
    /// When its time is over.
    pub ends_at: UnixMs,
}

/// Sessions in Redis.
#[derive(Debug, Clone)]
pub struct Sessions {
    redis: RedisLink,
    idle: Duration,
    absolute: Duration,
}

impl Sessions {
    /// The sessions behind this connection.
    #[must_use]
    pub fn new(redis: RedisLink, settings: &SessionSettings) -> Self {
        Self { redis, idle: settings.idle, absolute: settings.absolute }
    }

    /// Begins a session, with a token that nobody has had before.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: there is none.
    pub async fn begin(&self, user: Uuid, epoch: i64, address: Option<String>) -> Result<(Token, Session)> {
        let (token, began_at) = (Token::generate(TokenKind::Session), timestamp::from_datetime(OffsetDateTime::now_utc()));
        let session = Session { id: Uuid::now_v7(), user, epoch, began_at, address };
        let json = serde_json::to_string(&session).map_err(|e| Error::internal("writing a session", e))?;
        let ends = began_at + millis(self.absolute);
        let mut pipe = redis::pipe();
        let index = self.index(user);
        pipe.atomic().zrembyscore(&index, "-inf", began_at).ignore().zadd(&index, token.hash().to_string(), ends).ignore();
        pipe.pexpire(&index, millis(self.absolute)).ignore().zrange(&index, 0, -1);
        let (all,): (Vec<String>,) = pipe.query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        let too_many = all.len().saturating_sub(MOST_OF_A_USER);
        try_join_all(all.iter().take(too_many).map(|hash| self.remove(user, hash))).await?;
        let script = Script::new(BEGIN);
        let mut call = script.key(self.key(&token.hash().to_string()));
        call.arg(json).arg(millis(self.absolute)).arg(millis(self.idle));
        call.invoke_async::<String>(&mut self.redis.connection.clone()).await.map_err(failed)?;
        Ok((token, session))
    }

    /// The session of a token, if it has not ended. It counts as used now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn find(&self, token: &TokenHash) -> Result<Option<Session>> {
        let script = Script::new(FIND);
        let mut call = script.key(self.key(&token.to_string()));
        call.arg(millis(SEEN_TO.min(self.idle / SEEN_PART))).arg(millis(self.idle));
        let found: Option<String> = call.invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        found.map(|json| read(&json)).transpose()
    }

    /// A user's sessions, the latest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn of(&self, user: Uuid) -> Result<Vec<Listed>> {
        let hashes = self.hashes_of(user).await?;
        // One by one: in a cluster each may lie on another node.
        let mut listed: Vec<Listed> = try_join_all(hashes.into_iter().map(|hash| self.listed(hash))).await?.into_iter().flatten().collect();
        listed.sort_by_key(|one| std::cmp::Reverse((one.session.began_at, one.session.id)));
        Ok(listed)
    }

    async fn listed(&self, hash: String) -> Result<Option<Listed>> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(self.key(&hash)).arg("session").arg("seen").arg("ends");
        let found: (Option<String>, Option<UnixMs>, Option<UnixMs>) = ask.query_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        let (Some(json), Some(seen_at), Some(ends_at)) = found else { return Ok(None) };
        Ok(Some(Listed { session: read(&json)?, hash, seen_at, ends_at }))
    }

    /// Ends one session of a user.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may go on.
    pub async fn end(&self, user: Uuid, token: &TokenHash) -> Result<()> {
        self.remove(user, &token.to_string()).await
    }

    /// Ends the session of this id, and answers whether it was the user's.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may go on.
    pub async fn end_of_id(&self, user: Uuid, id: Uuid) -> Result<bool> {
        let Some(found) = self.of(user).await?.into_iter().find(|one| one.session.id == id) else { return Ok(false) };
        self.remove(user, &found.hash).await?;
        Ok(true)
    }

    /// Removes all sessions of a user. What ends them is the user's epoch: where Redis does not answer, they stay behind and open nothing.
    pub async fn tidy_up(&self, user: Uuid) {
        let removed = async { Ok::<_, Error>(join_all(self.hashes_of(user).await?.iter().map(|hash| self.remove(user, hash))).await) };
        if let Err(error) = removed.await {
            tracing::warn!(cause = crate::error::chain(&error), "sessions that have ended stay in Redis until their time is over");
        }
    }

    async fn hashes_of(&self, user: Uuid) -> Result<Vec<String>> {
        redis::cmd("ZRANGE").arg(self.index(user)).arg(0).arg(-1).query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    async fn remove(&self, user: Uuid, hash: &str) -> Result<()> {
        redis::cmd("DEL").arg(self.key(hash)).query_async::<()>(&mut self.redis.connection.clone()).await.map_err(failed)?;
        redis::cmd("ZREM").arg(self.index(user)).arg(hash).query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    fn key(&self, hash: &str) -> String {
        format!("{}session:{hash}", self.redis.prefix)
    }

    fn index(&self, user: Uuid) -> String {
        format!("{}sessions:{user}", self.redis.prefix)
    }
}

fn read(json: &str) -> Result<Session> {
    serde_json::from_str(json).map_err(|e| Error::internal("reading a session", e))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
