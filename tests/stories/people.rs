//! The life of people in tenants: invited, logged in, given and taken roles, gone.

use std::time::Duration;

use redis::streams::StreamRangeReply;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Caller, PASSWORD_WORD, SOON, Seen, Sending, World, eventually, plain, story, texts};

/// Within this a change of what somebody may do counts everywhere.
const EVERYWHERE: Duration = Duration::from_secs(10);
pub(crate) const COOKIE: &str = "__Host-lh_session";

/// Somebody's password in these stories.
pub(crate) fn password(of: &str) -> String {
    format!("{PASSWORD_WORD} of {of}")
}

/// What the stream holds of events with a secret, the latest last.
pub(crate) async fn mailed(world: &World, kind: &str, email: &str) -> Value {
    let look = async || -> Result<Value, Seen> {
        let reply: StreamRangeReply = redis::cmd("XRANGE").arg(world.redis_key("events")).arg("-").arg("+").query_async(&mut world.redis().await).await.expect("Redis answers");
        let events = reply.ids.iter().map(|entry| serde_json::from_str::<Value>(&entry.get::<String>("event").expect("an event")).expect("JSON"));
        let mut of_email = events.filter(|event| event["type"] == kind && event["data"]["email"] == email);
        of_email.next_back().ok_or_else(|| format!("no {kind} for {email}"))
    };
    eventually(SOON, "the mail is told", look).await
}

/// The token of the latest mail of this kind.
pub(crate) async fn mailed_token(world: &World, kind: &str, email: &str) -> String {
    mailed(world, kind, email).await["data"]["token"].as_str().expect("a token").to_owned()
}

/// The value of the session's cookie that an answer sets.
#[track_caller]
pub(crate) fn cookie_of(answer: &Answer) -> String {
    let line = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    let (pair, _) = line.split_once(';').expect("attributes");
    pair.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('=')).unwrap_or_else(|| panic!("another cookie: {line}")).to_owned()
}

/// Whoever an answer logged in.
#[track_caller]
pub(crate) fn signed_in(caller: &Caller, answer: &Answer) -> Caller {
    let me = answer.ok(200);
    caller.with("cookie", &format!("{COOKIE}={}", cookie_of(answer))).with("x-csrf-token", me["csrf_token"].as_str().expect("a token"))
}

pub(crate) async fn try_log_in(caller: &Caller, email: &str, password: &str) -> Answer {
    caller.post("/v1/login", &json!({ "email": email, "password": password })).await
}

pub(crate) async fn log_in(world: &World, email: &str) -> Caller {
    let anyone = world.anyone();
    signed_in(&anyone, &try_log_in(&anyone, email, &password(email)).await)
}

/// Makes somebody a member of a tenant, invited by the operator, and logs them in.
pub(crate) async fn member(world: &World, tenant: &str, email: &str, role: &str) -> Caller {
    let invited = world.operator().post(&format!("/v1/tenants/{tenant}/invitations"), &json!({ "email": email, "role": role })).await.ok(201);
    let acceptance = json!({ "token": invited["token"], "name": format!("The {role}"), "password": password(email) });
    world.anyone().post("/v1/invitations/accept", &acceptance).await.ok(201);
    log_in(world, email).await.of(tenant)
}

pub(crate) async fn user_id(caller: &Caller) -> String {
    caller.get("/v1/me", &[]).await.ok(200)["user"]["id"].as_str().expect("an id").to_owned()
}

/// Waits until a door answers so.
async fn until(status: u16, what: &str, knock: impl AsyncFn() -> Answer) -> Answer {
    let look = async || -> Result<Answer, Seen> {
        let answer = knock().await;
        if answer.status == status { Ok(answer) } else { Err(format!("{}: {}", answer.status, answer.text)) }
    };
    eventually(EVERYWHERE, what, look).await
}

