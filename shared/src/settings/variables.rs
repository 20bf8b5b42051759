//! The one list of settings, with what each is for. `loggerhub settings` prints it.

/// One environment variable that Logger Hub reads.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value where none is set; `None` where there is none.
    pub default: Option<&'static str>,
    /// Which parts read it.
    pub used_by: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// A value for a laptop with the engines of `scripts/engines`, for `.env.example`.
    pub example: &'static str,
}

impl Variable {
    /// The variable of this name.
    ///
    /// # Panics
    /// If the list lacks it: then the code reads what the documents do not name.
    #[must_use]
    pub fn named(name: &str) -> &'static Self {
        VARIABLES.iter().find(|variable| variable.name == name).unwrap_or_else(|| panic!("{name} is missing in settings/variables.rs"))
    }
}

const fn required(name: &'static str, used_by: &'static str, example: &'static str, doc: &'static str) -> Variable {
    Variable { name, default: None, used_by, doc, example }
}

const fn with_default(name: &'static str, default: &'static str, used_by: &'static str, doc: &'static str) -> Variable {
    Variable { name, default: Some(default), used_by, doc, example: default }
}

/// Every setting, in the order in which a newcomer meets them.
pub const VARIABLES: &[Variable] = &[
    with_default("LOGGERHUB_LISTEN", "127.0.0.1:8080", "server", "Address and port that `loggerhub serve` listens on."),
    with_default(
        "LOGGERHUB_MAX_CONNECTIONS",
        "2048",
        "server",
        "Most connections at once; with all of them taken, the one that was idle the longest makes room. Fewer where the system gives fewer file descriptors.",
    ),
    required(
        "LOGGERHUB_TRUSTED_PROXIES",
        "server",
        "",
        "Addresses, and networks such as `10.0.0.0/8`, of proxies before `loggerhub serve`, with commas between them: what one of them says in `X-Forwarded-For` is believed. Needed there, so that one client's wrong passwords are not counted against all.",
    ),
    required(
        "LOGGERHUB_OPERATOR_TOKEN",
        "tenants, server",
        "change-me-to-32-random-bytes-in-hex",
        "What an operator sends as `Authorization: Bearer` or in `X-Operator-Token`; at least 16 characters. Without it operator routes answer 401.",
    ),
    with_default(
        "LOGGERHUB_DELETION_GRACE_SECONDS",
        "604800",
        "tenants, server",
        "How long a tenant that was deleted can be restored, in seconds; then what it has is erased. 0 erases it at once.",
    ),
    with_default(
        "LOGGERHUB_SESSION_IDLE_SECONDS",
        "43200",
        "tenants, search, server",
        "A session of a person that nobody used for so long has ended, in seconds. The same for all functions, as all that is said of sessions here.",
    ),
    with_default("LOGGERHUB_SESSION_ABSOLUTE_SECONDS", "604800", "tenants, search, server", "No session lasts longer, however much it is used, in seconds."),
    Variable {
        name: "LOGGERHUB_SECURE_COOKIES",
        default: Some("true"),
        used_by: "tenants, search, server",
        doc: "Browsers send a session's cookie over HTTPS only. `false` for a laptop without TLS, and nowhere else.",
        example: "false",
    },
    required(
        "LOGGERHUB_WEB_ORIGINS",
        "tenants, search, server",
        "",
        "Origins whose pages may send requests with a session, such as `https://logs.example.com`, with commas between them. Empty: pages of the hub's own address (`Host`).",
    ),
    with_default("LOGGERHUB_INVITATION_SECONDS", "604800", "tenants, server", "How long an invitation can be accepted, in seconds."),
    with_default("LOGGERHUB_PASSWORD_RESET_SECONDS", "3600", "tenants, server", "How long a forgotten password can be set anew after it was asked for, in seconds."),
    with_default(
        "LOGGERHUB_CLOSE_MONTH_AFTER_HOURS",
        "6",
        "maintenance, server",
        "How many hours after its end (UTC) a month is closed and has its invoices. What is stored later counts in the next.",
    ),
    with_default(
        "LOGGERHUB_FINALIZE_INVOICES",
        "true",
        "maintenance, server",
        "`true` finalizes invoices when their month is closed; `false` leaves drafts, which an operator looks at and finalizes.",
    ),
    with_default("LOGGERHUB_LOG", "info", "all", "What we log of ourselves: `error`, `warn`, `info`, `debug`, or targets with levels, such as `info,sqlx=warn`."),
    required("LOGGERHUB_ABORT_AT", "server", "", "For tests: the point at which the process ends as in a power cut (`shared/src/fault.rs` names them)."),
    required(
        "LOGGERHUB_REDIS_URL",
        "all",
        "redis://127.0.0.1:16379/0",
        "Redis: the queue and the key ring. `rediss://` for TLS; of a cluster one node or several, with commas between them.",
    ),
    with_default("LOGGERHUB_REDIS_CLUSTER", "false", "all", "`true` where Redis is a cluster: partitions spread over its nodes."),
    required("LOGGERHUB_CA_FILE", "all", "", "PEM file of authorities whose certificates are trusted beside the public ones (by Redis' connection: instead of them)."),
    with_default("LOGGERHUB_REDIS_PREFIX", "lh:", "all", "What every Redis key begins with, so that two hubs can share one Redis."),
    with_default("LOGGERHUB_PARTITIONS", "1", "all", "Partitions of the queue. The same for all functions; raise it only, and while nothing waits."),
    with_default(
        "LOGGERHUB_QUEUE_CAP_BYTES",
        "1073741824",
        "ingest, server",
        "Most bytes that may wait in one partition; past that ingest answers 503. Keep it below Redis' own memory.",
    ),
    with_default(
        "LOGGERHUB_QUEUE_TENANT_CAP_BYTES",
        "268435456",
        "ingest, server",
        "Most bytes of one tenant that may wait; past that its requests are answered 503, and those of others are not.",
    ),
    with_default(
        "LOGGERHUB_IDEMPOTENCY_CAP_BYTES",
        "1073741824",
        "ingest, server",
        "Memory of one partition for `Idempotency-Key`s, some 340 bytes each for 24 h (1 GiB is 36 a second); past that new ones are answered 503, and none is forgotten early.",
    ),
    with_default(
        "LOGGERHUB_IDEMPOTENCY_TENANT_CAP_BYTES",
        "268435456",
        "ingest, server",
        "Memory of one tenant's `Idempotency-Key`s, so that one tenant does not use up what is there for all.",
    ),
    with_default(
        "LOGGERHUB_REDIS_DURABILITY",
        "fsync",
        "ingest, server",
        "What makes a 202 mean on disk. `fsync`: Redis' own settings, which are looked at (`appendonly yes`, `appendfsync always`). `service`: the service is durable by itself, as MemoryDB is. `relaxed`: neither; every receipt then says so.",
    ),
    with_default("LOGGERHUB_LINGER_MS", "1000", "ingest, processor, server", "How long a drain waits after the first request, so that small ones share objects and transactions."),
    required("LOGGERHUB_BELL_URL", "ingest, processor", "", "URL of the SQS queue that wakes the processor function. Leave it empty where `loggerhub serve` runs everything."),
    required("LOGGERHUB_SQS_ENDPOINT", "ingest, processor", "", "Endpoint of SQS where it is not AWS, such as LocalStack."),
    required(
        "LOGGERHUB_EVENT_BUS",
        "maintenance, server",
        "",
        "Name or ARN of the EventBridge bus that is told what becomes of tenants and keys. Leave it empty where the stream in Redis will do.",
    ),
    required("LOGGERHUB_EVENTS_ENDPOINT", "maintenance, server", "", "Endpoint of EventBridge where it is not AWS, such as LocalStack."),
    with_default(
        "LOGGERHUB_WEBHOOKS_RETRY_SECONDS",
        "5,300,1800,7200,18000,36000,50400,72000,86400",
        "maintenance, server",
        "How long to wait after each attempt to tell a webhook that failed, in seconds, with commas between them; after the last the delivery is dead.",
    ),
    with_default("LOGGERHUB_WEBHOOKS_TIMEOUT_MS", "15000", "maintenance, server", "How long a webhook's receiver may take."),
    with_default("LOGGERHUB_WEBHOOKS_DISABLE_AFTER_SECONDS", "432000", "maintenance, server", "A webhook to which nothing could be delivered for so long is disabled."),
    required(
        "LOGGERHUB_WEBHOOKS_KEY",
        "tenants, maintenance, server",
        "",
        "Seals the secrets of webhooks in the database: 32 bytes in base64 (`openssl rand -base64 32`). To replace it put the new one before it, with a comma. Without it they lie there as they are.",
    ),
    with_default(
        "LOGGERHUB_WEBHOOKS_ALLOW_PRIVATE",
        "false",
        "tenants, maintenance, server",
        "`true` lets webhooks lead to the inside of the network, and without TLS. For tests and laptops only: whoever may make a webhook reaches all that the hub reaches.",
    ),
    with_default(
        "LOGGERHUB_QUERIES_PER_TENANT",
        "32",
        "search, server",
        "Lists, searches and counts of one tenant that a process works on at once; more are answered 429. On Lambda a process works on one.",
    ),
    with_default("LOGGERHUB_STREAMS_PER_TENANT", "16", "search, server", "Tails and exports of one tenant that a process serves at once; more are answered 429."),
    required(
        "LOGGERHUB_CONTROL_DATABASE_URL",
        "tenants, search, maintenance, server",
        "postgres://loggerhub:loggerhub@127.0.0.1:15432/loggerhub",
        "Postgres database of tenants and keys.",
    ),
    required(
        "LOGGERHUB_LOGS_DATABASE_URL",
        "processor, search, tenants, maintenance, server",
        "postgres://loggerhub:loggerhub@127.0.0.1:15432/loggerhub_processor_db",
        "Postgres database of rows and receipts: a schema for each tenant.",
    ),
    with_default("LOGGERHUB_POSTGRES_MAX_CONNECTIONS", "8", "all but ingest", "Most connections of a process to each database. 1 or 2 for a Lambda function."),
    required("LOGGERHUB_OPENSEARCH_URL", "processor, search, maintenance, server", "http://127.0.0.1:19200", "OpenSearch, with user and password in the URL where needed."),
    with_default(
        "LOGGERHUB_OPENSEARCH_SIGV4",
        "false",
        "processor, search, maintenance, server",
        "`true` signs requests to OpenSearch with the role of the function (OpenSearch Service with IAM), in the region of `LOGGERHUB_S3_REGION`.",
    ),
    with_default("LOGGERHUB_INDEX_PREFIX", "logs", "processor, search, maintenance, server", "What every index begins with."),
    with_default("LOGGERHUB_INDEX_SHARDS", "1", "processor, maintenance, server", "Primary shards of a new index."),
    with_default("LOGGERHUB_INDEX_REPLICAS", "0", "processor, maintenance, server", "Replicas of each shard: 1 or more where OpenSearch has several nodes."),
    with_default("LOGGERHUB_INDEX_REFRESH_MS", "1000", "processor, maintenance, server", "How often what was written becomes searchable, for a new index."),
    required("LOGGERHUB_S3_ENDPOINT", "processor, search, maintenance, server", "http://127.0.0.1:19000", "Endpoint of an S3 service that is not AWS."),
    with_default("LOGGERHUB_S3_BUCKET", "loggerhub-raw", "processor, search, maintenance, server", "Bucket that holds raw."),
    with_default("LOGGERHUB_S3_PREFIX", "", "processor, search, maintenance, server", "What every object's name begins with."),
    with_default("LOGGERHUB_S3_REGION", "us-east-1", "ingest, processor, search, maintenance, server", "AWS region of bucket and bell."),
    required("LOGGERHUB_S3_ACCESS_KEY_ID", "processor, search, maintenance, server", "loggerhub", "Access key for the bucket. Unset, AWS' own chain is asked (environment, role)."),
    required("LOGGERHUB_S3_SECRET_ACCESS_KEY", "processor, search, maintenance, server", "loggerhub-secret", "Secret of that access key."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_once() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
