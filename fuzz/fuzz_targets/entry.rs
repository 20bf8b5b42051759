//! An entry of the queue, whoever wrote it: opened, or a reason for its dead letter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::queue::Taken;
use shared::record::Record;

fuzz_target!(|bytes: &[u8]| {
    let entry = Taken::from_bytes(bytes);
    let Ok(header) = entry.header() else { return };
    let _ = header.positions().take(10_000).count();
    let Ok(lines) = entry.lines(&header) else { return };
    for line in lines.split(|b| *b == b'\n').take(10_000) {
        let _ = Record::parse(line);
    }
});
