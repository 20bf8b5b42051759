//! List prices, with where and when they were read. US dollars, us-east-1, on demand, without free tiers and without reservations.

/// One price.
#[derive(Debug, Clone, Copy)]
pub(super) struct Price {
    /// Dollars for one `unit`.
    pub(super) dollars: f64,
    /// What it is the price of.
    pub(super) unit: &'static str,
    /// Where it was read, and what that says of its age.
    pub(super) source: &'static str,
}

const fn price(dollars: f64, unit: &'static str, source: &'static str) -> Price {
    Price { dollars, unit, source }
}

const PRICE_LIST: &str = "AWS Price List API, us-east-1, as of 2026-09 and 2026-10";

pub(super) const HTTP_API: Price = price(1.0, "million requests of up to 512 KB", "AWS, Best practices for API Gateway private APIs, \"Cost optimization\"; the same in May 2025");
pub(super) const LAMBDA_REQUESTS: Price = price(0.20, "million invocations", "wring.co, \"AWS Lambda pricing guide\", 2026-03-08");
pub(super) const LAMBDA_ARM64: Price = price(0.000_013_333_4, "GB-second on arm64", "wring.co, \"AWS Lambda pricing guide\", 2026-03-08");
pub(super) const SQS: Price = price(0.40, "million calls", "cloudburn.io, \"Amazon SQS pricing\", 2026-03-14");
pub(super) const MEMORYDB_NODE: Price = price(0.23, "hour of a db.r7g.large (Valkey)", "an estimate: no dated list price was found; look it up before you rely on it");
pub(super) const MEMORYDB_WRITTEN: Price = price(0.04, "GB written past 10 TB a month (Valkey)", "infracost, pull request 3390, 2025-05-04");
pub(super) const RDS_NODE: Price = price(0.239, "hour of a db.r7g.large (PostgreSQL, one zone)", PRICE_LIST);
pub(super) const RDS_GB: Price = price(0.115, "GB-month of gp3 (one zone)", "usage.ai, \"RDS pricing calculator\", 2026-06");
pub(super) const OPENSEARCH_NODE: Price = price(0.178, "hour of an r7g.large.search", PRICE_LIST);
pub(super) const OPENSEARCH_GB: Price = price(0.122, "GB-month of gp3", "vpullela-powers, opensearch-cost-optimization.md, undated");
pub(super) const S3_GB: Price = price(0.023, "GB-month of S3 Standard", "awsnegotiations.com, \"S3 storage\", read 2026-11-25");
pub(super) const S3_COLD_GB: Price = price(0.0125, "GB-month of S3 Standard-IA", "awsnegotiations.com, \"S3 storage\", read 2026-11-25");
pub(super) const S3_PUTS: Price = price(5.0, "million PUTs", "devnotes.tech, \"Understanding AWS S3 pricing\", undated");
pub(super) const S3_TRANSITIONS: Price = price(10.0, "million transitions to Standard-IA", "an estimate, as for PUTs to Standard-IA; look it up before you rely on it");
pub(super) const CLOUDWATCH_LOGS: Price = price(0.50, "GB taken in", "c3x.dev, \"CloudWatch Logs cost optimization\", 2026-06");
pub(super) const CLOUDWATCH_METRIC: Price = price(0.30, "metric a month", "signoz.io, \"CloudWatch pricing\", 2026-02-15");
pub(super) const CLOUDWATCH_ALARM: Price = price(0.10, "alarm a month", "an estimate; look it up before you rely on it");
pub(super) const CLOUDWATCH_DASHBOARD: Price = price(3.0, "dashboard a month", "factualminds.com, \"CloudWatch pricing\", 2026-06-13");
pub(super) const VPC_ENDPOINT: Price = price(0.01, "hour of an interface endpoint in one zone", "awsnegotiations.com, \"PrivateLink cost analysis\", 2026-05");
pub(super) const SECRET: Price = price(0.40, "secret a month", "hivebook.wiki, \"AWS Secrets Manager\", undated");

/// Every price above, for the document.
pub(super) const ALL: [Price; 20] = [
    HTTP_API,
    LAMBDA_REQUESTS,
    LAMBDA_ARM64,
    SQS,
    MEMORYDB_NODE,
    MEMORYDB_WRITTEN,
    RDS_NODE,
    RDS_GB,
    OPENSEARCH_NODE,
    OPENSEARCH_GB,
    S3_GB,
    S3_COLD_GB,
    S3_PUTS,
    S3_TRANSITIONS,
    CLOUDWATCH_LOGS,
    CLOUDWATCH_METRIC,
    CLOUDWATCH_ALARM,
    CLOUDWATCH_DASHBOARD,
    VPC_ENDPOINT,
    SECRET,
];

/// What a hosted log service asks, as it publishes it.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) name: &'static str,
    /// For each GB that comes in, what is kept in the price included.
    pub(super) per_gb: f64,
    /// For each GB kept for a month, past `days_included`.
    pub(super) per_gb_month: f64,
    /// For each million logs that can be searched.
    pub(super) per_million: f64,
    /// Days of keeping that the price includes.
    pub(super) days_included: f64,
    pub(super) source: &'static str,
}

pub(super) const HOSTED: [Hosted; 7] = [
    Hosted { name: "Better Stack", per_gb: 0.15, per_gb_month: 0.08, per_million: 0.0, days_included: 0.0, source: "betterstack.com/pricing, read 2026-09-17" },
    Hosted { name: "CloudWatch Logs, Standard", per_gb: 0.50, per_gb_month: 0.03, per_million: 0.0, days_included: 0.0, source: "c3x.dev, 2026-06; scans are $0.005 a GB besides" },
    Hosted {
        name: "Datadog, 15 days indexed, a year's contract",
        per_gb: 0.10,
        per_gb_month: 0.0,
        per_million: 1.70,
        days_included: 15.0,
        source: "datadoghq.com/pricing, read 2026-09-20; longer keeping is another price",
    },
    Hosted {
        name: "Elastic Serverless, Logs Essentials",
        per_gb: 0.07,
        per_gb_month: 0.017,
        per_million: 0.0,
        days_included: 0.0,
        source: "elastic.co/pricing, read 2026-09-27, \"as low as\"",
    },
    Hosted {
        name: "Grafana Cloud Logs, Pro",
        per_gb: 0.55,
        per_gb_month: 0.10,
        per_million: 0.0,
        days_included: 30.0,
        source: "grafana.com/docs, \"Logs invoice\"; read 2026-08-27",
    },
    Hosted {
        name: "Logz.io, a year's contract",
        per_gb: 0.92,
        per_gb_month: 0.0,
        per_million: 0.0,
        days_included: 30.0,
        source: "logz.io/pricing, 2026-05-25; longer keeping is another price",
    },
    Hosted { name: "New Relic", per_gb: 0.40, per_gb_month: 0.0, per_million: 0.0, days_included: 30.0, source: "newrelic.com/pricing; users are paid for besides" },
];
