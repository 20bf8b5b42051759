//! What all clients of AWS share: who we are to it, how they reach it, and whom they trust.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::settings::{ArchiveSettings, Authorities, EventSettings, QueueSettings};

/// Who we are to AWS: where credentials come from, unless a setting gives them.
#[derive(Debug, Clone)]
pub struct Identity(SharedCredentialsProvider);

impl Identity {
    /// Credentials of the environment (`AWS_ACCESS_KEY_ID` and the like): a function has its role's there. Without the rest of AWS' chain a
    /// function is half a megabyte smaller.
    #[must_use]
    pub fn of_environment() -> Self {
        Self(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
    }

    /// What AWS' own chain finds on a machine or in a container: environment, profile, web identity, role. Nothing is looked at before it
    /// is needed.
    ///
    /// # Errors
    /// [`Error::Internal`] for authorities that are none.
    pub fn of_machine(settings: &ArchiveSettings) -> Result<Self> {
        let http = settings.authorities.as_ref().map(trusting).transpose()?;
        Ok(Self(SharedCredentialsProvider::new(OfMachine { region: settings.region.clone(), http, chain: OnceCell::new() })))
    }

    /// What signs requests to a service that is no SDK's.
    pub(crate) fn signing(&self, region: &str) -> SdkConfig {
        SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new(region.to_owned())).credentials_provider(self.0.clone()).build()
    }
}

/// AWS' own chain, made when it is first asked: it reads whom the system trusts, which takes some 10 ms, for which no start should wait.
#[derive(Debug)]
struct OfMachine {
    region: String,
    http: Option<SharedHttpClient>,
    chain: OnceCell<Option<SharedCredentialsProvider>>,
}

impl OfMachine {
    async fn load(&self) -> Option<SharedCredentialsProvider> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(self.region.clone()));
        if let Some(http) = &self.http {
            loader = loader.http_client(http.clone());
        }
        loader.load().await.credentials_provider()
    }
}

impl ProvideCredentials for OfMachine {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let chain = self.chain.get_or_init(|| self.load()).await;
            let chain = chain.as_ref().ok_or_else(|| CredentialsError::not_loaded("there is no provider of credentials"))?;
            chain.provide_credentials().await
        })
    }
}

/// The beginning of a client of S3: credentials, region, trust.
///
/// # Errors
/// [`Error::Internal`] for authorities that are none.
pub(crate) fn s3(settings: &ArchiveSettings, identity: &Identity) -> Result<aws_sdk_s3::config::Builder> {
    let mut config = aws_sdk_s3::Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new(settings.region.clone()));
    config = match &settings.credentials {
        Some((id, secret)) => config.credentials_provider(Credentials::new(id, secret.reveal(), None, None, "settings")),
        None => config.credentials_provider(identity.0.clone()),
    };
    if let Some(authorities) = &settings.authorities {
        config.set_http_client(Some(trusting(authorities)?));
    }
    Ok(config)
}

/// A client of SQS, at the endpoint that the settings name or at AWS. Functions alone speak with SQS.
///
/// # Errors
/// [`Error::Internal`] for authorities that are none.
pub fn sqs(settings: &QueueSettings, region: &str) -> Result<aws_sdk_sqs::Client> {
    let config = aws_sdk_sqs::Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
    let mut config = config.credentials_provider(Identity::of_environment().0);
    config.set_endpoint_url(settings.sqs_endpoint.clone());
    if let Some(authorities) = &settings.authorities {
        config.set_http_client(Some(trusting(authorities)?));
    }
    Ok(aws_sdk_sqs::Client::from_conf(config.build()))
}

/// How long a connection to EventBridge may take, and an attempt; what was not told is told by the next run.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of EventBridge, at the endpoint that the settings name or at AWS.
///
/// # Errors
/// [`Error::Internal`] for authorities that are none.
pub(crate) fn event_bridge(settings: &EventSettings, identity: &Identity) -> Result<aws_sdk_eventbridge::Client> {
    let config = aws_sdk_eventbridge::Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new(settings.region.clone()));
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let config = config.timeout_config(timeouts).retry_config(RetryConfig::disabled());
    let mut config = config.credentials_provider(identity.0.clone());
    config.set_endpoint_url(settings.endpoint.clone());
    if let Some(authorities) = &settings.authorities {
        config.set_http_client(Some(trusting(authorities)?));
    }
    Ok(aws_sdk_eventbridge::Client::from_conf(config.build()))
}

fn trusting(authorities: &Authorities) -> Result<SharedHttpClient> {
    let trusted = TlsContext::builder().with_trust_store(TrustStore::default().with_pem_certificate(authorities.pem())).build();
    let trusted = trusted.map_err(|e| Error::internal("reading LOGGERHUB_CA_FILE", e))?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(trusted).build_https())
}
