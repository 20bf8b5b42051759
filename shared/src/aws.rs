//! What all clients of AWS share: how they reach it, and whom they trust.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_sdk_sqs::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::error::{Error, Result};
use crate::settings::{Authorities, QueueSettings};

/// What a client's configuration is loaded with; credentials come from AWS' own chain.
///
/// # Errors
/// [`Error::Internal`] for authorities that are none.
pub(crate) fn loader(region: &str, authorities: Option<&Authorities>) -> Result<ConfigLoader> {
    let loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
    Ok(match authorities {
        Some(authorities) => loader.http_client(trusting(authorities)?),
        None => loader,
    })
}

/// A client of SQS, at the endpoint that the settings name or at AWS. Its credentials are those of the environment: functions have
/// theirs there, and nobody else speaks with SQS. Without the rest of the chain ingest is a megabyte smaller.
///
/// # Errors
/// [`Error::Internal`] for authorities that are none.
pub fn sqs(settings: &QueueSettings, region: &str) -> Result<aws_sdk_sqs::Client> {
    let config = aws_sdk_sqs::Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
    let mut config = config.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    config.set_endpoint_url(settings.sqs_endpoint.clone());
    if let Some(authorities) = &settings.authorities {
        config.set_http_client(Some(trusting(authorities)?));
    }
    Ok(aws_sdk_sqs::Client::from_conf(config.build()))
}

fn trusting(authorities: &Authorities) -> Result<SharedHttpClient> {
    let trusted = TlsContext::builder().with_trust_store(TrustStore::default().with_pem_certificate(authorities.pem())).build();
    let trusted = trusted.map_err(|e| Error::internal("reading LOGGERHUB_CA_FILE", e))?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(trusted).build_https())
}
