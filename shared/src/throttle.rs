//! How often something may be tried: buckets of tries in Redis that fill up again with time.
//!
//! A bucket is one number, the moment until which its tries are used up (the "theoretical arrival time" of ITU-T I.371, appendix A): a try moves it
//! on by the time in which one try grows back, and is refused where it would lie too far ahead. A try that is refused changes nothing, so nobody
//! can keep a bucket empty for longer than they go on being let through. Names are hashed: they hold addresses of people.

use std::time::Duration;

use redis::Script;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::redis_link::{RedisLink, failed};

/// Answers for how many milliseconds to wait: 0 for a try that is let through.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local every, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local until_then = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + every
local wait = until_then - now - every * burst
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', until_then), 'PX', until_then - now)
return 0";

const GIVE_BACK: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_then = tonumber(redis.call('GET', KEYS[1]) or now) - tonumber(ARGV[1])
if until_then <= now then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], string.format('%.0f', until_then), 'PX', until_then - now)";

/// How many tries there are at once, and how soon one grows back.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Tries of a full bucket.
    pub burst: u32,
    /// The time in which one grows back.
    pub every: Duration,
}

/// The buckets in Redis.
#[derive(Debug, Clone)]
pub struct Throttle {
    redis: RedisLink,
}

impl Throttle {
    /// The buckets behind this connection.
    #[must_use]
    pub fn new(redis: RedisLink) -> Self {
        Self { redis }
    }

    /// Takes a try. Where there is none: how long until there is.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn take(&self, bucket: &str, of: &str, rate: Rate) -> Result<Option<Duration>> {
        let script = Script::new(TAKE);
        let mut call = script.key(self.key(bucket, of));
        call.arg(millis(rate.every)).arg(rate.burst);
        let wait: u64 = call.invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)?;
        Ok((wait > 0).then(|| Duration::from_millis(wait)))
    }

    /// Gives a try back that was taken.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn give_back(&self, bucket: &str, of: &str, rate: Rate) -> Result<()> {
        let script = Script::new(GIVE_BACK);
        let mut call = script.key(self.key(bucket, of));
        call.arg(millis(rate.every)).invoke_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    /// Fills a bucket.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn fill(&self, bucket: &str, of: &str) -> Result<()> {
        redis::cmd("DEL").arg(self.key(bucket, of)).query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    /// Remembers something for a while.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn remember(&self, what: &str, of: &str, how_long: Duration) -> Result<()> {
        redis::cmd("SET").arg(self.key(what, of)).arg(1).arg("PX").arg(millis(how_long)).query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    /// Whether something is remembered.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`].
    pub async fn remembers(&self, what: &str, of: &str) -> Result<bool> {
        redis::cmd("EXISTS").arg(self.key(what, of)).query_async(&mut self.redis.connection.clone()).await.map_err(failed)
    }

    fn key(&self, bucket: &str, of: &str) -> String {
        let hash = Sha256::digest(of);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}throttle:{bucket}:{hex}", self.redis.prefix)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
