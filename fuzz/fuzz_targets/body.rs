//! A request's body, in every encoding and shape: each record is taken or has a reason, and what is taken can be read by those who come
//! after.
//!
//! The first byte says how the rest is sent: as which encoding, whether it is packed first (else it is the packed bytes), and whether
//! it is called NDJSON.
#![no_main]

use std::io::Write;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue};
use ingest::Budget;
use libfuzzer_sys::fuzz_target;
use shared::error::Error;
use shared::ids::{BatchId, TenantId};
use shared::queue::Taken;
use shared::record::Record;

const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "zstd"];
/// Most records of a request (design, section 4).
const MAX_RECORDS: usize = 5000;

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));
static TENANT: LazyLock<TenantId> = LazyLock::new(|| TenantId::parse("acme").expect("an id"));

fuzz_target!(|input: &[u8]| {
    let Some((how, bytes)) = input.split_first() else { return };
    let encoding = ENCODINGS[usize::from(how % 4)];
    let wire = if how & 4 == 0 { packed(bytes, encoding) } else { bytes.to_vec() };
    let mut headers = HeaderMap::new();
    headers.insert("content-encoding", HeaderValue::from_static(encoding));
    if how & 8 != 0 {
        headers.insert("content-type", HeaderValue::from_static("application/x-ndjson"));
    }
    match RUNTIME.block_on(ingest::fuzz::take(&Budget::default(), &headers, &wire, &TENANT)) {
        Ok(taken) => is_readable(&taken),
        Err(Error::Malformed { .. } | Error::Invalid { .. } | Error::TooLarge { .. } | Error::Unsupported { .. }) => {}
        Err(error) => panic!("not the client's fault: {error}"),
    }
});

fn is_readable(taken: &ingest::fuzz::Taken) {
    assert!(taken.accepted > 0 && taken.accepted as usize + taken.rejected.len() <= MAX_RECORDS);
    let header = format!(
        r#"{{"v":1,"tenant":"acme","key_id":"{}","batch":"{}","class":"standard","index":true,"wire_bytes":1,"unpacked_bytes":1,"accepted":{},"rejected":[],"zstd":{}}}"#,
        "00000000-0000-0000-0000-000000000000",
        BatchId::new(1_795_000_000_000),
        taken.accepted,
        taken.payload.is_compressed(),
    );
    let entry = Taken::from_bytes(&[header.as_bytes(), b"\n", taken.payload.bytes()].concat());
    let header = entry.header().expect("a header of ours");
    let lines = entry.lines(&header).expect("a payload of ours");
    let lines: Vec<&[u8]> = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), taken.accepted as usize, "a line for each record");
    for line in lines {
        assert!(!line.contains(&b'\r'), "a line is one line");
        if let Err(fault) = Record::parse(line) {
            panic!("taken, and not readable any more: {fault:?}");
        }
    }
}

fn packed(plain: &[u8], encoding: &str) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory")
        }
        "zstd" => zstd::encode_all(plain, 1).expect("memory"),
        _ => plain.to_vec(),
    }
}
