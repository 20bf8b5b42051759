//! The raw object: the truth, as it lies in the object store.
//!
//! An object is a series of zstd frames (RFC 8878). The first is a skippable frame with a manifest; each other holds lines of
//! one tenant, about 1 MiB of text, so that one ranged GET and one frame give one log, and `zstd -d` alone reads the whole. A
//! line is `{"id","tenant","class","index","received_at","log"}`, `log` being the record as sent, white space between tokens
//! aside.

use std::io::{Read, Write};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::ids::{LogId, TenantId};
use crate::timestamp;

/// Text of a frame: a frame ends with the line that reaches it.
const FRAME_TEXT: usize = 1024 * 1024;
/// Level 3 gives 0.67 of gzip -6 in frames of 1 MiB (measured on the shared sample); higher ones cost more than they save.
const LEVEL: i32 = 3;
/// Below this many bytes a frame is what little came in, and has less to find in itself: level 6 makes 60 KB 7 % smaller than level 3, for half a millisecond.
const SMALL_FRAME: usize = 128 * 1024;
const LEVEL_OF_SMALL: i32 = 6;
/// The first of the magic numbers that zstd decoders skip (RFC 8878, 3.1.2).
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;
/// Bytes before a skippable frame's content: its magic number and its length. The manifest is the first frame's content.
const MANIFEST_AT: usize = 8;
/// Most text of a frame: the text that ends it may be one whole record, its escapes aside.
const MAX_FRAME_TEXT: u64 = 4 * 1024 * 1024;

/// One line of raw.
#[derive(Debug, Serialize, Deserialize)]
pub struct RawLine<'a> {
    /// The log's id.
    pub id: LogId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Retention class.
    pub class: &'a str,
    /// Whether it is wanted in the index.
    pub index: bool,
    /// When it was received, RFC 3339.
    pub received_at: &'a str,
    /// The record as sent.
    #[serde(borrow)]
    pub log: &'a RawValue,
}

/// What an object holds of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Whose lines.
    pub tenant: TenantId,
    /// Where its frames begin, counted from the end of the manifest's frame.
    pub offset: u64,
    /// Bytes of its frames.
    pub length: u64,
    /// Lines.
    pub count: u32,
}

#[derive(Serialize, Deserialize)]
struct WrittenManifest {
    v: u8,
    tenants: Vec<ManifestEntry>,
}

/// Builds an object: lines of one tenant after those of another.
#[derive(Debug, Default)]
pub struct RawObject {
    body: Vec<u8>,
    tenants: Vec<ManifestEntry>,
    /// Which frame, of those in `frames`, each line lies in, in the order written.
    line_frames: Vec<usize>,
    frames: Vec<Range<usize>>,
    text: Vec<u8>,
}

/// An object ready to be put, and where each line lies in it.
#[derive(Debug)]
pub struct FinishedObject {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// For each line in the order written: offset and length of its frame.
    pub places: Vec<(i32, i32)>,
}

impl RawObject {
    /// Begins the lines of a tenant.
    pub fn begin(&mut self, tenant: &TenantId) {
        self.tenants.push(ManifestEntry { tenant: tenant.clone(), offset: self.body.len() as u64, length: 0, count: 0 });
    }

    /// Writes one line of the tenant that was begun last. `record` is JSON as sent, without line breaks.
    ///
    /// # Errors
    /// What zstd says; with memory at hand, nothing.
    pub fn line(&mut self, id: LogId, class: &str, index: bool, record: &[u8]) -> std::io::Result<()> {
        let Some(entry) = self.tenants.last_mut() else { return Err(std::io::Error::other("a line before its tenant was begun")) };
        entry.count += 1;
        let received_at = timestamp::format(i64::try_from(id.unix_ms()).unwrap_or_default());
        write!(self.text, r#"{{"id":"{id}","tenant":"{}","class":"{class}","index":{index},"received_at":"{received_at}","log":"#, entry.tenant)?;
        self.text.extend_from_slice(record);
        self.text.extend_from_slice(b"}\n");
        self.line_frames.push(self.frames.len());
        if self.text.len() >= FRAME_TEXT { self.end_frame() } else { Ok(()) }
    }

    /// Ends the lines of a tenant.
    ///
    /// # Errors
    /// What zstd says; with memory at hand, nothing.
    pub fn end(&mut self) -> std::io::Result<()> {
        self.end_frame()?;
        if let Some(entry) = self.tenants.last_mut() {
            entry.length = self.body.len() as u64 - entry.offset;
        }
        Ok(())
    }

    fn end_frame(&mut self) -> std::io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let start = self.body.len();
        let level = if self.text.len() < SMALL_FRAME { LEVEL_OF_SMALL } else { LEVEL };
        self.body.extend_from_slice(&zstd::bulk::compress(&self.text, level)?);
        self.frames.push(start..self.body.len());
        self.text.clear();
        Ok(())
    }

