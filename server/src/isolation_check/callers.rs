//! Every kind of caller. A new kind gets its line in [`table`]: what it sends, and whom it stands for.

use shared::grant::Scope;
use shared::ids::ApiKey;

use super::plant::Planted;

/// The throw-away tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Whose things nobody else may see or change.
    A,
    /// Its neighbour.
    B,
    /// One that may read, and not send.
    Suspended,
    /// One that is being deleted: its keys open nothing.
    Deleted,
}

/// Whom a caller stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// Nobody that the hub lets in.
    Nobody,
    /// A tenant, with these scopes.
    Tenant { of: Side, scopes: Vec<String> },
    /// The operator.
    Operator,
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: String,
    /// What it sends to say who it is.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) who: Who,
    /// Whether each parameter is tried by it one by one: for the one caller of a tenant that may most.
    pub(super) is_thorough: bool,
}

/// The scopes of a key that may all.
pub(super) fn all_scopes() -> Vec<String> {
    Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect()
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {token}"))]
}

/// All callers.
pub(super) fn table(planted: &Planted, operator: &str) -> Vec<Caller> {
    let nobody = |name: &str, headers| Caller { name: name.to_owned(), headers, who: Who::Nobody, is_thorough: false };
    let a = planted.of(Side::A);
    let wrong: String = operator.chars().rev().chain(['x']).collect();
    let mut all = vec![
        nobody("nobody", Vec::new()),
        nobody("a malformed key", bearer("lh_live_not-a-key")),
        nobody("an unknown key", bearer(ApiKey::generate().reveal())),
        nobody("a revoked key of A", bearer(&a.revoked)),
        nobody("an expired key of A", bearer(&a.expired)),
        nobody("a key of a deleted tenant", bearer(&planted.of(Side::Deleted).key)),
        nobody("a wrong operator's token", bearer(&wrong)),
    ];
    for side in [Side::A, Side::B] {
        for (scope, key) in &planted.of(side).single {
            let who = Who::Tenant { of: side, scopes: vec![scope.clone()] };
            all.push(Caller { name: format!("{side:?} {scope}"), headers: bearer(key), who, is_thorough: false });
        }
    }
    let may_all = |name: &str, side: Side, headers, is_thorough| Caller { name: name.to_owned(), headers, who: Who::Tenant { of: side, scopes: all_scopes() }, is_thorough };
    all.push(may_all("A all scopes", Side::A, bearer(&a.key), false));
    all.push(may_all("B all scopes", Side::B, bearer(&planted.of(Side::B).key), true));
    all.push(may_all("B all scopes, X-API-Key", Side::B, vec![("x-api-key", planted.of(Side::B).key.clone())], false));
    all.push(may_all("a suspended tenant", Side::Suspended, bearer(&planted.of(Side::Suspended).key), false));
    let operator_by = |name: &str, headers| Caller { name: name.to_owned(), headers, who: Who::Operator, is_thorough: false };
    all.push(operator_by("operator", bearer(operator)));
    all.push(operator_by("operator, X-Operator-Token", vec![("x-operator-token", operator.to_owned())]));
    all
}
