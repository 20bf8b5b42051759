//! The body: read to a bound, then unpacked to a bound. Nothing that a client claims about its size is believed.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use flate2::bufread::{DeflateDecoder, ZlibDecoder};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use shared::error::{Error, Result};

use crate::budget::{Budget, Lease};

/// Most bytes on the wire: what a Lambda request of 6 MB holds of a binary body once it is base64, with room for headers.
const MAX_WIRE: usize = 4 * 1024 * 1024;
/// Most bytes unpacked.
const MAX_UNPACKED: usize = 20 * 1024 * 1024;
/// How long a body may take to arrive.
const ARRIVE_WITHIN: Duration = Duration::from_secs(15);
/// Bytes that are unpacked between two looks at the bounds.
const CHUNK: usize = 64 * 1024;
/// zstd's largest window, 2^25 = 32 MiB: past what any level below `--ultra` asks, and all that a decoder may reserve.
const MAX_WINDOW_LOG: u32 = 25;
/// Bodies past this are split and packed off the threads that answer other requests: that takes milliseconds.
const HEAVY: usize = 128 * 1024;
/// A compressed body past this may unpack to all that is taken: a zstd block of four bytes stands for 128 KiB (RFC 8878, 3.1.1.2).
const HEAVY_COMPRESSED: usize = 64;

/// A body as it came.
#[derive(Debug)]
pub(crate) struct Received {
    wire: Vec<u8>,
    encoding: Encoding,
    /// Whether the client says that it is NDJSON.
    pub(crate) ndjson: bool,
    lease: Lease,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    fn read(headers: &HeaderMap) -> Result<Self> {
        let named = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
        match named.as_deref() {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some("deflate") => Ok(Self::Deflate),
            Some("zstd") => Ok(Self::Zstd),
            Some(_) => Err(Error::Unsupported { code: "unsupported_encoding", detail: "Content-Encoding is none of gzip, zstd, deflate, identity".to_owned() }),
        }
    }
}

/// Reads the body off the wire.
///
/// # Errors
/// `unsupported_encoding`, `body_too_large`, `too_slow`, `overloaded`, or `broken_off`.
pub(crate) async fn receive(budget: &Budget, headers: &HeaderMap, body: Body) -> Result<Received> {
    let encoding = Encoding::read(headers)?;
    let claimed = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if claimed.is_some_and(|length| length > MAX_WIRE) {
        return Err(too_large("on the wire", MAX_WIRE));
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let ndjson = ["ndjson", "jsonl", "json-lines", "jsonlines", "json-seq"].iter().any(|name| kind.contains(name));
    let mut lease = budget.lease();
    let wire = tokio::time::timeout(ARRIVE_WITHIN, read(body, claimed.unwrap_or(0), &mut lease)).await.map_err(|_| Error::TooSlow)??;
    Ok(Received { wire, encoding, ndjson, lease })
}

async fn read(body: Body, claimed: usize, lease: &mut Lease) -> Result<Vec<u8>> {
    let mut wire = Vec::with_capacity(claimed.min(CHUNK));
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Error::Malformed { code: "broken_off", detail: "the body broke off".to_owned() })?;
        if wire.len() + chunk.len() > MAX_WIRE {
            return Err(too_large("on the wire", MAX_WIRE));
        }
        lease.grow(chunk.len()).await?;
        wire.extend_from_slice(&chunk);
    }
    Ok(wire)
}

impl Received {
    /// Bytes on the wire.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.wire.len()
    }

    /// Whether the work on it would keep other requests waiting.
    pub(crate) fn is_heavy(&self) -> bool {
        self.wire.len() > if self.encoding == Encoding::Identity { HEAVY } else { HEAVY_COMPRESSED }
    }

    /// The body, unpacked. The lease on its bytes ends with what is answered.
    ///
    /// # Errors
    /// `invalid_encoding`, `body_too_large`, or `overloaded`.
    pub(crate) fn unpack(mut self) -> Result<(Vec<u8>, Lease)> {
        let plain = match self.encoding {
            Encoding::Identity => std::mem::take(&mut self.wire),
            Encoding::Gzip => drain(MultiGzDecoder::new(self.wire.as_slice()), &mut self.lease)?,
            Encoding::Deflate => inflate(&self.wire, &mut self.lease)?,
            Encoding::Zstd => drain(zstd_decoder(&self.wire).map_err(|e| undecodable(&e))?, &mut self.lease)?,
        };
        Ok((plain, self.lease))
    }
}

fn zstd_decoder(wire: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(wire)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(decoder)
}

