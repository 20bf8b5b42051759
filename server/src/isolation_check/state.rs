//! What a tenant has, as its own reading routes tell it: read before and after what others ask for, it must be the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::callers::{Person, Side, Who, all_scopes};
use super::client::Client;
use super::document::{Operation, Place};
use super::judge::may;
use super::plant::{Tenant, ids_of, request};
use super::values::{self, NO_STATE, Thing, VOLATILE};

/// Reads all that a tenant has, by route: with its own key; as the operator where a tenant's key may not and the path names the tenant; and where only
/// people may, as the one whose session nobody else touches.
///
/// # Errors
/// No answer.
pub(super) async fn of(client: &Client, operations: &[Operation], tenant: &Tenant) -> anyhow::Result<BTreeMap<String, Value>> {
    let itself = Who::Tenant { of: Side::A, scopes: all_scopes() };
    let somebody = Who::Person(Person { of: Some(Side::A), scopes: Vec::new(), has_token: true, names_other: false, is_guest: false });
    let reading = operations.iter().filter(|operation| !operation.changes() && !NO_STATE.contains(&operation.path.as_str()) && values::lacking(operation).is_empty());
    let asked = reading.filter_map(|operation| {
        let ways = operation.ways.as_ref().ok()?;
        let names_tenant = || operation.parameters.iter().any(|one| one.place == Place::Path && values::in_path(&operation.path, &one.name) == Some(Thing::Tenant));
        let who = match (may(ways, &itself), may(ways, &Who::Operator)) {
            (true, _) => tenant.as_itself(),
            (false, true) if names_tenant() => client.as_operator(),
            _ if may(ways, &somebody) => tenant.keeper()?.session.clone(),
            _ => return None,
        };
        // Where there is none of a thing, there is nothing to be changed.
        let request = request(client, operation, tenant, &ids_of(operation, tenant).ok()?, false).ok()?;
        Some(async move {
            let answer = client.call(&who, &request).await?;
            let mut said = answer.json();
            forget_volatile(&mut said);
            anyhow::Ok((operation.name(), json!({ "status": answer.status, "body": said })))
        })
    });
    Ok(futures::future::try_join_all(asked).await?.into_iter().collect())
}

fn forget_volatile(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(forget_volatile),
        Value::Object(members) => {
            members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            members.values_mut().for_each(forget_volatile);
        }
        _ => {}
    }
}

/// The routes whose answers are not what they were.
pub(super) fn changed(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    after.iter().filter(|(route, said)| before.get(*route) != Some(said)).map(|(route, _)| route.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_changed_is_told_by_route_and_what_changes_by_itself_is_not() {
        let read = |name: &str, took: u64| {
            let mut said = json!({ "keys": [{ "name": name, "last_used_at": took }], "took_ms": took });
            forget_volatile(&mut said);
            BTreeMap::from([("GET /v1/keys".to_owned(), said), ("GET /v1/logs".to_owned(), json!(1))])
        };
        assert_eq!(changed(&read("one", 1), &read("one", 2)), Vec::<String>::new());
        assert_eq!(changed(&read("one", 1), &read("two", 1)), ["GET /v1/keys"]);
    }
}
