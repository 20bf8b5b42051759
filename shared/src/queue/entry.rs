//! One entry of the queue: an accepted request, as it lies in Redis and as it is read again.

use std::cell::RefCell;
use std::io::Read;

use bytes::Bytes;
use redis::{FromRedisValue, ParsingError, Value, from_redis_value};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Error, Fault, Result};
use crate::ids::{BatchId, TenantId};
use crate::timestamp;

/// Most bytes that a payload unpacks to: what ingest takes (20 MiB) with room to spare. A bound for damaged entries.
const MAX_UNPACKED_BYTES: usize = 32 * 1024 * 1024;
/// Below this many bytes compression is not worth its time: a log of 600 bytes takes 10 us of its own, and becomes 315.
const COMPRESS_FROM: usize = 2048;
/// Ingest compresses each batch while its client waits: the fastest level (0.7 us a log; design, section 2).
const LEVEL: i32 = 1;

thread_local! {
    /// Kept for the next batch: making one takes a tenth of what packing a hundred logs does.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// What is known of a batch without unpacking it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the entry, 1.
    pub v: u8,
    /// Whose it is.
    pub tenant: TenantId,
    /// The id of the key that sent it.
    pub key_id: Uuid,
    /// The batch's id: says when it was received.
    pub batch: BatchId,
    /// Retention class.
    pub class: String,
    /// Whether it is wanted in the index.
    pub index: bool,
    /// Bytes of the body as it came over the wire.
    pub wire_bytes: u64,
    /// Bytes of the accepted records, a line each.
    pub unpacked_bytes: u64,
    /// Records accepted.
    pub accepted: u32,
    /// Records refused, with their positions: the accepted ones have the other positions, in order.
    pub rejected: Vec<Fault>,
    /// Whether the payload is compressed.
    pub zstd: bool,
    /// Whether the queue was not known to be on disk at every answer.
    #[serde(default)]
    pub relaxed: bool,
}

impl Header {
    /// The version of header and payload together that is written.
    pub const VERSION: u8 = 1;

    /// As it is kept in the entry.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal("writing an entry's header", e))
    }

    /// The positions of the accepted records.
    pub fn positions(&self) -> impl Iterator<Item = u16> {
        let refused: std::collections::HashSet<u32> = self.rejected.iter().filter_map(|fault| fault.index).collect();
        (0..=u16::MAX).filter(move |position| !refused.contains(&u32::from(*position))).take(self.accepted as usize)
    }
}

/// The accepted records, a line each, compressed when there is more than a little.
#[derive(Debug, Clone)]
pub struct Payload {
    bytes: Bytes,
    zstd: bool,
}

impl Payload {
    /// Packs lines.
    ///
    /// # Errors
    /// What zstd says; with memory at hand, nothing.
    pub fn pack(lines: Vec<u8>) -> std::io::Result<Self> {
        if lines.len() < COMPRESS_FROM {
            return Ok(Self { bytes: lines.into(), zstd: false });
        }
        let bytes = COMPRESSOR.with(|compressor| match &mut *compressor.borrow_mut() {
            Some(compressor) => compressor.compress(&lines),
            none => none.insert(zstd::bulk::Compressor::new(LEVEL)?).compress(&lines),
        })?;
        Ok(Self { bytes: bytes.into(), zstd: true })
    }

    /// The lines again.
    ///
    /// # Errors
    /// Why they cannot be unpacked.
    pub fn unpack(&self) -> Result<Vec<u8>, String> {
        unpack(&self.bytes, self.zstd, 0)
    }

    /// Whether it is compressed.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.zstd
    }

    pub(super) fn shared(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The bytes as they lie in the queue.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// An entry as the scripts answer it: id, deliveries before this one, fields and values. What was not written by [`super::Queue::push`]
/// is read all the same, so that it can be buried.
#[derive(Debug)]
pub(super) struct Answer {
    id: String,
    deliveries: u64,
    unpacked_bytes: usize,
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl FromRedisValue for Answer {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let (id, deliveries, fields): (String, u64, Vec<Value>) = from_redis_value(value)?;
        let mut answer = Self { id, deliveries, unpacked_bytes: 0, header: Vec::new(), payload: Vec::new() };
        let mut fields = fields.into_iter();
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            match from_redis_value::<String>(name)?.as_str() {
                "u" => answer.unpacked_bytes = from_redis_value(value).unwrap_or_default(),
                "h" => answer.header = bytes(value)?,
                "p" => answer.payload = bytes(value)?,
                _ => {}
            }
        }
        Ok(answer)
    }
}

