//! What a hub of a size uses on AWS in a month: each line is a product of numbers that a reader can check.
//!
//! What a log takes was measured (docs/cost.md says by which command), and is scaled with its bytes.

use super::prices::{self, Hosted, Price};

/// Days and hours of a month.
const DAYS: f64 = 30.0;
const HOURS: f64 = DAYS * 24.0;
const GB: f64 = 1e9;
/// What holds all copies must not be full: OpenSearch stops writing at 85 %, and merging takes room.
const ROOM: f64 = 1.3;

/// Bytes of a log in the index for each byte sent: 340 bytes of 602 were seen while segments were still merged, the record as sent included.
const INDEX_PER_BYTE: f64 = 0.56;
/// Bytes of a row with its indexes and its share of the receipt.
const ROW_BYTES: f64 = 360.0;
/// Bytes in raw for each byte sent: zstd, level 3, in frames of up to 1 MiB.
const RAW_PER_BYTE: f64 = 0.17;
/// Bytes that a waiting log takes in Redis for each byte sent.
const QUEUE_PER_BYTE: f64 = 0.30;

/// An ingest invocation, in milliseconds at 1,024 MB: an assumption, which a first bill settles. A function has half a core, and Redis is
/// a network away.
const INGEST_MS: f64 = 10.0;
/// The processor's time for a log, in seconds: it stored 24,000 logs/s with all engines beside it on two cores.
const PROCESSOR_S: f64 = 1.0 / 24_000.0;
/// Its memory, in GB as Lambda counts them.
const PROCESSOR_GB: f64 = 1_769.0 / 1_024.0;
/// The least that a drain takes, in seconds.
const DRAIN_S: f64 = 0.1;
/// Drains in a day at most: one after a linger of a second, in which SQS counts, and the drain before.
const DRAINS_A_DAY: f64 = 86_400.0 / 1.2;
/// Bytes that Lambda and the gateway write to CloudWatch for each request: start, end, report and the access log.
const LOG_BYTES_A_REQUEST: f64 = 550.0;

/// Raw objects of at least so many bytes move to a colder class after so many days (the lifecycle rule of template.yaml).
const COLD_OBJECT: f64 = 131_072.0;
const WARM_DAYS: f64 = 30.0;
/// Series of metrics that functions were seen to send: each method, route and status is one more.
const METRICS: f64 = 35.0;
/// Alarms of template.yaml.
const ALARMS: f64 = 5.0;

/// Logs a second that one node takes: half of what was seen where the other engines shared its two cores.
const POSTGRES_NODE: f64 = 15_000.0;
const OPENSEARCH_NODE: f64 = 12_000.0;
const REDIS_NODE: f64 = 100_000.0;
/// The most that one node of OpenSearch should hold, in GB.
const OPENSEARCH_NODE_GB: f64 = 1_500.0;

/// What is to be paid for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) logs_per_day: f64,
    pub(super) bytes_per_log: f64,
    pub(super) logs_per_request: f64,
    /// How many times the average comes in the busiest hour.
    pub(super) peak: f64,
    /// Days that rows and documents are kept.
    pub(super) days: f64,
    /// Days that raw is kept.
    pub(super) raw_days: f64,
}

/// One line of the bill.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Line {
    pub(super) component: &'static str,
    /// The product, for people.
    pub(super) arithmetic: String,
    /// Dollars a month.
    pub(super) dollars: f64,
}

fn line(component: &'static str, amount: f64, what: &str, price: Price) -> Line {
    let dollars = amount * price.dollars;
    Line { component, arithmetic: format!("{} {what} x ${} per {}", number(amount), plain(price.dollars), price.unit), dollars }
}

impl Size {
    /// Logs of a month.
    pub(super) fn logs(&self) -> f64 {
        self.logs_per_day * DAYS
    }

    /// Bytes sent in a month, in GB.
    pub(super) fn gigabytes(&self) -> f64 {
        self.logs() * self.bytes_per_log / GB
    }

    /// Logs a second in the busiest hour.
    pub(super) fn peak_rate(&self) -> f64 {
        self.logs_per_day / 86_400.0 * self.peak
    }