#[test]
fn the_operator_invites_an_owner_who_does_the_rest() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[plain("seen by a person")]).await;
        let invited = world.operator().post("/v1/tenants/acme/invitations", &json!({ "email": " Olivia@Example.com ", "role": "owner" })).await.ok(201);
        assert_eq!((&invited["email"], &invited["role"]), (&json!("Olivia@Example.com"), &json!("owner")), "{invited}");
        let token = mailed_token(world, "io.loggerhub.invitation.created.v1", "Olivia@Example.com").await;
        assert_eq!(invited["token"], json!(token), "the operator, who reads the events, is told the token");

        let anyone = world.anyone();
        let acceptance = json!({ "token": token, "name": "Olivia", "password": password("olivia@example.com") });
        let accepted = anyone.post("/v1/invitations/accept", &acceptance).await.ok(201);
        assert_eq!((&accepted["tenant"], &accepted["tenant_name"], &accepted["role"]), (&json!("acme"), &json!("Tenant acme"), &json!("owner")), "{accepted}");
        anyone.post("/v1/invitations/accept", &acceptance).await.problem(404, "not_found");

        let owner = log_in(world, "olivia@example.com").await;
        let me = owner.get("/v1/me", &[]).await.ok(200);
        assert_eq!((&me["user"]["email"], &me["user"]["name"]), (&json!("Olivia@Example.com"), &json!("Olivia")), "{me}");
        let scopes = json!(["logs:read", "logs:write", "keys:manage", "billing:read", "tenant:admin"]);
        assert_eq!(me["memberships"], json!([{ "tenant": "acme", "tenant_name": "Tenant acme", "status": "active", "role": "owner", "scopes": scopes }]), "{me}");
        assert_eq!(owner.patch("/v1/me", &json!({ "name": " Olivia O. " })).await.ok(200)["user"]["name"], "Olivia O.");

        // The session opens what a key opens, and nobody says which of the two it was.
        assert_eq!(texts(&owner.search("person").await, "message"), ["seen by a person"]);
        assert_eq!(texts(&owner.list(&[]).await, "message"), texts(&acme.list(&[]).await, "message"));
        let id = owner.list(&[]).await["logs"][0]["id"].as_str().expect("an id").to_owned();
        assert_eq!(owner.detail(&id).await["message"], "seen by a person");
        assert_eq!(owner.get("/v1/export", &[]).await.text.lines().count(), 1);
        let made = owner.post("/v1/tenants/acme/keys", &json!({ "name": "by Olivia", "scopes": ["logs:write", "tenant:admin"] })).await.ok(201);
        world.anyone().of("acme").bearing(made["key"].as_str().expect("a key")).accepted(&[plain("by her key")]).await;
        owner.post("/v1/saved-searches", &json!({ "name": "hers", "q": "person" })).await.ok(201);

        let trail = owner.get("/v1/audit", &[]).await.ok(200);
        let by_her: Vec<&Value> = trail["entries"].as_array().expect("entries").iter().filter(|entry| entry["actor"] == "user").collect();
        let actions: Vec<&str> = by_her.iter().filter_map(|entry| entry["action"].as_str()).collect();
        assert_eq!(actions, ["saved_search.created", "apikey.created", "user.renamed", "user.logged_in", "member.added"], "{trail}");
        for entry in by_her {
            assert_eq!((&entry["user_id"], &entry["key_id"], &entry["address"]), (&me["user"]["id"], &Value::Null, &json!("127.0.0.1")), "{entry}");
        }
        for secret in [&token, &password("olivia@example.com")] {
            assert!(!trail.to_string().contains(secret.as_str()), "no secret is in the trail");
        }
    });
}