    /// Puts the manifest before the frames.
    ///
    /// # Errors
    /// [`Error::Internal`] for an object past 2 GiB, which no drain makes.
    pub fn finish(self) -> Result<FinishedObject> {
        let manifest = serde_json::to_vec(&WrittenManifest { v: 1, tenants: self.tenants }).map_err(|e| Error::internal("writing a manifest", e))?;
        let mut bytes = Vec::with_capacity(8 + manifest.len() + self.body.len());
        bytes.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(manifest.len()).map_err(|e| Error::internal("writing a manifest", e))?.to_le_bytes());
        bytes.extend_from_slice(&manifest);
        let head = bytes.len();
        bytes.extend_from_slice(&self.body);
        let place = |frame: &Range<usize>| Some((i32::try_from(head + frame.start).ok()?, i32::try_from(frame.len()).ok()?));
        let places: Option<Vec<_>> = self.line_frames.iter().map(|at| place(&self.frames[*at])).collect();
        Ok(FinishedObject { bytes, places: places.ok_or_else(|| Error::internal("writing a raw object", "it is larger than 2 GiB"))? })
    }
}

/// A frame of an object.
#[derive(Debug)]
pub struct Frame {
    /// Its first byte.
    pub offset: usize,
    /// Its bytes.
    pub length: usize,
    /// What it holds: lines.
    pub text: Vec<u8>,
}

/// The frames of an object that hold lines, in order; the manifest is left out.
///
/// # Errors
/// [`Error::Internal`] for bytes that are no object of ours: then nothing comes after.
pub fn frames(object: &[u8]) -> impl Iterator<Item = Result<Frame>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = object.get(at..).filter(|rest| !rest.is_empty())?;
            let found = zstd::zstd_safe::find_frame_compressed_size(rest).ok().and_then(|length| Some((length, rest.get(..length)?)));
            let Some((length, frame)) = found else {
                at = object.len();
                return Some(Err(Error::internal("reading a raw object", "it ends within a frame, or holds what is none")));
            };
            let offset = at;
            at += length;
            if !frame.starts_with(&SKIPPABLE_MAGIC.to_le_bytes()) {
                return Some(read_frame(frame).map(|text| Frame { offset, length, text }));
            }
        }
    })
}

/// What is left of an object when some of its tenants leave it.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// None of them is in it.
    AsItWas,
    /// The object without them, each other byte where it was.
    Others(Vec<u8>),
    /// Nobody's lines.
    Nothing,
}

/// What the first bytes of an object tell of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Manifest {
    /// What it holds of each tenant.
    Whole(Vec<ManifestEntry>),
    /// These bytes end within the manifest.
    Cut {
        /// How many bytes of the object it takes.
        needs: u64,
    },
}

/// What an object holds, told by its beginning.
///
/// # Errors
/// [`Error::Internal`] for what is no object of ours.
pub fn manifest(head: &[u8]) -> Result<Manifest> {
    let Some((start, rest)) = head.split_at_checked(MANIFEST_AT) else { return Ok(Manifest::Cut { needs: MANIFEST_AT as u64 }) };
    if !start.starts_with(&SKIPPABLE_MAGIC.to_le_bytes()) {
        return Err(Error::internal("reading a raw object", "it does not begin with a manifest"));
    }
    let length = manifest_length(start);
    let Some(text) = rest.get(..length) else { return Ok(Manifest::Cut { needs: (MANIFEST_AT + length) as u64 }) };
    let written: WrittenManifest = serde_json::from_slice(text).map_err(|e| Error::internal("reading a manifest", e))?;
    Ok(Manifest::Whole(written.tenants))
}

