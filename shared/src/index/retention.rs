//! Documents that go because their days are over.

use opensearch::http::Method;
use serde_json::{Value, json};

use super::{DELETE_TIMEOUT, Failure, Index};
use crate::error::{Engine, Error, Result};
use crate::grant::DEFAULT_CLASS;
use crate::ids::TenantId;
use crate::timestamp::{self, DAY_MS};

/// Documents that one call removes: within the time that a call has.
const AT_ONCE: u64 = 50_000;

/// What was removed of an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Documents.
    pub documents: u64,
    /// Whether nothing was left, and the index is gone.
    pub dropped: bool,
}

impl Index {
    /// All indices of this hub, with the day of receipt of their logs, counted from 1970-01-01.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn days(&self) -> Result<Vec<(String, u64)>> {
        let path = format!("_cat/indices/{}-*", self.settings.prefix);
        let listed = self.call(Method::Get, &path, &[("format", "json"), ("h", "index"), ("expand_wildcards", "open,closed")], None, DELETE_TIMEOUT).await?;
        let names = listed.as_array().into_iter().flatten().filter_map(|line| line["index"].as_str());
        Ok(names.filter_map(|name| Some((name.to_owned(), day_of(&self.settings.prefix, name)?))).collect())
    }

    /// Removes these tenants' documents from one index, and the index where it holds nobody else's.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may be left; doing it again goes on.
    pub async fn leave(&self, name: &str, tenants: &[TenantId]) -> Result<Leaving> {
        let theirs = json!({ "terms": { "tenant": tenants } });
        self.refresh_one(name).await?;
        let mut left = Leaving { documents: self.count_in(name, &theirs).await?, dropped: false };
        if self.count_in(name, &json!({ "match_all": {} })).await? == left.documents {
            left.dropped = self.drop_if_only(name, &theirs).await?;
        }
        if !left.dropped && left.documents > 0 {
            self.remove_in(name, &theirs).await?;
        }
        Ok(left)
    }

    async fn refresh_one(&self, name: &str) -> Result<()> {
        self.call(Method::Post, &format!("{name}/_refresh"), &[], None, DELETE_TIMEOUT).await?;
        Ok(())
    }

    async fn count_in(&self, name: &str, query: &Value) -> Result<u64> {
        let answer = self.call(Method::Post, &format!("{name}/_count"), &[], Some(&json!({ "query": query })), DELETE_TIMEOUT).await?;
        answer["count"].as_u64().ok_or_else(|| Error::unavailable(Engine::OpenSearch, "a count without a number"))
    }

    /// Drops an index that holds nothing but these documents. What is written to it meanwhile is refused, and written later, to one that is made
    /// anew.
    async fn drop_if_only(&self, name: &str, query: &Value) -> Result<bool> {
        self.block_writes(name, true).await?;
        self.refresh_one(name).await?;
        let is_only = self.count_in(name, &json!({ "match_all": {} })).await? == self.count_in(name, query).await?;
        if is_only {
            self.call(Method::Delete, name, &[("ignore_unavailable", "true")], None, DELETE_TIMEOUT).await?;
            self.forget();
        } else {
            self.block_writes(name, false).await?;
        }
        Ok(is_only)
    }

    async fn block_writes(&self, name: &str, are_blocked: bool) -> Result<(), Failure> {
        // A setting that is null is as if it had never been set.
        let value = if are_blocked { json!(true) } else { Value::Null };
        self.call(Method::Put, &format!("{name}/_settings"), &[], Some(&json!({ "index.blocks.write": value })), DELETE_TIMEOUT).await.map(drop)
    }

    async fn remove_in(&self, name: &str, query: &Value) -> Result<()> {
        // A run that broke off may have left it blocked.
        self.block_writes(name, false).await?;
        loop {
            let at_once = AT_ONCE.to_string();
            let parameters = [("conflicts", "proceed"), ("refresh", "true"), ("max_docs", at_once.as_str())];
            let answer = self.call(Method::Post, &format!("{name}/_delete_by_query"), &parameters, Some(&json!({ "query": query })), DELETE_TIMEOUT).await?;
            if answer["failures"].as_array().is_none_or(|failures| !failures.is_empty()) || answer["timed_out"] != false {
                return Err(Error::unavailable(Engine::OpenSearch, "not all documents that are over could be removed"));
            }
            if answer["deleted"].as_u64().unwrap_or_default() == 0 && answer["version_conflicts"].as_u64().unwrap_or_default() == 0 {
                return Ok(());
            }
        }
    }
}

/// The day in the name of an index, `{prefix}-{class}-{yyyy.mm.dd}`; `None` for one of another hub, whose prefix may begin with ours.
fn day_of(prefix: &str, name: &str) -> Option<u64> {
    let day = name.strip_prefix(prefix)?.strip_prefix('-')?.strip_prefix(DEFAULT_CLASS)?.strip_prefix('-')?;
    let midnight = timestamp::parse(&format!("{}T00:00:00Z", day.replace('.', "-"))).ok()?;
    u64::try_from(midnight).ok().map(|ms| ms / DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_day() {
        assert_eq!(day_of("logs", "logs-standard-1970.01.02"), Some(1));
        assert_eq!(day_of("my-logs", "my-logs-standard-2025.10.10"), Some(20_371));
        assert_eq!(
            ["logs", "logs-standard", "logs-standard-2025.13.01", "logs-staging-standard-2025.10.10", "my-logs-standard-2025.10.10"].map(|name| day_of("logs", name)),
            [None; 5]
        );
    }
}