    /// The bill of a month.
    pub(super) fn bill(&self) -> Vec<Line> {
        let requests = self.logs() / self.logs_per_request;
        let body = self.logs_per_request * self.bytes_per_log;
        let metered = requests * (body / 524_288.0).ceil().max(1.0);
        let drains = DAYS * DRAINS_A_DAY.min(requests / DAYS);
        let processing = (self.logs() * PROCESSOR_S).max(drains * DRAIN_S);
        let minutes = DAYS * 1_440.0;
        // Sent, received, deleted; and questions of twenty seconds by the five pollers that Lambda keeps.
        let calls = drains * 3.0 + DAYS * 86_400.0 / 20.0 * 5.0;
        let kept = self.logs_per_day * self.days;
        let (rows, index) = (kept * ROW_BYTES / GB, kept * self.bytes_per_log * INDEX_PER_BYTE / GB * 2.0 * ROOM);
        let raw_of = |days: f64| self.logs_per_day * days * self.bytes_per_log * RAW_PER_BYTE / GB;
        let written = self.gigabytes() * QUEUE_PER_BYTE;
        let redis = 2.0 * (self.peak_rate() / REDIS_NODE).ceil().max(1.0);
        let postgres = 2.0 * (self.peak_rate() / POSTGRES_NODE).ceil().max(1.0);
        // Every document is written twice, and the two lie in two zones.
        let opensearch = (2.0 * self.peak_rate() / OPENSEARCH_NODE).ceil().max(index / OPENSEARCH_NODE_GB).max(2.0).ceil();
        // An object for each drain, which takes some 4 MiB at most.
        let puts = drains.max(self.gigabytes() * GB / 4_194_304.0);
        let moves = self.raw_days > WARM_DAYS && self.gigabytes() * RAW_PER_BYTE * GB / puts >= COLD_OBJECT;
        let (warm, cold) = if moves { (raw_of(WARM_DAYS), raw_of(self.raw_days - WARM_DAYS)) } else { (raw_of(self.raw_days), 0.0) };
        let million = 1e6;
        vec![
            line("API Gateway", metered / million, "million", prices::HTTP_API),
            line("Lambda: ingest", requests / million, "million", prices::LAMBDA_REQUESTS),
            line("Lambda: ingest", requests * INGEST_MS / 1000.0, "s at 1 GB", prices::LAMBDA_ARM64),
            line("Lambda: processor", (drains + minutes) / million, "million", prices::LAMBDA_REQUESTS),
            line("Lambda: processor", (processing + minutes * DRAIN_S) * PROCESSOR_GB, "GB-s (1,769 MB)", prices::LAMBDA_ARM64),
            line("Lambda: maintenance", minutes / million, "million", prices::LAMBDA_REQUESTS),
            line("Lambda: maintenance", minutes, "s at 1 GB, one a minute", prices::LAMBDA_ARM64),
            line("SQS: the bell", calls / million, "million", prices::SQS),
            line("Redis: MemoryDB", redis * HOURS, &format!("hours ({} nodes)", number(redis)), prices::MEMORYDB_NODE),
            line("Redis: MemoryDB", (written - 10_000.0).max(0.0), "GB", prices::MEMORYDB_WRITTEN),
            line("Postgres: RDS", postgres * HOURS, &format!("hours ({} nodes)", number(postgres)), prices::RDS_NODE),
            line("Postgres: RDS", rows * 2.0 * ROOM, "GB (two zones)", prices::RDS_GB),
            line("OpenSearch", opensearch * HOURS, &format!("hours ({} nodes)", number(opensearch)), prices::OPENSEARCH_NODE),
            line("OpenSearch", index, "GB (with a replica)", prices::OPENSEARCH_GB),
            line("S3: raw", warm, "GB", prices::S3_GB),
            line("S3: raw", cold, "GB past 30 days", prices::S3_COLD_GB),
            line("S3: raw", puts / million, "million", prices::S3_PUTS),
            line("S3: raw", if moves { puts / million } else { 0.0 }, "million", prices::S3_TRANSITIONS),
            line("CloudWatch", requests * LOG_BYTES_A_REQUEST / GB, "GB", prices::CLOUDWATCH_LOGS),
            line("CloudWatch", METRICS, "metrics", prices::CLOUDWATCH_METRIC),
            line("CloudWatch", ALARMS, "alarms", prices::CLOUDWATCH_ALARM),
            line("CloudWatch", 1.0, "dashboard", prices::CLOUDWATCH_DASHBOARD),
            line("Network", 2.0 * HOURS, "hours (SQS, two zones)", prices::VPC_ENDPOINT),
            line("Secrets Manager", 1.0, "secret", prices::SECRET),
        ]
    }
}