/// An object without the lines of some tenants, of the same length: their frames are skippable ones, and the manifest does not name them. So no
/// place that a row names has moved.
///
/// # Errors
/// [`Error::Internal`] for bytes that are no object of ours.
pub fn without(object: &[u8], leaves: impl Fn(&TenantId) -> bool) -> Result<Left> {
    let fail = |what: &'static str| Error::internal("rewriting a raw object", what);
    let Manifest::Whole(entries) = manifest(object)? else { return Err(fail("its manifest is cut off")) };
    let (gone, stay): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| leaves(&entry.tenant));
    if gone.is_empty() {
        return Ok(Left::AsItWas);
    }
    if stay.is_empty() {
        return Ok(Left::Nothing);
    }
    let mut left = object.to_vec();
    let head = MANIFEST_AT + manifest_length(object);
    let mut written = serde_json::to_vec(&WrittenManifest { v: 1, tenants: stay }).map_err(|e| Error::internal("writing a manifest", e))?;
    // White space after the last brace is JSON, too.
    written.resize(head - MANIFEST_AT, b' ');
    left[MANIFEST_AT..head].copy_from_slice(&written);
    for entry in gone {
        let (from, length) = (usize::try_from(entry.offset).ok(), usize::try_from(entry.length).ok());
        let frames = from.zip(length).and_then(|(from, length)| left.get_mut(head..)?.get_mut(from..)?.get_mut(..length));
        let frames = frames.ok_or_else(|| fail("its manifest names what it does not hold"))?;
        // A frame that holds anything has more than eight bytes.
        let content = frames.len().checked_sub(MANIFEST_AT).and_then(|content| u32::try_from(content).ok()).ok_or_else(|| fail("its manifest names what is no frame"))?;
        frames.fill(0);
        frames[..4].copy_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
        frames[4..MANIFEST_AT].copy_from_slice(&content.to_le_bytes());
    }
    Ok(Left::Others(left))
}

/// Bytes of a manifest, as the eight before it say.
fn manifest_length(object: &[u8]) -> usize {
    object[4..MANIFEST_AT].iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte))
}

/// The text of one frame.
///
/// # Errors
/// [`Error::Internal`] for bytes that are no frame of ours.
pub fn read_frame(frame: &[u8]) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| Error::internal("reading a raw frame", e);
    let mut text = Vec::with_capacity(FRAME_TEXT + FRAME_TEXT / 4);
    zstd::stream::read::Decoder::new(frame).map_err(fail)?.take(MAX_FRAME_TEXT).read_to_end(&mut text).map_err(fail)?;
    Ok(text)
}