#[test]
fn a_role_opens_its_own_doors_and_counts_everywhere_at_once_when_it_changes() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[plain("a line")]).await;
        let owner = member(world, "acme", "owner@example.com", "owner").await;
        // Invited by the owner, who is not told the token.
        let invited = owner.post("/v1/tenants/acme/invitations", &json!({ "email": "vera@example.com", "role": "viewer" })).await.ok(201);
        assert!(invited.get("token").is_none(), "{invited}");
        let token = mailed_token(world, "io.loggerhub.invitation.created.v1", "vera@example.com").await;
        let acceptance = json!({ "token": token, "name": "Vera", "password": password("vera@example.com") });
        world.anyone().post("/v1/invitations/accept", &acceptance).await.ok(201);
        let vera = log_in(world, "vera@example.com").await;
        let id = user_id(&vera).await;

        let letter = format!("/v1/dead-letters/{}", uuid::Uuid::now_v7());
        let doors = async |who: &Caller| {
            vec![
                ("read", who.get("/v1/logs", &[]).await.status),
                ("redrive", who.post(&format!("{letter}/redrive"), &json!({})).await.status),
                ("keys", who.get("/v1/tenants/acme/keys", &[]).await.status),
                ("audit", who.get("/v1/audit", &[]).await.status),
                ("discard", who.delete(&letter).await.status),
                ("members", who.get("/v1/tenants/acme/members", &[]).await.status),
                ("invite", who.post("/v1/tenants/acme/invitations", &json!({ "email": "x@example.com", "role": "viewer" })).await.status),
            ]
        };
        let statuses = |statuses: [u16; 7]| ["read", "redrive", "keys", "audit", "discard", "members", "invite"].into_iter().zip(statuses).collect::<Vec<_>>();
        assert_eq!(doors(&vera).await, statuses([200, 403, 403, 403, 403, 403, 403]));
        vera.get("/v1/tenants/acme/keys", &[]).await.problem(403, "missing_scope");
        assert_eq!(doors(&owner).await, statuses([200, 404, 200, 200, 404, 200, 201]));

        let members = owner.get("/v1/tenants/acme/members", &[]).await.ok(200);
        let listed: Vec<(&str, &str)> =
            members["members"].as_array().expect("members").iter().map(|one| (one["email"].as_str().expect("an address"), one["role"].as_str().expect("a role"))).collect();
        assert_eq!(listed, [("owner@example.com", "owner"), ("vera@example.com", "viewer")]);

        // Another process believed what it knew for some seconds.
        let other = world.another_hub(&[]).await;
        let there = vera.at(&other);
        assert_eq!(there.get("/v1/audit", &[]).await.status, 403);
        let path = format!("/v1/tenants/acme/members/{id}");
        assert_eq!(owner.patch(&path, &json!({ "role": "member" })).await.ok(200)["role"], "member");
        until(404, "a member redrives here", async || vera.post(&format!("{letter}/redrive"), &json!({})).await).await;
        until(404, "and there", async || there.post(&format!("{letter}/redrive"), &json!({})).await).await;
        owner.patch(&path, &json!({ "role": "admin" })).await.ok(200);
        until(200, "an admin reads the trail there", async || there.get("/v1/audit", &[]).await).await;
        owner.patch(&path, &json!({ "role": "viewer" })).await.ok(200);
        until(403, "a viewer does not", async || there.get("/v1/audit", &[]).await).await;

        owner.delete(&path).await.empty(204);
        until(403, "who is removed reads nothing here", async || vera.get("/v1/logs", &[]).await).await.problem(403, "not_a_member");
        until(403, "nor there", async || there.get("/v1/logs", &[]).await).await.problem(403, "not_a_member");
        assert_eq!(vera.get("/v1/me", &[]).await.ok(200)["memberships"], json!([]));
        owner.delete(&path).await.problem(404, "not_found");
    });
}

#[test]
fn nobody_gives_a_role_above_their_own_and_the_last_owner_stays() {
    story(async |world| {
        world.tenant("acme").await;
        let owner = member(world, "acme", "owner@example.com", "owner").await;
        let admin = member(world, "acme", "admin@example.com", "admin").await;
        let (owner_id, admin_id) = (user_id(&owner).await, user_id(&admin).await);
        let path = |id: &str| format!("/v1/tenants/acme/members/{id}");
        let invite = |role: &str| json!({ "email": "new@example.com", "role": role });

        admin.post("/v1/tenants/acme/invitations", &invite("owner")).await.problem(403, "role_not_held");
        admin.patch(&path(&admin_id), &json!({ "role": "owner" })).await.problem(403, "role_not_held");
        admin.patch(&path(&owner_id), &json!({ "role": "viewer" })).await.problem(403, "role_not_held");
        admin.delete(&path(&owner_id)).await.problem(403, "role_not_held");
        // A key is no owner, and gives nothing that it does not hold.
        let key = world.key_of("acme", &["tenant:admin"]).await;
        key.post("/v1/tenants/acme/invitations", &invite("admin")).await.problem(403, "role_not_held");
        key.post("/v1/tenants/acme/invitations", &invite("viewer")).await.problem(403, "role_not_held");
        let key = world.key_of("acme", &["tenant:admin", "logs:read", "logs:write", "keys:manage", "billing:read"]).await;
        key.post("/v1/tenants/acme/invitations", &invite("owner")).await.problem(403, "role_not_held");
        key.post("/v1/tenants/acme/invitations", &invite("admin")).await.ok(201);
        key.delete(&path(&owner_id)).await.problem(403, "role_not_held");

        for somebody in [&owner, &world.operator()] {
            somebody.delete(&path(&owner_id)).await.problem(409, "last_owner");
            somebody.patch(&path(&owner_id), &json!({ "role": "admin" })).await.problem(409, "last_owner");
        }
        owner.patch(&path(&owner_id), &json!({ "role": "owner" })).await.ok(200);
        owner.patch(&path(&admin_id), &json!({ "role": "owner" })).await.ok(200);
        // Two owners who make each other go at once: one of them stays.
        let (one, other) = (path(&owner_id), path(&admin_id));
        let gone = tokio::join!(owner.delete(&other), admin.delete(&one));
        let mut statuses = [gone.0.status, gone.1.status];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 204, "{gone:?}");
        assert!([403, 404, 409].contains(&statuses[1]), "{gone:?}");
        assert_eq!(world.control_sql("select 1 from memberships where tenant_id = 'acme' and role = 'owner'").await.len(), 1);

        for (body, field) in [(json!({}), "role"), (json!({ "role": "king" }), "role"), (json!({ "role": 7 }), "role"), (json!({ "role": "viewer", "more": 1 }), "more")] {
            assert_eq!(world.operator().patch(&path(&owner_id), &body).await.fault(422, "invalid_parameter").0, field, "{body}");
        }
    });
}

