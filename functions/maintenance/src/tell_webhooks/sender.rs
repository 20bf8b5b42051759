//! Requests to receivers: Standard Webhooks 1.0.
//!
//! Where they lead is a stranger's choice. So: HTTPS, to a public address and no other (`resolver`), no redirects, no proxy of the environment, a
//! time for all of it, and of the answer nothing is told but its status.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use shared::error::{Error, Result, chain};
use shared::late::{OpenedLate, opened_late};
use shared::settings::WebhookSettings;
use shared::tenants::{DeliveryAttempt, Due};
use shared::webhooks::Target;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::resolver::{NoPublicAddress, Resolver};

/// What we call ourselves.
const USER_AGENT: &str = concat!("loggerhub-webhooks/", env!("CARGO_PKG_VERSION"));
/// The JSON format of an event, as CloudEvents' HTTP binding 1.0 calls it (section 3.2).
const CLOUD_EVENT: &str = "application/cloudevents+json; charset=utf-8";
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Most of an answer's body that is read, so that the connection can be used again, and for how long.
const MOST_OF_BODY: usize = 64 * 1024;
const BODY_WITHIN: Duration = Duration::from_secs(1);
/// A connection that nobody used for so long is closed.
const IDLE_FOR: Duration = Duration::from_secs(10);
/// The longest that a receiver puts us off: a day.
const MOST_PUT_OFF: Duration = Duration::from_secs(86_400);
/// Waits are made up to a fifth shorter or longer, so that what failed together is not tried again together.
const JITTER: std::ops::Range<f64> = 0.8..1.2;

/// Sends to receivers.
#[derive(Debug, Clone)]
pub struct Sender {
    http: Arc<OpenedLate<Client, reqwest::Error>>,
    settings: Arc<WebhookSettings>,
}