impl Hosted {
    /// What it asks for a month of that size; `None` where it publishes no price for keeping logs so long.
    pub(super) fn dollars(&self, size: Size) -> Option<f64> {
        let months_kept = (size.days - self.days_included).max(0.0) / DAYS;
        if months_kept > 0.0 && self.per_gb_month == 0.0 {
            return None;
        }
        Some(size.gigabytes() * (self.per_gb + self.per_gb_month * months_kept) + size.logs() / 1e6 * self.per_million)
    }
}

/// A number with thousands apart and as many digits after the point as tell something.
pub(super) fn number(value: f64) -> String {
    let digits = match value {
        whole if whole.fract() == 0.0 => 0,
        large if large >= 100.0 => 0,
        middling if middling >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    fraction.map_or(out.clone(), |fraction| format!("{out}.{fraction}"))
}

/// A price as it stands in lists.
fn plain(dollars: f64) -> String {
    if dollars < 0.001 { format!("{dollars:.10}") } else { format!("{dollars:.4}").trim_end_matches('0').trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_MILLION_A_DAY: Size = Size { logs_per_day: 1e6, bytes_per_log: 600.0, logs_per_request: 100.0, peak: 2.0, days: 30.0, raw_days: 365.0 };

    fn of(size: Size, component: &str) -> f64 {
        size.bill().iter().filter(|line| line.component == component).map(|line| line.dollars).sum()
    }

    #[test]
    fn what_is_told_is_what_is_added_up() {
        for line in A_MILLION_A_DAY.bill() {
            let (amount, rest) = line.arithmetic.split_once(' ').expect("an amount");
            let price = rest.split_once("x $").and_then(|(_, price)| price.split(' ').next()).expect("a price");
            let (amount, price): (f64, f64) = (amount.replace(',', "").parse().expect("a number"), price.parse().expect("a number"));
            assert!((amount * price - line.dollars).abs() <= 0.001 + line.dollars * 0.006, "{line:?}");
        }
    }

    #[test]
    fn known_products() {
        // 300,000 requests and 0.3 million at a dollar.
        assert!((of(A_MILLION_A_DAY, "API Gateway") - 0.30).abs() < 1e-9);
        // Two nodes for 720 hours.
        assert!((of(A_MILLION_A_DAY, "Redis: MemoryDB") - 2.0 * 720.0 * 0.23).abs() < 1e-9);
        // A thousand times as much: 300 dollars at the gateway, and more nodes.
        let big = Size { logs_per_day: 1e9, ..A_MILLION_A_DAY };
        assert!((of(big, "API Gateway") - 300.0).abs() < 1e-6);
        assert!(of(big, "OpenSearch") > 3.0 * of(A_MILLION_A_DAY, "OpenSearch"));
    }

    #[test]
    fn a_service_without_a_price_for_keeping_so_long_has_none() {
        let priced = |days: f64| prices::HOSTED.iter().filter(|hosted| hosted.dollars(Size { days, ..A_MILLION_A_DAY }).is_some()).count();
        assert_eq!(priced(15.0), prices::HOSTED.len());
        assert_eq!(priced(365.0), prices::HOSTED.iter().filter(|hosted| hosted.per_gb_month > 0.0).count());
        // 18 GB at $0.50, and a month's keeping at $0.03.
        let cloudwatch = prices::HOSTED.iter().find(|hosted| hosted.name.starts_with("CloudWatch")).expect("it is there");
        assert!((cloudwatch.dollars(A_MILLION_A_DAY).expect("a price") - 18.0 * 0.53).abs() < 1e-9);
    }

    #[test]
    fn small_objects_stay_where_they_are() {
        let cold = |size: Size| size.bill().iter().filter(|line| line.arithmetic.contains("past 30 days")).map(|line| line.dollars).sum::<f64>();
        assert!(cold(A_MILLION_A_DAY) < 1e-9 && cold(Size { logs_per_day: 1e9, ..A_MILLION_A_DAY }) > 100.0);
    }

    #[test]
    fn a_body_past_512_kb_is_metered_twice() {
        let large = Size { logs_per_request: 1000.0, ..A_MILLION_A_DAY };
        assert!((of(large, "API Gateway") - 0.06).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_read_easily() {
        assert_eq!([number(1_234_567.0), number(12.345), number(999.9), number(0.3)], ["1,234,567", "12.35", "1,000", "0.3000"]);
    }
}