#[test]
fn an_invitation_is_for_one_address_once_and_until_it_is_taken_back() {
    story(async |world| {
        world.tenant("acme").await;
        world.tenant("globex").await;
        let (operator, anyone) = (world.operator(), world.anyone());
        let invite = async |tenant: &str, email: &str| operator.post(&format!("/v1/tenants/{tenant}/invitations"), &json!({ "email": email, "role": "viewer" })).await;
        let accept = |token: &Value| json!({ "token": token, "name": "N", "password": password("n@example.com") });
        let open = async || operator.get("/v1/tenants/acme/invitations", &[]).await.ok(200)["invitations"].as_array().expect("a list").clone();

        // The second takes the place of the first.
        let (first, second) = (invite("acme", "n@example.com").await.ok(201), invite("acme", "N@example.com").await.ok(201));
        assert_eq!(open().await.iter().map(|one| one["id"].clone()).collect::<Vec<_>>(), [second["id"].clone()]);
        anyone.post("/v1/invitations/accept", &accept(&first["token"])).await.problem(404, "not_found");
        // Taken back.
        let path = |invitation: &Value| format!("/v1/tenants/acme/invitations/{}", invitation["id"].as_str().expect("an id"));
        operator.delete(&path(&second)).await.empty(204);
        operator.delete(&path(&second)).await.problem(404, "not_found");
        anyone.post("/v1/invitations/accept", &accept(&second["token"])).await.problem(404, "not_found");
        // Its time is over.
        let late = invite("acme", "n@example.com").await.ok(201);
        world.control_sql("update invitations set expires_at = now() - interval '1 second' where revoked_at is null").await;
        assert_eq!(open().await.len(), 0);
        anyone.post("/v1/invitations/accept", &accept(&late["token"])).await.problem(404, "not_found");
        // What a new user must give.
        let good = invite("acme", "n@example.com").await.ok(201);
        for (left_out, body) in [("name", json!({ "token": good["token"], "password": password("n") })), ("password", json!({ "token": good["token"], "name": "N" }))] {
            assert_eq!(anyone.post("/v1/invitations/accept", &body).await.fault(422, "invalid_parameter"), (left_out.to_owned(), "required".to_owned()));
        }
        for bad in ["short", "aaaaaaaaaaaaaaaaaaaa", &"x y".repeat(400)] {
            let body = json!({ "token": good["token"], "name": "N", "password": bad });
            assert_eq!(anyone.post("/v1/invitations/accept", &body).await.fault(422, "invalid_parameter").0, "password", "{bad}");
        }
        anyone.post("/v1/invitations/accept", &accept(&good["token"])).await.ok(201);
        invite("acme", "n@example.com").await.problem(409, "already_member");

        // Who has an account joins with it: nobody makes another of the address, or joins for somebody else.
        let of_globex = invite("globex", "n@example.com").await.ok(201);
        anyone.post("/v1/invitations/accept", &accept(&of_globex["token"])).await.problem(409, "account_exists");
        let other = member(world, "acme", "other@example.com", "owner").await;
        other.post("/v1/invitations/accept", &json!({ "token": of_globex["token"] })).await.problem(403, "invitation_for_another");
        let n = log_in(world, "n@example.com").await;
        let joined = n.post("/v1/invitations/accept", &json!({ "token": of_globex["token"] })).await.ok(200);
        assert_eq!(joined["tenant"], "globex");
        // In several tenants: one must be named, and another's is not.
        n.get("/v1/logs", &[]).await.problem(422, "tenant_required");
        for tenant in ["acme", "globex"] {
            n.with("x-tenant", tenant).get("/v1/logs", &[]).await.ok(200);
        }
        for tenant in ["initech", "Not An Id"] {
            n.with("x-tenant", tenant).get("/v1/logs", &[]).await.problem(403, "not_a_member");
        }
        // Leaving needs no right.
        let id = user_id(&n).await;
        n.delete(&format!("/v1/tenants/globex/members/{id}")).await.empty(204);
        n.get("/v1/logs", &[]).await.ok(200);

        for (body, field) in [(json!({ "role": "viewer" }), "email"), (json!({ "email": "no address", "role": "viewer" }), "email"), (json!({ "email": "a@b" }), "role")] {
            assert_eq!(operator.post("/v1/tenants/acme/invitations", &body).await.fault(422, "invalid_parameter").0, field, "{body}");
        }
        invite("nowhere", "n@example.com").await.problem(404, "not_found");
    });
}

