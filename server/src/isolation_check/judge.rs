//! The judgement: what must happen to a caller, by what the document says of the route, and whether it did. Knows nothing of HTTP calls.

use super::callers::{Person, Side, Who};
use super::document::{Operation, Way};

/// Whose ids and words a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The caller's own; those of the first tenant where the caller is no tenant.
    Own,
    /// Those of another tenant, in the path.
    ForeignPath,
    /// Those of another tenant, elsewhere: what is asked for may be there, but nothing of the other.
    ForeignElsewhere,
}

/// What must happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// One of these, and nothing that tells of anybody.
    Refused(&'static [u16]),
    /// One of these.
    Answered(&'static [u16]),
    /// Anything but a refusal for who it is.
    LetIn,
    /// Whatever it is, it tells of nobody else.
    NothingForeign,
}

/// Refused for who it is.
const NOT_LET_IN: [u16; 2] = [401, 403];

/// Routes that a suspended tenant is kept out of, whatever its keys may: it reads, and has nothing stored.
const CLOSED_TO_SUSPENDED: &[&str] = &["POST /logs", "POST /v1/logs", "POST /v1/dead-letters/redrive", "POST /v1/dead-letters/{id}/redrive"];

/// Routes that give a role, which nobody does without holding what it may: here that of a viewer.
const GIVES_A_ROLE: &[&str] = &["POST /v1/tenants/{id}/invitations", "PATCH /v1/tenants/{id}/members/{user_id}"];
const OF_A_VIEWER: &str = "logs:read";

/// A route that asks of nobody who they are: what must come of it, by what is sent.
struct Open {
    route: &'static str,
    /// Of what is somebody's own to send.
    own: &'static [u16],
    /// Of the same, by somebody who is logged in.
    signed_in: &'static [u16],
    /// Where one thing in it is another tenant's. Whatever it is, it tells of nobody but whose the rest is.
    foreign: &'static [u16],
}

/// All of them: one that is not here is a finding.
const OPEN: &[Open] = &[
    // With one's own password; another's address with it is a wrong login.
    Open { route: "POST /v1/login", own: &[200], signed_in: &[200], foreign: &[200, 401] },
    // The same for whomever, so that it tells of nobody whether they are there.
    Open { route: "POST /v1/password-resets", own: &[202], signed_in: &[202], foreign: &[202] },
    // By the token alone.
    Open { route: "POST /v1/password-resets/redeem", own: &[204], signed_in: &[204], foreign: &[204, 404] },
    // By the token; whoever is logged in accepts what is for their own address only.
    Open { route: "POST /v1/invitations/accept", own: &[201], signed_in: &[403], foreign: &[201, 403, 404] },
];

/// Whether it is said what must come of a route that is open to everybody.
pub(super) fn is_judged(operation: &Operation, ways: &[Way]) -> bool {
    !is_open(ways) || open(operation).is_some()
}

pub(super) fn is_open(ways: &[Way]) -> bool {
    ways.contains(&Way::Anyone)
}

fn open(operation: &Operation) -> Option<&'static Open> {
    OPEN.iter().find(|open| open.route == operation.name())
}

/// Whether the path says which tenant is meant: it does so before any header.
fn names_tenant(operation: &Operation) -> bool {
    operation.path.starts_with("/v1/tenants/{id}")
}

