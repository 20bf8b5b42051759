//! Invoking a function through the Lambda API (AWS Lambda API Reference, "Invoke").

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Url;

/// Where functions are.
#[derive(Debug, Clone)]
pub(super) struct Lambda {
    http: reqwest::Client,
    url: Url,
}

/// One function.
#[derive(Debug, Clone)]
pub(super) struct Function {
    lambda: Lambda,
    pub(super) name: String,
}

impl Lambda {
    pub(super) fn at(url: &str, invocation_within: Duration) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(invocation_within).build()?;
        Ok(Self { http, url: Url::parse(url).context("--invoke-url is no URL")? })
    }

    pub(super) fn function(&self, name: &str) -> Function {
        Function { lambda: self.clone(), name: name.to_owned() }
    }
}

impl Function {
    /// Invokes it with an event and waits for what it answers.
    ///
    /// # Errors
    /// It was not reached, did not answer in time, or failed.
    pub(super) async fn invoke(&self, event: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let url = self.lambda.url.join(&format!("/2015-03-31/functions/{}/invocations", self.name))?;
        let answer = self.lambda.http.post(url).header("content-type", "application/json").body(event).send().await?;
        // Lambda itself answers 200 with this header where the function failed; the emulator says 500.
        let failed = answer.headers().contains_key("x-amz-function-error") || !answer.status().is_success();
        let status = answer.status();
        let body = answer.bytes().await?;
        if failed {
            bail!("the function failed ({status}): {}", String::from_utf8_lossy(&body));
        }
        Ok(body.to_vec())
    }
}
