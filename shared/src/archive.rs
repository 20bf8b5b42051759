//! The object store: where raw is kept. Plain S3 (PUT, ranged GET, LIST, DELETE), so that any S3 service will do.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::aws::{self, Identity};
use crate::error::{Engine, Error, Result};
use crate::ids::TenantId;
use crate::settings::ArchiveSettings;

/// How long one try may take: an object of a drain is at most some ten megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries in one call; whoever calls tries again by itself.
const ATTEMPTS: u32 = 2;

/// Who owns objects that tenants share, as their names say.
pub const SHARED: &str = "_shared";

/// Folders that are listed at the same time.
const LISTS_AT_ONCE: usize = 8;

/// The bucket that holds raw.
#[derive(Debug, Clone)]
pub struct Archive {
    client: Client,
    bucket: String,
    prefix: String,
}

impl Archive {
    /// Prepares the client; nothing is sent before the first call.
    ///
    /// # Errors
    /// [`Error::Internal`] for authorities that are none.
    pub fn open(settings: &ArchiveSettings, identity: &Identity) -> Result<Self> {
        let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(2)).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let mut config = aws::s3(settings, identity)?.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS)).timeout_config(timeouts);
        if let Some(endpoint) = &settings.endpoint {
            // Other S3 services know neither host-style buckets nor every checksum of AWS.
            config = config
                .endpoint_url(endpoint)
                .force_path_style(true)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        Ok(Self { client: Client::from_conf(config.build()), bucket: settings.bucket.clone(), prefix: settings.prefix.clone() })
    }

    /// A fresh name for an object of logs received at `at`: `raw/{class}/{yyyy}/{mm}/{dd}/{tenant or _shared}/{id}.ndjson.zst`.
    /// `tenant`: the object is all its own.
    #[must_use]
    pub fn fresh_path(&self, class: &str, at: OffsetDateTime, tenant: Option<&TenantId>) -> String {
        let owner = tenant.map_or(SHARED, TenantId::as_str);
        format!("{}raw/{class}/{:04}/{:02}/{:02}/{owner}/{}.ndjson.zst", self.prefix, at.year(), u8::from(at.month()), at.day(), Uuid::now_v7())
    }

    /// Asks whether the bucket is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        self.client.head_bucket().bucket(&self.bucket).send().await.map_err(unavailable).map(drop)
    }

    /// Writes an object.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may be there or not; a fresh name makes a second try harmless.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.client.put_object().bucket(&self.bucket).key(path).body(bytes.into()).send().await.map_err(unavailable).map(drop)
    }

    /// Puts other bytes in the place of an object that nobody has changed since it was read with this tag, and answers whether that was so. (RFC 9110,
    /// section 13.1.1; S3 checks `If-Match` of PUT since November 2024, as do MinIO and LocalStack. A service that does not look at it would let the
    /// later of two win: only maintenance rewrites objects.)
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn replace(&self, path: &str, bytes: Bytes, tag: &str) -> Result<bool> {
        let answer = self.client.put_object().bucket(&self.bucket).key(path).if_match(tag).body(bytes.into()).send().await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.as_service_error().and_then(ProvideErrorMetadata::code), Some("PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey")) => {
                Ok(false)
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Reads `length` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such object, or it ends before `offset`, else [`Error::Unavailable`].
    pub async fn range(&self, path: &str, offset: u64, length: u64) -> Result<Bytes> {
        let last = (offset + length).saturating_sub(1);
        self.get(path, Some(format!("bytes={offset}-{last}"))).await.map(|(bytes, _)| bytes)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// As [`Archive::range`].
    pub async fn whole(&self, path: &str) -> Result<Bytes> {
        self.tagged(path).await.map(|(bytes, _)| bytes)
    }

    /// The same, with the tag by which it is known whether it was changed ([`Archive::replace`]).
    ///
    /// # Errors
    /// As [`Archive::range`].
    pub async fn tagged(&self, path: &str) -> Result<(Bytes, String)> {
        self.get(path, None).await
    }

    async fn get(&self, path: &str, range: Option<String>) -> Result<(Bytes, String)> {
        let answer = self.client.get_object().bucket(&self.bucket).key(path).set_range(range).send().await;
        let object = answer.map_err(|error| match &error {
            SdkError::ServiceError(said) if is_not_there(said.err()) => Error::NotFound("raw object"),
            _ => unavailable(error),
        })?;
        let tag = object.e_tag.unwrap_or_default();
        let body = object.body.collect().await.map_err(|e| Error::unavailable(Engine::ObjectStore, e))?;
        Ok((body.into_bytes(), tag))
    }

    /// Names of all objects of ours that begin with `prefix` (after the setting's own).
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.list_after(prefix, "").await
    }

    /// The same, of names that go on with something after `after`: names of ours begin with when they were made.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn list_after(&self, prefix: &str, after: &str) -> Result<Vec<String>> {
        let prefix = format!("{}{prefix}", self.prefix);
        let start_after = (!after.is_empty()).then(|| format!("{prefix}{after}"));
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).set_start_after(start_after).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page.map_err(unavailable)?.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
        }
        Ok(names)
    }

    /// Names of all objects that hold logs of this tenant alone, of every class and day.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn owned_by(&self, tenant: &TenantId) -> Result<Vec<String>> {
        // A small question for each day, however many objects lie in it.
        let names = stream::iter(self.days().await?).map(|day| async move { self.list(&format!("{day}{tenant}/")).await });
        names.buffer_unordered(LISTS_AT_ONCE).try_concat().await
    }

    /// The days of receipt of which there are objects, by their folders: `raw/{class}/{yyyy}/{mm}/{dd}/`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn days(&self) -> Result<Vec<String>> {
        let mut folders = vec!["raw/".to_owned()];
        for _ in 0..4 {
            let below: Vec<Vec<String>> = stream::iter(folders).map(|folder| async move { self.folders(&folder).await }).buffer_unordered(LISTS_AT_ONCE).try_collect().await?;
            folders = below.concat();
        }
        Ok(folders)
    }

    /// Whose objects lie in the folder of a day: tenants, and `_shared`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn owners(&self, day: &str) -> Result<Vec<String>> {
        let folders = self.folders(day).await?;
        Ok(folders.iter().filter_map(|folder| folder.strip_prefix(day)?.strip_suffix('/').map(str::to_owned)).collect())
    }

    /// The folders in a folder, from `raw/` on, each with its last `/`.
    async fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{}{folder}", self.prefix)).delimiter("/").into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let below = page.map_err(unavailable)?.common_prefixes.unwrap_or_default().into_iter().filter_map(|common| common.prefix);
            names.extend(below.filter_map(|name| name.strip_prefix(&self.prefix).map(str::to_owned)));
        }
        Ok(names)
    }

    /// Removes an object. One that is not there counts as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.client.delete_object().bucket(&self.bucket).key(path).send().await.map_err(unavailable).map(drop)
    }
}

/// Whether the object, or that part of it, is not to be had: no weather, as a retry would end the same.
fn is_not_there(error: &GetObjectError) -> bool {
    matches!(error.code(), Some("NoSuchKey" | "InvalidRange" | "InvalidObjectState"))
}

/// The store's own code and words, which the client's `Display` leaves out.
fn unavailable<E, R>(error: SdkError<E, R>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let said = error.as_service_error().map(|e| format!("{}: {}", e.code().unwrap_or("error"), e.message().unwrap_or_default()));
    match said {
        Some(said) => Error::unavailable(Engine::ObjectStore, said),
        None => Error::unavailable(Engine::ObjectStore, error),
    }
}
