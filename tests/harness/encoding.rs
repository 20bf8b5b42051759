//! Content encodings, as clients pack bodies.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    /// As RFC 9110 means `deflate`: with zlib's header.
    Deflate,
    /// As some clients send `deflate`: without.
    BareDeflate,
}

impl Encoding {
    pub(crate) const ALL: [Self; 5] = [Self::Identity, Self::Gzip, Self::Zstd, Self::Deflate, Self::BareDeflate];

    /// What `Content-Encoding` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate | Self::BareDeflate => "deflate",
        }
    }

    pub(crate) fn pack(self, plain: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        let packed = match self {
            Self::Identity => Ok(plain.to_vec()),
            Self::Gzip => written(GzEncoder::new(Vec::new(), level), plain, GzEncoder::finish),
            Self::Deflate => written(ZlibEncoder::new(Vec::new(), level), plain, ZlibEncoder::finish),
            Self::BareDeflate => written(DeflateEncoder::new(Vec::new(), level), plain, DeflateEncoder::finish),
            Self::Zstd => zstd::encode_all(plain, 3),
        };
        packed.expect("memory takes everything")
    }
}

fn written<W: Write>(mut encoder: W, plain: &[u8], finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>) -> std::io::Result<Vec<u8>> {
    encoder.write_all(plain)?;
    finish(encoder)
}