#[test]
fn what_belongs_to_another_tenant_is_not_there() {
    story(async |world| {
        world.tenant("acme").await;
        let globex = world.tenant("globex").await;
        globex.stored(&[plain("of globex only")]).await;
        let (owner, theirs) = (member(world, "acme", "a@example.com", "owner").await, member(world, "globex", "g@example.com", "owner").await);
        let their_id = user_id(&theirs).await;
        let their_invitation = theirs.post("/v1/tenants/globex/invitations", &json!({ "email": "x@example.com", "role": "viewer" })).await.ok(201);
        let id = their_invitation["id"].as_str().expect("an id");
        for (method, path) in [
            (Method::GET, "/v1/tenants/globex/members".to_owned()),
            (Method::GET, "/v1/tenants/globex/invitations".to_owned()),
            (Method::POST, "/v1/tenants/globex/invitations".to_owned()),
            (Method::DELETE, format!("/v1/tenants/globex/invitations/{id}")),
            (Method::DELETE, format!("/v1/tenants/acme/invitations/{id}")),
            (Method::PATCH, format!("/v1/tenants/globex/members/{their_id}")),
            (Method::PATCH, format!("/v1/tenants/acme/members/{their_id}")),
            (Method::DELETE, format!("/v1/tenants/globex/members/{their_id}")),
            (Method::DELETE, format!("/v1/tenants/acme/members/{their_id}")),
            (Method::GET, "/v1/tenants/globex/keys".to_owned()),
            (Method::GET, "/v1/tenants/nowhere/members".to_owned()),
        ] {
            let body = Sending::json(&json!({ "role": "viewer", "email": "x@example.com" }));
            let body = if path.contains("members/") { Sending::json(&json!({ "role": "viewer" })) } else { body };
            owner.call(method, &path, &[], body).await.problem(404, "not_found");
        }
        // The header chooses among one's own tenants, and no other.
        owner.with("x-tenant", "globex").get("/v1/logs", &[]).await.problem(403, "not_a_member");
        assert!(texts(&owner.list(&[]).await, "message").is_empty());
        for path in ["/v1/users", "/v1/tenants", "/v1/tenants/acme"] {
            owner.get(path, &[]).await.problem(401, "unauthenticated");
        }
        let trail = owner.get("/v1/audit", &[]).await.ok(200);
        assert!(trail["entries"].as_array().expect("entries").iter().all(|entry| entry["tenant"] == "acme"), "{trail}");
        assert_eq!(theirs.get("/v1/tenants/globex/invitations", &[]).await.ok(200)["invitations"].as_array().map(Vec::len), Some(1));
    });
}

#[test]
fn a_tenant_that_is_suspended_is_read_and_one_that_is_deleted_is_not() {
    story(async |world| {
        let acme = world.tenant("acme").await;
        acme.stored(&[plain("a line")]).await;
        let owner = member(world, "acme", "owner@example.com", "owner").await;
        world.operator().patch("/v1/tenants/acme", &json!({ "status": "suspended" })).await.ok(200);
        let redrive = format!("/v1/dead-letters/{}/redrive", uuid::Uuid::now_v7());
        until(403, "what writes is refused", async || owner.post(&redrive, &json!({})).await).await.problem(403, "tenant_suspended");
        assert_eq!(texts(&owner.list(&[]).await, "message"), ["a line"]);
        assert_eq!(owner.get("/v1/me", &[]).await.ok(200)["memberships"][0]["status"], "suspended");
        world.operator().delete("/v1/tenants/acme").await.empty(204);
        until(403, "nothing of it is read", async || owner.get("/v1/logs", &[]).await).await.problem(403, "not_a_member");
        let look = async || -> Result<(), Seen> {
            // Nobody writes behind it any more: that is not waited for.
            let patience = maintenance::Patience { writing: Duration::ZERO, ..Default::default() };
            maintenance::finish_tenants(&world.doors.maintenance(), patience).await.map_err(|e| e.to_string())?;
            let left = world.control_sql("select 1 from memberships").await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} memberships")) }
        };
        eventually(SOON, "nothing of it is left", look).await;
        assert_eq!(owner.get("/v1/me", &[]).await.ok(200)["memberships"], json!([]));
    });
}