/// What must happen to a caller.
pub(super) fn expected(operation: &Operation, ways: &[Way], who: &Who, whose: Whose) -> Expected {
    match who {
        _ if is_open(ways) => open(operation).map_or(Expected::NothingForeign, |open| {
            Expected::Answered(match (whose, who) {
                (Whose::Own, Who::Person(_)) => open.signed_in,
                (Whose::Own, _) => open.own,
                _ => open.foreign,
            })
        }),
        Who::Nobody => Expected::Refused(&[401]),
        Who::Operator if ways.contains(&Way::Operator) => Expected::LetIn,
        Who::Operator => Expected::Refused(&[401, 403]),
        Who::Tenant { .. } if !ways.iter().any(|way| matches!(way, Way::Scopes(_))) => Expected::Refused(&[401, 403, 404]),
        Who::Person(_) if !ways.iter().any(|way| matches!(way, Way::Session { .. })) => Expected::Refused(&[401, 403, 404]),
        Who::Person(person) if !person.has_token && operation.changes() => Expected::Refused(&[403]),
        Who::Person(person) if person.names_other && !names_tenant(operation) && !ways.iter().any(is_about_oneself) => Expected::Refused(&[403]),
        _ if may(ways, who) => match (whose, who.side()) {
            (_, Some(Side::Suspended)) if CLOSED_TO_SUSPENDED.contains(&operation.name().as_str()) => Expected::Refused(&[403]),
            (Whose::ForeignPath, _) => Expected::Refused(&[403, 404]),
            _ if GIVES_A_ROLE.contains(&operation.name().as_str()) && !holds(who, OF_A_VIEWER) => Expected::Refused(&[403]),
            (Whose::ForeignElsewhere, _) => Expected::NothingForeign,
            (Whose::Own, _) => Expected::LetIn,
        },
        _ => Expected::Refused(&[403, 404]),
    }
}

fn holds(who: &Who, scope: &str) -> bool {
    match who {
        Who::Tenant { scopes, .. } | Who::Person(Person { scopes, .. }) => scopes.iter().any(|held| held == scope),
        Who::Operator => true,
        Who::Nobody => false,
    }
}

/// What a person does with their own account, in whatever tenant.
pub(super) fn is_about_oneself(way: &Way) -> bool {
    matches!(way, Way::Session { scopes, .. } if scopes.is_empty())
}

/// Whether the document lets a caller in.
pub(super) fn may(ways: &[Way], who: &Who) -> bool {
    ways.iter().any(|way| match (way, who) {
        (Way::Anyone, _) | (Way::Operator, Who::Operator) => true,
        (Way::Scopes(asked), Who::Tenant { scopes, .. }) => asked.iter().all(|scope| scopes.contains(scope)),
        (Way::Session { csrf: true, .. }, Who::Person(person)) if !person.has_token => false,
        (Way::Session { scopes: asked, .. }, Who::Person(person)) => asked.iter().all(|scope| person.scopes.contains(scope)),
        _ => false,
    })
}

/// What is wrong with an answer; `None` where nothing is. `told` are words that the caller must not be told, `sent` what the request itself held: an
/// answer that repeats it tells nothing.
pub(super) fn fault(expected: Expected, status: u16, answer: &str, told: &[String], sent: &[String]) -> Option<String> {
    let was_sent = |word: &&String| sent.iter().any(|text| text.contains(word.as_str()));
    if let Some(word) = told.iter().filter(|word| !was_sent(word)).find(|word| answer.contains(word.as_str())) {
        return Some(format!("answered {status}, and told of another tenant: `{word}`"));
    }
    match expected {
        _ if status >= 500 => Some(format!("answered {status}: nothing is known of what it would show")),
        Expected::Refused(statuses) if !statuses.contains(&status) => Some(format!("must be refused ({}), and was answered {status}", list(statuses))),
        Expected::Answered(statuses) if !statuses.contains(&status) => Some(format!("must be answered {}, and was answered {status}", list(statuses))),
        Expected::LetIn if NOT_LET_IN.contains(&status) => Some(format!("may, as the document says, and was refused: {status}")),
        _ => None,
    }
}