impl Sender {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Internal`] for authorities that are none.
    pub fn open(settings: &WebhookSettings) -> Result<Self> {
        Self::with(settings, Resolver::of_system(settings.keeping.allow_private))
    }

    fn with(settings: &WebhookSettings, resolver: Resolver) -> Result<Self> {
        let mut http = Client::builder()
            .dns_resolver(Arc::new(resolver))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(!settings.keeping.allow_private)
            .connect_timeout(CONNECT_WITHIN)
            .timeout(settings.timeout)
            .pool_idle_timeout(IDLE_FOR)
            .user_agent(USER_AGENT);
        let fail = |e: reqwest::Error| Error::internal("preparing what tells webhooks", e);
        if let Some(authorities) = &settings.authorities {
            http = http.tls_certs_merge(Certificate::from_pem_bundle(authorities.pem()).map_err(fail)?);
        }
        let http = opened_late(move || http.build());
        if settings.authorities.is_some() {
            // Whether they are authorities only the client tells.
            LazyLock::force(&http).as_ref().map_err(|e| Error::internal("preparing what tells webhooks", chain(e)))?;
        }
        Ok(Self { http: Arc::new(http), settings: Arc::new(settings.clone()) })
    }

    /// How long a receiver may take.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// After how long of nothing delivered a webhook is disabled.
    pub(super) fn disable_after(&self) -> Duration {
        self.settings.disable_after
    }

    /// Sends a delivery, once.
    pub(super) async fn send(&self, due: &Due) -> DeliveryAttempt {
        let (status, error, put_off) = match self.request(due).await {
            Ok(answer) => {
                let (status, put_off) = (answer.status(), put_off(answer.headers(), OffsetDateTime::now_utc()));
                finish(answer).await;
                if status.is_success() {
                    return DeliveryAttempt::Taken { status: status.as_u16() };
                }
                if status == StatusCode::GONE {
                    return DeliveryAttempt::Gone { status: status.as_u16() };
                }
                let redirect = if status.is_redirection() { "; redirects are not followed" } else { "" };
                (Some(status.as_u16()), format!("the receiver answered {}{redirect}", status.as_u16()), put_off)
            }
            Err(error) => (None, error, None),
        };
        DeliveryAttempt::Failed { status, error, again_in: self.again_in(due, put_off) }
    }

    async fn request(&self, due: &Due) -> Result<Response, String> {
        // Once more: what was allowed when it was set may not be now, and an address in a URL is looked up by nobody.
        let target = Target::parse(&due.url, self.settings.keeping.allow_private).map_err(|e| format!("the URL {e}"))?;
        let (id, now) = (due.event_id.to_string(), OffsetDateTime::now_utc().unix_timestamp());
        let secrets: Option<Vec<_>> = due.secrets.iter().map(|written| self.settings.keeping.sealer.open(due.webhook, written)).collect();
        let Some(secrets) = secrets.filter(|secrets| !secrets.is_empty()) else {
            tracing::error!(webhook = %due.webhook, "the secret of a webhook cannot be opened: LOGGERHUB_WEBHOOKS_KEY lacks the key that sealed it");
            return Err("the webhook's secret cannot be read; the operator can help".to_owned());
        };
        let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(&id, now, &due.body)).collect();
        let http = LazyLock::force(&self.http).as_ref().map_err(|error| {
            tracing::error!(cause = chain(error), "the client of webhooks could not be made");
            "our client could not be made; the operator can help".to_owned()
        })?;
        let request = http
            .post(target.url().clone())
            .header(CONTENT_TYPE, CLOUD_EVENT)
            .header("webhook-id", &id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", signatures.join(" "))
            .body(due.body.clone());
        request.send().await.map_err(|e| self.reason(&e))
    }

    /// What was wrong where no answer came. Nothing of our network is told.
    fn reason(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("no answer within {} s", self.settings.timeout.as_secs_f64());
        }
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            if let Some(refused) = error.downcast_ref::<NoPublicAddress>() {
                return refused.to_string();
            }
            source = error.source();
        }
        if error.is_connect() { "no connection, or none whose certificate can be trusted".to_owned() } else { "the connection broke off".to_owned() }
    }

    /// When to try again after this attempt, the receiver's wish included; `None` for never.
    fn again_in(&self, due: &Due, put_off: Option<Duration>) -> Option<Duration> {
        if due.is_test {
            return None;
        }
        let wait = self.settings.retries.after(due.attempts + 1)?.mul_f64(rand::random_range(JITTER));
        Some(wait.max(put_off.unwrap_or_default().min(MOST_PUT_OFF)))
    }
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110, section 10.2.3).
fn put_off(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (OffsetDateTime::parse(text, &Rfc2822).ok()? - now).try_into().ok()
}

/// Reads the rest of an answer, if it is short.
async fn finish(mut answer: Response) {
    let read = async {
        let mut left = MOST_OF_BODY;
        while let Ok(Some(part)) = answer.chunk().await {
            left = left.saturating_sub(part.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_WITHIN, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use reqwest::dns::Resolve;
    use shared::settings::Env;
    use shared::webhooks::SigningSecret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::super::resolver::LookUp;

    fn settings(allow_private: bool) -> WebhookSettings {
        let env = Env::default().with("LOGGERHUB_WEBHOOKS_ALLOW_PRIVATE", allow_private.to_string()).with("LOGGERHUB_WEBHOOKS_TIMEOUT_MS", "5000");
        WebhookSettings::from_env(&env).expect("settings")
    }

    /// A resolver that answers one list of addresses after the other, and then the last of them, and how often it was asked.
    fn answering(allow_private: bool, answers: &[&[&str]]) -> (Resolver, Arc<AtomicUsize>) {
        let address = |ip: &&str| SocketAddr::new(ip.parse().expect("an address"), 0);
        let answers: Vec<Vec<SocketAddr>> = answers.iter().map(|answer| answer.iter().map(address).collect()).collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let look_up: LookUp = Arc::new(move |_| {
            let answer = answers[counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone();
            Box::pin(async move { Ok(answer) })
        });
        (Resolver::new(allow_private, look_up), asked)
    }

    async fn resolve(resolver: &Resolver) -> Option<Vec<String>> {
        let found = resolver.resolve("hook.example".parse().expect("a name")).await.ok()?;
        Some(found.map(|address| address.ip().to_string()).collect())
    }

    fn due(url: String) -> Due {
        Due {
            id: Uuid::nil(),
            event_id: Uuid::nil(),
            body: "{}".to_owned(),
            attempts: 0,
            is_test: false,
            url,
            webhook: Uuid::nil(),
            secrets: vec![SigningSecret::generate().reveal().to_owned()],
        }
    }

    fn error_of(attempt: DeliveryAttempt) -> String {
        if let DeliveryAttempt::Failed { status: None, error, again_in: Some(_) } = attempt { error } else { panic!("{attempt:?}") }
    }

    #[tokio::test]
    async fn a_name_is_refused_if_it_leads_to_the_inside_also_beside_the_outside() {
        assert_eq!(resolve(&answering(false, &[&["1.1.1.1", "2606:4700:4700::1111"]]).0).await.map(|found| found.len()), Some(2));
        for inside in [&["127.0.0.1"][..], &["1.1.1.1", "10.0.0.1"], &["::1"], &["::ffff:127.0.0.1"], &["169.254.169.254"], &[]] {
            assert_eq!(resolve(&answering(false, &[inside]).0).await, None, "{inside:?}");
        }
        assert_eq!(resolve(&answering(true, &[&["127.0.0.1"]]).0).await, Some(vec!["127.0.0.1".to_owned()]));
        assert_eq!(resolve(&Resolver::of_system(false)).await, None, "a name that RFC 2606 keeps from being anybody's");
    }

    /// DNS rebinding: public when it is looked at, the inside afterwards.
    #[tokio::test]
    async fn what_was_checked_is_what_is_connected_to() {
        let (resolver, asked) = answering(false, &[&["1.1.1.1"], &["127.0.0.1"]]);
        assert_eq!(resolve(&resolver).await, Some(vec!["1.1.1.1".to_owned()]));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "nobody is asked again for what was answered");
        assert_eq!(resolve(&resolver).await, None, "the next request finds what it leads to now");

        // A request looks up once, and goes where that led.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (resolver, asked) = answering(true, &[&["127.0.0.1"], &["192.0.2.1"]]);
        let sender = Sender::with(&settings(true), resolver).expect("a client");
        let receive = async {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let read = connection.read(&mut request).await.expect("a request");
            connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("it listens");
            String::from_utf8_lossy(&request[..read]).into_owned()
        };
        let (attempt, request) = tokio::join!(async { sender.send(&due(format!("http://hook.example:{port}/a?b=c"))).await }, receive);
        assert_eq!((attempt, asked.load(Ordering::SeqCst)), (DeliveryAttempt::Taken { status: 204 }, 1));
        assert!(request.starts_with("POST /a?b=c HTTP/1.1\r\n") && request.contains("webhook-signature: v1,"), "{request}");
    }

    #[tokio::test]
    async fn nothing_of_the_inside_is_even_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (resolver, asked) = answering(false, &[&["127.0.0.1"]]);
        let sender = Sender::with(&settings(false), resolver).expect("a client");
        assert_eq!(error_of(sender.send(&due(format!("https://hook.example:{port}/"))).await), NoPublicAddress.to_string());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // An address in the URL is looked up by nobody.
        for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
            assert_eq!(error_of(sender.send(&due(format!("https://{host}:{port}/"))).await), "the URL must lead to a public address", "{host}");
        }
        assert_eq!(error_of(sender.send(&due(format!("http://hook.example:{port}/"))).await), "the URL must begin with https://");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let accepted = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(accepted.is_err(), "nobody connected");
    }

    #[test]
    fn a_receiver_may_put_us_off_for_a_day() {
        let sender = Sender::open(&settings(true)).expect("a client");
        let after = |attempts, put_off| sender.again_in(&Due { attempts, ..due(String::new()) }, put_off).map(|wait| wait.as_secs_f64());
        let first = after(0, None).expect("a retry");
        assert!(JITTER.contains(&(first / 5.0)), "{first}");
        assert_eq!(after(0, Some(Duration::from_secs(3600))), Some(3600.0));
        assert_eq!(after(0, Some(Duration::from_secs(10_000_000))), Some(86_400.0));
        assert!(after(8, Some(Duration::from_secs(1))).expect("the last") > 60_000.0, "never sooner than by the schedule");
        assert_eq!(after(9, Some(Duration::from_secs(1))), None);
        assert_eq!(sender.again_in(&Due { is_test: true, ..due(String::new()) }, None), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = time::macros::datetime!(1994-11-06 08:49:37 UTC);
        let read = |text: &'static str| put_off(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().expect("a value"))]), now).map(|wait| wait.as_secs());
        assert_eq!((read("120"), read(" 0 "), read("Sun, 06 Nov 1994 08:50:07 GMT")), (Some(120), Some(0), Some(30)));
        for bad in ["soon", "-1", "1.5", "Sun, 06 Nov 1994 08:49:07 GMT", ""] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(put_off(&HeaderMap::new(), now), None);
    }
}
