//! RFC 3339 times, read to the millisecond: what every store sorts by.

use time::{Date, Month, OffsetDateTime};

/// A moment in milliseconds since 1970, UTC, between the years 0001 and 9999: what all three stores can hold.
pub type UnixMs = i64;

/// 0001-01-01T00:00:00Z.
pub const MIN: UnixMs = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
pub const MAX: UnixMs = 253_402_300_799_999;

/// What a day (UTC) has of milliseconds.
pub const DAY_MS: u64 = 86_400_000;

/// Why a text is not a time we can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not of the form `2025-10-10T12:26:36.123Z`.
    #[error("not an RFC 3339 time such as 2025-10-10T12:26:36.123Z")]
    Format,
    /// A time of that form that is no time, or that lies outside the years 0001 to 9999.
    #[error("outside of 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z, or no such day or time")]
    Range,
}

/// Reads an RFC 3339 `date-time`, digits below the millisecond dropped. A leap second counts as the last millisecond
/// before it, as POSIX clocks have no room for it. By hand, as it runs twice for each log and knows one format.
///
/// # Errors
/// [`TimestampError`].
pub fn parse(text: &str) -> Result<UnixMs, TimestampError> {
    let b = text.as_bytes();
    let separators = b.len() >= 20 && b[4] == b'-' && b[7] == b'-' && b[13] == b':' && b[16] == b':' && matches!(b[10], b'T' | b't' | b' ');
    if !separators {
        return Err(TimestampError::Format);
    }
    let (year, month, day) = (digits(&b[..4])?, digits(&b[5..7])?, digits(&b[8..10])?);
    let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
    let (milli, zone) = fraction(&b[19..])?;
    let offset = offset_minutes(zone)?;
    let date = Month::try_from(u8::try_from(month).unwrap_or(0))
        .and_then(|month| Date::from_calendar_date(i32::try_from(year).unwrap_or(0), month, u8::try_from(day).unwrap_or(0)))
        .map_err(|_| TimestampError::Range)?;
    if hour > 23 || minute > 59 || second > 60 {
        return Err(TimestampError::Range);
    }
    let (second, milli) = if second == 60 { (59, 999) } else { (second, milli) };
    let days = i64::from(date.to_julian_day()) - 2_440_588;
    let ms = ((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1000 + milli;
    if (MIN..=MAX).contains(&ms) { Ok(ms) } else { Err(TimestampError::Range) }
}

fn digits(bytes: &[u8]) -> Result<i64, TimestampError> {
    bytes.iter().try_fold(0, |sum, b| if b.is_ascii_digit() { Ok(sum * 10 + i64::from(b - b'0')) } else { Err(TimestampError::Format) })
}

/// Milliseconds of an optional `.123456`, and what follows it.
fn fraction(rest: &[u8]) -> Result<(i64, &[u8]), TimestampError> {
    let Some(rest) = rest.strip_prefix(b".") else { return Ok((0, rest)) };
    let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 {
        return Err(TimestampError::Format);
    }
    let milli = (0..3).fold(0, |sum, at| sum * 10 + if at < len { i64::from(rest[at] - b'0') } else { 0 });
    Ok((milli, &rest[len..]))
}

fn offset_minutes(zone: &[u8]) -> Result<i64, TimestampError> {
    let sign = match zone {
        [b'Z' | b'z'] => return Ok(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return Err(TimestampError::Format),
    };
    if zone.len() != 6 || zone[3] != b':' {
        return Err(TimestampError::Format);
    }
    let (hours, minutes) = (digits(&zone[1..3])?, digits(&zone[4..6])?);
    if hours > 23 || minutes > 59 { Err(TimestampError::Range) } else { Ok(sign * (hours * 60 + minutes)) }
}

/// The moment as the type the stores' clients take.
#[must_use]
pub fn to_datetime(ms: UnixMs) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms.clamp(MIN, MAX)) * 1_000_000).expect("years 0001 to 9999 are within time's range")
}

/// The moment as milliseconds since 1970.
#[must_use]
pub fn from_datetime(at: OffsetDateTime) -> UnixMs {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).expect("time's range fits 64 bits of milliseconds")
}

/// The moment as RFC 3339, always with milliseconds: `2025-10-10T12:26:36.123Z`.
#[must_use]
pub fn format(ms: UnixMs) -> String {
    let at = to_datetime(ms);
    let (date, time) = (at.date(), at.time());
    let (hour, minute, second) = time.as_hms();
    format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", date.year(), u8::from(date.month()), date.day(), time.millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;

    /// What the `time` crate makes of the text: the reference.
    fn parse_reference(text: &str) -> Option<UnixMs> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(from_datetime)
    }

    #[test]
    fn known_times() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse("2025-10-10T12:26:36Z"), Ok(1_760_099_196_000));
        assert_eq!(parse("2025-10-10t14:26:36.9876543+02:00"), Ok(1_760_099_196_987));
        assert_eq!(parse("2016-12-31T23:59:60Z"), Ok(1_483_228_799_999));
        assert_eq!(parse("0001-01-01T00:00:00Z"), Ok(MIN));
        assert_eq!(parse("9999-12-31T23:59:59.999Z"), Ok(MAX));
        assert_eq!(format(MIN), "0001-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_no_time_says_why() {
        for bad in ["", "now", "2025-10-10", "2025-10-10T12:26:36", "2025-10-10T12:26:36.Z", "2025-10-10T12:26:36+0200", "é025-10-10T12:26:36Z", "1760099196"] {
            assert_eq!(parse(bad), Err(TimestampError::Format), "{bad}");
        }
        for bad in ["2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01T24:00:00Z", "0000-12-31T23:59:59Z", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"] {
            assert_eq!(parse(bad), Err(TimestampError::Range), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_we_print_we_read(ms in MIN..=MAX) {
            prop_assert_eq!(parse(&format(ms)), Ok(ms));
            prop_assert_eq!(parse_reference(&format(ms)), Some(ms));
        }

        #[test]
        fn reads_what_the_time_crate_reads(y in 1..=9999_i32, mo in 1..=13_u8, d in 1..=32_u8, h in 0..=24_u8, mi in 0..=60_u8, s in 0..=59_u8, sign in "[+-]", oh in 0..=23_u8) {
            let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.5{sign}{oh:02}:30");
            let ours = parse(&text).ok();
            prop_assert_eq!(ours, parse_reference(&text).filter(|ms| (MIN..=MAX).contains(ms)));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