/// The id of a line, told by its beginning alone.
#[must_use]
pub fn id_of_line(line: &[u8]) -> Option<LogId> {
    let text = line.strip_prefix(br#"{"id":""#)?.get(..uuid::fmt::Hyphenated::LENGTH)?;
    LogId::parse(std::str::from_utf8(text).ok()?).ok()
}

/// The record with this id, as sent, from the text of a frame.
#[must_use]
pub fn find_record(text: &[u8], id: LogId) -> Option<&RawValue> {
    let head = format!(r#"{{"id":"{id}","#);
    let line = text.split(|b| *b == b'\n').find(|line| line.starts_with(head.as_bytes()))?;
    serde_json::from_slice::<RawLine<'_>>(line).ok().map(|line| line.log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BatchId;

    #[test]
    fn a_line_is_found_by_its_place_and_the_whole_is_plain_zstd() {
        let (a, b) = (TenantId::parse("tenant_a").expect("an id"), TenantId::parse("tenant_b").expect("an id"));
        let batch = BatchId::new(1_760_099_196_000);
        let record = |n: u16| format!(r#"{{"message":"{n} {}"}}"#, "x".repeat(1000)).into_bytes();
        let mut object = RawObject::default();
        for (tenant, positions) in [(&a, 0..2500_u16), (&b, 2500..2503)] {
            object.begin(tenant);
            for n in positions {
                object.line(batch.log(n), "standard", true, &record(n)).expect("zstd works");
            }
            object.end().expect("zstd works");
        }
        let object = object.finish().expect("small");

        for n in [0, 1100, 2499, 2500, 2502_u16] {
            let (offset, length) = object.places[usize::from(n)];
            let frame = &object.bytes[offset as usize..][..length as usize];
            let text = read_frame(frame).expect("a frame");
            let found = find_record(&text, batch.log(n)).expect("its line is there");
            assert_eq!(found.get().as_bytes(), record(n));
        }
        assert_ne!(object.places[2499], object.places[2500], "a frame never mixes tenants");
        let all = zstd::stream::decode_all(object.bytes.as_slice()).expect("zstd skips the manifest");
        assert_eq!(all.iter().filter(|b| **b == b'\n').count(), 2503);
        let frames: Vec<Frame> = frames(&object.bytes).collect::<Result<_>>().expect("frames of ours");
        assert_eq!(frames.iter().map(|frame| frame.text.as_slice()).collect::<Vec<_>>().concat(), all);
        assert!(object.places.iter().all(|place| frames.iter().any(|frame| (frame.offset, frame.length) == (place.0 as usize, place.1 as usize))));
    }

    #[test]
    fn a_tenant_leaves_and_nothing_else_moves() {
        let ids = ["tenant_a", "tenant_b", "tenant_c"].map(|id| TenantId::parse(id).expect("an id"));
        let batch = BatchId::new(1_760_099_196_000);
        let mut object = RawObject::default();
        for tenant in &ids {
            object.begin(tenant);
            for n in 0..2_000 {
                object.line(batch.log(n), "standard", true, format!(r#"{{"message":"{tenant} {n} {}"}}"#, "x".repeat(1_000)).as_bytes()).expect("zstd works");
            }
            object.end().expect("zstd works");
        }
        let whole = object.finish().expect("small");
        assert_eq!(without(&whole.bytes, |_| false).ok(), Some(Left::AsItWas));
        assert_eq!(without(&whole.bytes, |_| true).ok(), Some(Left::Nothing));
        let Ok(Left::Others(left)) = without(&whole.bytes, |tenant| *tenant == ids[1]) else { panic!("two are left") };
        assert_eq!(left.len(), whole.bytes.len());
        let Ok(Manifest::Whole(entries)) = manifest(&left) else { panic!("it has a manifest") };
        let named: Vec<TenantId> = entries.into_iter().map(|entry| entry.tenant).collect();
        assert_eq!(named, [ids[0].clone(), ids[2].clone()]);
        let text = zstd::stream::decode_all(left.as_slice()).expect("zstd skips what is gone");
        assert_eq!(text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<RawLine<'_>>(line).ok()).filter(|line| line.tenant == ids[1]).count(), 0);
        for (at, place) in whole.places.iter().enumerate().filter(|(at, _)| !(2_000..4_000).contains(at)) {
            let place = place.0 as usize..(place.0 + place.1) as usize;
            assert_eq!(left[place.clone()], whole.bytes[place], "{at}");
        }
        assert!(!left.windows(8).any(|bytes| bytes == b"tenant_b"));
        assert_eq!(frames(&left).filter(|frame| frame.is_ok()).count(), frames(&whole.bytes).count() * 2 / 3);
        // Once more it is as it was; the last two leave nothing.
        assert_eq!(without(&left, |tenant| *tenant == ids[1]).ok(), Some(Left::AsItWas));
        assert_eq!(without(&left, |tenant| *tenant != ids[1]).ok(), Some(Left::Nothing));
        assert_eq!(manifest(&whole.bytes[..7]).ok(), Some(Manifest::Cut { needs: 8 }));
        let Ok(Manifest::Cut { needs }) = manifest(&whole.bytes[..20]) else { panic!("it is cut") };
        assert!(matches!(manifest(&whole.bytes[..usize::try_from(needs).expect("few")]), Ok(Manifest::Whole(entries)) if entries.len() == 3));
        assert!(manifest(b"nothing of ours").is_err());
    }

    #[test]
    fn damaged_frames_are_errors() {
        assert!(read_frame(b"nothing of ours").is_err());
        assert_eq!(frames(b"nothing of ours").filter(Result::is_err).count(), 1);
        assert_eq!(frames(b"").count(), 0);
    }
}
