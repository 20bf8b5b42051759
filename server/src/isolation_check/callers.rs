//! Every kind of caller. A new kind gets its line in [`table`]: what it sends, and whom it stands for.

use shared::grant::Scope;
use shared::ids::ApiKey;
use shared::people::Role;

use super::people::{Account, ROLES};
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
    /// A tenant by a key with these scopes.
    Tenant { of: Side, scopes: Vec<String> },
    /// Somebody who is logged in.
    Person(Person),
    /// The operator.
    Operator,
}

/// Somebody who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// Their only tenant, if they have one; that which they name, if they have two.
    pub(super) of: Option<Side>,
    /// What their role may there.
    pub(super) scopes: Vec<String>,
    /// Whether they send the token that says that no page of another asks.
    pub(super) has_token: bool,
    /// Whether they name the other tenant in `X-Tenant`.
    pub(super) names_other: bool,
    /// Whether they belong to the other tenant, too, where they may only read logs.
    pub(super) is_guest: bool,
}

impl Who {
    /// Whose they are.
    pub(super) fn side(&self) -> Option<Side> {
        match self {
            Self::Tenant { of, .. } => Some(*of),
            Self::Person(person) => person.of,
            Self::Nobody | Self::Operator => None,
        }
    }
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
    /// Whether it tries routes that are open to everybody: those cannot tell callers apart, and are limited by address.
    pub(super) tries_open: bool,
    /// Who logs in again for what ends a session.
    pub(super) account: Option<Account>,
}

impl Caller {
    fn new(name: &str, headers: Vec<(&'static str, String)>, who: Who) -> Self {
        Self { name: name.to_owned(), headers, who, is_thorough: false, tries_open: false, account: None }
    }

    /// What it sends with another session.
    pub(super) fn headers_of(&self, session: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        let said = self.headers.iter().map(|(name, value)| (*name, session.iter().find(|(known, _)| known == name).map_or(value, |(_, new)| new).clone()));
        said.collect()
    }
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
    let nobody = |name: &str, headers| Caller::new(name, headers, Who::Nobody);
    let (a, b) = (planted.of(Side::A), planted.of(Side::B));
    let wrong: String = operator.chars().rev().chain(['x']).collect();
    let mut all = vec![
        Caller { tries_open: true, ..nobody("nobody", Vec::new()) },
        nobody("a malformed key", bearer("lh_live_not-a-key")),
        nobody("an unknown key", bearer(ApiKey::generate().reveal())),
        nobody("a revoked key of A", bearer(&a.revoked)),
        nobody("an expired key of A", bearer(&a.expired)),
        nobody("a key of a deleted tenant", bearer(&planted.of(Side::Deleted).key)),
        nobody("a wrong operator's token", bearer(&wrong)),
        nobody("an ended session of A", a.ended.clone()),
    ];
    for side in [Side::A, Side::B] {
        for (scope, key) in &planted.of(side).single {
            all.push(Caller::new(&format!("{side:?} {scope}"), bearer(key), Who::Tenant { of: side, scopes: vec![scope.clone()] }));
        }
    }
    let may_all = |name: &str, side: Side, headers| Caller::new(name, headers, Who::Tenant { of: side, scopes: all_scopes() });
    all.push(Caller { tries_open: true, ..may_all("A all scopes", Side::A, bearer(&a.key)) });
    all.push(Caller { tries_open: true, is_thorough: true, ..may_all("B all scopes", Side::B, bearer(&b.key)) });
    all.push(may_all("B all scopes, X-API-Key", Side::B, vec![("x-api-key", b.key.clone())]));
    all.push(may_all("a suspended tenant", Side::Suspended, bearer(&planted.of(Side::Suspended).key)));
    all.extend(people(planted));
    let operator_by = |name: &str, headers| Caller::new(name, headers, Who::Operator);
    all.push(Caller { tries_open: true, ..operator_by("operator", bearer(operator)) });
    all.push(operator_by("operator, X-Operator-Token", vec![("x-operator-token", operator.to_owned())]));
    all
}

/// Everybody who is logged in.
fn people(planted: &Planted) -> Vec<Caller> {
    let scopes_of = |role: Role| role.scopes().iter().map(|scope| scope.as_str().to_owned()).collect();
    let person = |name: &str, account: &Account, of: Option<Side>, scopes: Vec<String>| {
        let who = Who::Person(Person { of, scopes, has_token: true, names_other: false, is_guest: false });
        Caller { account: Some(account.clone()), ..Caller::new(name, account.session.clone(), who) }
    };
    let of_role = |side: Side, role: Role| person(&format!("{side:?} {}", role.as_str()), planted.of(side).person(role), Some(side), scopes_of(role));
    let mut all: Vec<Caller> = [Side::A, Side::B].into_iter().flat_map(|side| ROLES.map(|role| of_role(side, role))).collect();
    let owner = of_role(Side::B, Role::Owner);
    let Who::Person(person_of_b) = &owner.who else { return all };
    let without_token = Person { has_token: false, ..person_of_b.clone() };
    let headers = owner.headers.iter().filter(|(name, _)| *name == "cookie").cloned().collect();
    all.push(Caller { account: owner.account.clone(), ..Caller::new("B owner without X-CSRF-Token", headers, Who::Person(without_token)) });
    let stray = Person { names_other: true, ..person_of_b.clone() };
    let headers = owner.headers.iter().cloned().chain([("x-tenant", planted.of(Side::A).id.clone())]).collect();
    all.push(Caller { account: owner.account.clone(), ..Caller::new("B owner, X-Tenant: A", headers, Who::Person(stray)) });
    if let Some(guest) = &planted.guest {
        let who = Who::Person(Person { is_guest: true, ..person_of_b.clone() });
        let headers = guest.session.iter().cloned().chain([("x-tenant", planted.of(Side::B).id.clone())]).collect();
        all.push(Caller { account: Some(guest.clone()), ..Caller::new("B owner, viewer of A, X-Tenant: B", headers, who) });
    }
    all.iter_mut().filter(|caller| caller.name == "B owner").for_each(|caller| caller.tries_open = true);
    all.push(of_role(Side::Suspended, Role::Owner));
    all.push(person("an owner of a deleted tenant", planted.of(Side::Deleted).person(Role::Owner), None, Vec::new()));
    all
}