fn list(statuses: &[u16]) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str) -> Operation {
        let (method, path) = name.split_once(' ').expect("two words");
        Operation { method: method.parse().expect("a method"), path: path.to_owned(), parameters: Vec::new(), body: None, ways: Ok(Vec::new()) }
    }

    fn key(of: Side, scopes: &[&str]) -> Who {
        Who::Tenant { of, scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect() }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn person(of: Option<Side>, scopes: &[&str]) -> Person {
        Person { of, scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), has_token: true, names_other: false, is_guest: false }
    }

    const READ: &str = "logs:read";

    #[test]
    fn each_kind_of_caller_is_expected_where_the_document_lets_it_in_and_nowhere_else() {
        let route = operation("GET /v1/things/{id}");
        let of_key = [Way::Scopes(words(&[READ]))];
        let of_operator = [Way::Operator];
        let expect = |ways: &[Way], who: &Who, whose| expected(&route, ways, who, whose);
        assert_eq!(expect(&of_key, &Who::Nobody, Whose::Own), Expected::Refused(&[401]));
        assert_eq!(expect(&of_key, &Who::Operator, Whose::Own), Expected::Refused(&[401, 403]));
        assert_eq!(expect(&of_key, &key(Side::B, &[READ]), Whose::Own), Expected::LetIn);
        assert_eq!(expect(&of_key, &key(Side::B, &["logs:write"]), Whose::Own), Expected::Refused(&[403, 404]));
        assert_eq!(expect(&of_key, &key(Side::B, &[READ]), Whose::ForeignPath), Expected::Refused(&[403, 404]));
        assert_eq!(expect(&of_key, &key(Side::B, &[READ]), Whose::ForeignElsewhere), Expected::NothingForeign);
        assert_eq!(expect(&of_operator, &key(Side::B, &[READ]), Whose::Own), Expected::Refused(&[401, 403, 404]));
        assert_eq!(expect(&of_operator, &Who::Operator, Whose::Own), Expected::LetIn);
        assert_eq!(expect(&[Way::Anyone], &Who::Nobody, Whose::Own), Expected::NothingForeign);
        let both = [Way::Scopes(words(&[READ, "tenant:admin"]))];
        assert!(!may(&both, &key(Side::B, &[READ])) && may(&both, &key(Side::B, &["tenant:admin", READ])), "all scopes of one way are asked for");
    }

    #[test]
    fn a_person_is_let_in_by_role_token_and_tenant_and_to_what_is_theirs() {
        let (read, of_path) = (operation("GET /v1/things/{id}"), operation("PATCH /v1/tenants/{id}/things"));
        let session = |scopes: &[&str], csrf| [Way::Session { scopes: words(scopes), csrf }];
        let viewer = Who::Person(person(Some(Side::B), &[READ]));
        assert_eq!(expected(&read, &session(&[READ], false), &viewer, Whose::Own), Expected::LetIn);
        assert_eq!(expected(&read, &session(&[READ], false), &viewer, Whose::ForeignPath), Expected::Refused(&[403, 404]));
        assert_eq!(expected(&read, &session(&["tenant:admin"], false), &viewer, Whose::Own), Expected::Refused(&[403, 404]));
        assert_eq!(expected(&read, &[Way::Scopes(words(&[READ]))], &viewer, Whose::Own), Expected::Refused(&[401, 403, 404]), "a key's route");
        assert_eq!(expected(&read, &session(&[], false), &key(Side::B, &[READ]), Whose::Own), Expected::Refused(&[401, 403, 404]), "a person's route");
        let alone = Who::Person(person(None, &[]));
        assert_eq!(expected(&read, &session(&[READ], false), &alone, Whose::Own), Expected::Refused(&[403, 404]));
        assert_eq!(expected(&read, &session(&[], false), &alone, Whose::Own), Expected::LetIn, "their own account");

        let lured = Who::Person(Person { has_token: false, ..person(Some(Side::B), &[READ]) });
        assert_eq!(expected(&read, &session(&[READ], false), &lured, Whose::Own), Expected::LetIn, "a read changes nothing");
        assert_eq!(expected(&of_path, &session(&[READ], true), &lured, Whose::Own), Expected::Refused(&[403]));
        let stray = Who::Person(Person { names_other: true, ..person(Some(Side::B), &[READ]) });
        assert_eq!(expected(&read, &session(&[READ], false), &stray, Whose::Own), Expected::Refused(&[403]));
        assert_eq!(expected(&of_path, &session(&[READ], true), &stray, Whose::Own), Expected::LetIn, "the path goes before the header");
        assert_eq!(expected(&of_path, &session(&[READ], true), &stray, Whose::ForeignPath), Expected::Refused(&[403, 404]));
    }

    #[test]
    fn nobody_gives_a_role_that_may_what_they_may_not() {
        let (invite, ways) = (operation("POST /v1/tenants/{id}/invitations"), [Way::Scopes(words(&["tenant:admin"]))]);
        assert_eq!(expected(&invite, &ways, &key(Side::B, &["tenant:admin"]), Whose::Own), Expected::Refused(&[403]));
        assert_eq!(expected(&invite, &ways, &key(Side::B, &["tenant:admin", READ]), Whose::Own), Expected::LetIn);
    }

    #[test]
    fn an_open_route_answers_what_is_said_of_it_and_one_of_which_nothing_is_said_is_told() {
        let (login, unknown, ways) = (operation("POST /v1/login"), operation("POST /v1/things"), [Way::Anyone]);
        assert!(is_judged(&login, &ways) && !is_judged(&unknown, &ways) && is_judged(&unknown, &[Way::Operator]));
        let own = expected(&login, &ways, &Who::Nobody, Whose::Own);
        assert!(fault(own, 200, "", &[], &[]).is_none() && fault(own, 401, "", &[], &[]).is_some());
        let with_others_address = expected(&login, &ways, &key(Side::B, &[READ]), Whose::ForeignElsewhere);
        assert!(fault(with_others_address, 401, "", &[], &[]).is_none());
        assert!(fault(with_others_address, 200, "isolation_a_1", &words(&["isolation_a_1"]), &[]).is_some(), "it let somebody in as another");
        let accept = expected(&operation("POST /v1/invitations/accept"), &ways, &Who::Person(person(Some(Side::B), &[])), Whose::Own);
        assert!(fault(accept, 200, "", &[], &[]).is_some(), "an invitation of somebody else");
    }

    #[test]
    fn a_suspended_tenant_reads_and_does_not_send() {
        let ways = [Way::Scopes(words(&["logs:write"]))];
        let suspended = key(Side::Suspended, &["logs:write"]);
        assert_eq!(expected(&operation("POST /v1/logs"), &ways, &suspended, Whose::Own), Expected::Refused(&[403]));
        assert_eq!(expected(&operation("GET /v1/batches/{batch_id}"), &ways, &suspended, Whose::Own), Expected::LetIn);
    }

    #[test]
    fn a_route_that_tells_of_another_tenant_is_at_fault_whatever_it_answers() {
        let told = words(&["secretword", "isolation_a_1"]);
        for expected in [Expected::LetIn, Expected::NothingForeign, Expected::Refused(&[404])] {
            let fault = fault(expected, 404, r#"{"detail":"the log secretword is not yours"}"#, &told, &[]);
            assert!(fault.is_some_and(|why| why.contains("secretword")), "{expected:?}");
        }
        assert_eq!(fault(Expected::NothingForeign, 200, r#"{"logs":[]}"#, &told, &[]), None);
    }

    #[test]
    fn what_the_request_said_itself_may_be_repeated_and_nothing_beside_it() {
        let told = words(&["isolation_a_1", "secretword"]);
        let sent = words(&["isolation_a_1"]);
        assert_eq!(fault(Expected::NothingForeign, 422, "there is no tenant isolation_a_1", &told, &sent), None);
        assert!(fault(Expected::NothingForeign, 200, "isolation_a_1 says secretword", &told, &sent).is_some());
    }

    #[test]
    fn a_route_without_a_check_is_at_fault_for_each_who_must_be_refused() {
        let route = operation("GET /v1/things/{id}");
        let ways = [Way::Scopes(words(&[READ]))];
        for (who, whose) in [
            (Who::Nobody, Whose::Own),
            (Who::Operator, Whose::Own),
            (key(Side::A, &["logs:write"]), Whose::Own),
            (key(Side::B, &["logs:write"]), Whose::Own),
            (key(Side::B, &[READ]), Whose::ForeignPath),
        ] {
            let expected = expected(&route, &ways, &who, whose);
            assert!(fault(expected, 200, "{}", &[], &[]).is_some(), "{who:?} {whose:?}");
            assert!(fault(expected, 204, "", &[], &[]).is_some(), "{who:?} {whose:?}");
        }
        assert!(fault(Expected::LetIn, 403, "", &[], &[]).is_some(), "who may is let in");
        assert!(fault(Expected::NothingForeign, 500, "", &[], &[]).is_some(), "trouble hides what would be shown");
    }
}