fn bytes(value: Value) -> Result<Vec<u8>, ParsingError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => from_redis_value(other),
    }
}

/// What a consumer holds: enough to renew, park or acknowledge it.
#[derive(Debug, Clone)]
pub struct Held {
    pub(super) lane: String,
    pub(super) id: String,
    /// How often it was handed out before: more than none means that a consumer left it behind.
    pub deliveries: u64,
    /// Bytes of its records, as ingest counted them.
    pub unpacked_bytes: usize,
    /// Bytes of header and payload, as they lie in the queue.
    pub stored_bytes: usize,
}

impl Held {
    /// Whether its consumers died so often that it is taken alone.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.deliveries >= super::consume::ALONE_AFTER
    }

    /// An id for what becomes of the entry: the same however often it is tried. As a UUID of version 7 it says when it came in.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let ms = self.id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or_default();
        let hash = Sha256::digest(format!("{} {}", self.lane, self.id));
        let mut low = [0; 10];
        low.copy_from_slice(&hash[..10]);
        uuid::Builder::from_unix_timestamp_millis(ms, &low).into_uuid()
    }
}

/// An entry that was taken, not yet opened.
#[derive(Debug)]
pub struct Taken {
    /// The hold on it.
    pub held: Held,
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl Taken {
    pub(super) fn new(lane: &str, answer: Answer) -> Self {
        let Answer { id, deliveries, unpacked_bytes, header, payload } = answer;
        let stored_bytes = header.len() + payload.len();
        Self { held: Held { lane: lane.to_owned(), id, deliveries, unpacked_bytes, stored_bytes }, header, payload }
    }

    /// Header and payload as they lie in the queue: what a dead letter keeps of an entry that cannot be stored.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.header.as_slice(), b"\n", &self.payload].concat()
    }

    /// The entry that [`Taken::bytes`] kept: a header holds no line break.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
        let (header, payload) = (bytes[..end].to_vec(), bytes.get(end + 1..).unwrap_or_default().to_vec());
        let stored_bytes = header.len() + payload.len();
        Self { held: Held { lane: String::new(), id: String::new(), deliveries: 0, unpacked_bytes: 0, stored_bytes }, header, payload }
    }

    /// Reads the header.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn header(&self) -> Result<Header, String> {
        let header = self.header_of_any_version()?;
        if header.v == Header::VERSION { Ok(header) } else { Err(format!("version {} is not known", header.v)) }
    }

    /// Reads the header, also that of an entry whose payload another version wrote: whose it is and what it counts can be said.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn header_of_any_version(&self) -> Result<Header, String> {
        let header: Header = serde_json::from_slice(&self.header).map_err(|e| format!("the header cannot be read: {e}"))?;
        // Both become names in the stores, which would refuse others for ever.
        if !is_class(&header.class) {
            return Err("the header names a class that cannot be one".to_owned());
        }
        if i64::try_from(header.batch.unix_ms()).ok().is_none_or(|ms| ms > LAST_RECEIPT) {
            return Err("the header's batch was received past the year 9998".to_owned());
        }
        Ok(header)
    }

    /// Unpacks the accepted records: a line each.
    ///
    /// # Errors
    /// Why they cannot be unpacked.
    pub fn lines(&self, header: &Header) -> Result<Vec<u8>, String> {
        unpack(&self.payload, header.zstd, self.held.unpacked_bytes)
    }
}

fn unpack(payload: &[u8], zstd: bool, expected: usize) -> Result<Vec<u8>, String> {
    if !zstd {
        return Ok(payload.to_vec());
    }
    let mut lines = Vec::with_capacity(expected.min(MAX_UNPACKED_BYTES));
    let decoder = zstd::stream::read::Decoder::new(payload).map_err(|e| e.to_string())?;
    decoder.take(MAX_UNPACKED_BYTES as u64).read_to_end(&mut lines).map_err(|e| format!("the payload cannot be unpacked: {e}"))?;
    Ok(lines)
}

/// The last moment at which a batch may have been received: partitions are made for the month after.
const LAST_RECEIPT: i64 = timestamp::MAX - 366 * 24 * 3600 * 1000;

/// Whether it may stand in names of objects and indices.
fn is_class(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}