/// `deflate` means zlib (RFC 9110, 8.4.1.2), but some clients send it bare: the two bytes of a zlib header tell (RFC 1950, 2.2).
fn is_zlib(wire: &[u8]) -> bool {
    matches!(wire, [cmf, flg, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0)
}

/// Undoes `deflate`: one stream after another, as gzip and zstd are read. What follows the last one and is none is no body.
fn inflate(wire: &[u8], lease: &mut Lease) -> Result<Vec<u8>> {
    let (mut plain, mut rest) = (Vec::new(), wire);
    loop {
        let before = rest.len();
        rest = if is_zlib(rest) {
            let mut decoder = ZlibDecoder::new(rest);
            drain_into(&mut plain, &mut decoder, lease)?;
            decoder.into_inner()
        } else {
            let mut decoder = DeflateDecoder::new(rest);
            drain_into(&mut plain, &mut decoder, lease)?;
            decoder.into_inner()
        };
        if rest.is_empty() {
            return Ok(plain);
        }
        if rest.len() == before {
            return Err(undecodable(&io::ErrorKind::InvalidData.into()));
        }
    }
}

fn drain(from: impl Read, lease: &mut Lease) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    drain_into(&mut plain, from, lease)?;
    Ok(plain)
}

fn drain_into(plain: &mut Vec<u8>, mut from: impl Read, lease: &mut Lease) -> Result<()> {
    loop {
        let before = plain.len();
        let read = from.by_ref().take(CHUNK as u64).read_to_end(plain).map_err(|e| undecodable(&e))?;
        if read == 0 {
            return Ok(());
        }
        if plain.len() > MAX_UNPACKED {
            return Err(too_large("unpacked", MAX_UNPACKED));
        }
        lease.try_grow(plain.len() - before)?;
    }
}

fn undecodable(error: &io::Error) -> Error {
    let what = if error.kind() == io::ErrorKind::UnexpectedEof {
        "the compressed body is cut off, or something follows it"
    } else {
        "the body is not what Content-Encoding says, or is damaged"
    };
    Error::Malformed { code: "invalid_encoding", detail: what.to_owned() }
}

fn too_large(how: &str, most: usize) -> Error {
    Error::TooLarge { code: "body_too_large", detail: format!("the body has more than {most} bytes {how}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn received(wire: Vec<u8>, encoding: Encoding) -> Received {
        Received { wire, encoding, ndjson: false, lease: Budget::default().lease() }
    }

    fn packed(plain: &[u8], encoding: Encoding) -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            Encoding::Identity => plain.to_vec(),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory")
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory")
            }
            Encoding::Zstd => zstd::encode_all(plain, 3).expect("memory"),
        }
    }

    const ALL: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    #[test]
    fn every_encoding_is_undone() {
        for encoding in ALL {
            let (plain, _) = received(packed(b"some text", encoding), encoding).unpack().expect("well packed");
            assert_eq!(plain, b"some text", "{encoding:?}");
        }
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        let bare = bare.write_all(b"bare").and_then(|()| bare.finish()).expect("memory");
        assert_eq!(received(bare, Encoding::Deflate).unpack().expect("bare deflate").0, b"bare");
    }

    #[test]
    fn several_streams_are_one_body_and_what_is_no_stream_is_refused() {
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        let bare = bare.write_all(b"one").and_then(|()| bare.finish()).expect("memory");
        assert_eq!(received([bare.clone(), bare].concat(), Encoding::Deflate).unpack().expect("bare deflate, twice").0, b"oneone");
        for encoding in &ALL[1..] {
            let one = packed(b"one", *encoding);
            let twice = [one.clone(), one.clone()].concat();
            assert_eq!(received(twice, *encoding).unpack().expect("twice").0, b"oneone", "{encoding:?}");
            let garbage = [one, b"\xff\xff garbage".to_vec()].concat();
            assert!(matches!(received(garbage, *encoding).unpack(), Err(Error::Malformed { .. })), "{encoding:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let text: Vec<u8> = (0..10_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for encoding in &ALL[1..] {
            let mut wire = packed(&text, *encoding);
            wire.truncate(wire.len() / 2);
            assert!(matches!(received(wire, *encoding).unpack(), Err(Error::Malformed { .. })), "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_bound() {
        let zeros = vec![0; MAX_UNPACKED + 1];
        for encoding in &ALL[1..] {
            assert!(matches!(received(packed(&zeros, *encoding), *encoding).unpack(), Err(Error::TooLarge { .. })), "{encoding:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_body_or_a_reason(wire in proptest::collection::vec(any::<u8>(), 0..300), which in 0..4_usize) {
            let _ = received(wire, ALL[which]).unpack();
        }
    }
}
