//! What must not work: guessing, forging, planting, replaying, and telling from an answer who is there.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};

use super::people::{COOKIE, cookie_of, log_in, mailed, mailed_token, member, password, signed_in, try_log_in, user_id};
use crate::harness::{Answer, Caller, SOON, Seen, Sending, Wire, World, eventually, plain, story, story_alone_with, story_with};

/// Within this a session that was ended elsewhere opens nothing.
const EVERYWHERE: Duration = Duration::from_secs(10);
const RESET: &str = "io.loggerhub.password_reset.requested.v1";

async fn until_unauthenticated(what: &str, caller: &Caller) {
    let look = async || -> Result<(), Seen> {
        let answer = caller.get("/v1/me", &[]).await;
        if answer.status == 401 { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.text)) }
    };
    eventually(EVERYWHERE, what, look).await;
}

/// Forgets how often somebody has tried.
async fn forgive(world: &World) {
    let mut redis = world.redis().await;
    let keys: Vec<String> = redis.keys(world.redis_key("throttle:*")).await.expect("Redis answers");
    if !keys.is_empty() {
        redis.del::<_, ()>(keys).await.expect("Redis answers");
    }
}

#[test]
fn the_cookie_is_for_the_browser_alone_and_each_login_makes_a_new_one() {
    story(async |world| {
        world.tenant("acme").await;
        let first = member(world, "acme", "a@example.com", "owner").await;
        let anyone = world.anyone();
        let answer = try_log_in(&anyone, "A@EXAMPLE.com", &password("a@example.com")).await;
        let cookie = cookie_of(&answer);
        assert!(cookie.starts_with("lhs_") && cookie.len() == 47, "256 bits in base64: {cookie}");
        assert_eq!(answer.header("set-cookie"), Some(format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800; Secure").as_str()));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.text.contains(&cookie) && !answer.text.contains("argon2"), "{}", answer.text);

        // A cookie from before the login is not taken over: one that somebody planted stays nothing, and one that was good has ended.
        let planted = format!("lhs_{}", "A".repeat(43));
        let fresh = cookie_of(&try_log_in(&anyone.with("cookie", &format!("{COOKIE}={planted}")), "a@example.com", &password("a@example.com")).await);
        assert!(fresh != planted && fresh != cookie);
        anyone.with("cookie", &format!("{COOKIE}={planted}")).get("/v1/me", &[]).await.problem(401, "unauthenticated");
        let again = signed_in(&anyone, &try_log_in(&first, "a@example.com", &password("a@example.com")).await);
        first.get("/v1/me", &[]).await.problem(401, "unauthenticated");
        again.get("/v1/me", &[]).await.ok(200);
        // Neither a cookie without the prefix of the host nor a session as a key opens anything.
        for stranger in [anyone.with("cookie", &format!("lh_session={fresh}")), anyone.bearing(&fresh), anyone.with_credential("x-api-key", &fresh)] {
            stranger.get("/v1/me", &[]).await.problem(401, "unauthenticated");
            stranger.get("/v1/logs", &[]).await.problem(401, "unauthenticated");
        }
        // Of a token Redis has the hash alone.
        let keys: Vec<String> = world.redis().await.keys(world.redis_key("session:*")).await.expect("Redis answers");
        assert!(!keys.is_empty() && keys.iter().all(|key| key.len() == world.redis_key("session:").len() + 64), "{keys:?}");

        let laptop = world.another_hub(&[("LOGGERHUB_SECURE_COOKIES", "false")]).await;
        let answer = try_log_in(&anyone.at(&laptop), "a@example.com", &password("a@example.com")).await;
        let line = answer.header("set-cookie").expect("a cookie");
        assert!(line.starts_with("lh_session=lhs_") && line.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"), "{line}");
    });
}

#[test]
fn what_changes_something_brings_the_token_of_its_session_and_comes_from_an_own_page() {
    story(async |world| {
        world.tenant("acme").await;
        let owner = member(world, "acme", "a@example.com", "owner").await;
        let other = log_in(world, "a@example.com").await;
        let of_other = other.get("/v1/me", &[]).await.ok(200)["csrf_token"].as_str().expect("a token").to_owned();
        let without = owner.without("x-csrf-token");
        let key = format!("/v1/tenants/acme/keys/{}", uuid::Uuid::now_v7());
        let changes = [
            (Method::POST, "/v1/logout", json!({})),
            (Method::PATCH, "/v1/me", json!({ "name": "forged" })),
            (Method::POST, "/v1/me/password", json!({})),
            (Method::DELETE, "/v1/me/sessions", json!({})),
            (Method::POST, "/v1/tenants/acme/invitations", json!({ "email": "x@example.com", "role": "owner" })),
            (Method::POST, "/v1/tenants/acme/keys", json!({ "name": "forged" })),
            (Method::DELETE, key.as_str(), json!({})),
            (Method::POST, "/v1/saved-searches", json!({ "name": "forged", "q": "x" })),
            (Method::POST, "/v1/dead-letters/redrive", json!({})),
            (Method::POST, "/v1/invitations/accept", json!({ "token": "x" })),
        ];
        for (method, path, body) in &changes {
            for forger in [&without, &without.with("x-csrf-token", ""), &without.with("x-csrf-token", &of_other)] {
                forger.call(method.clone(), path, &[], Sending::json(body)).await.problem(403, "csrf_token_missing");
            }
            let elsewhere = owner.with("origin", "https://evil.example");
            elsewhere.call(method.clone(), path, &[], Sending::json(body)).await.problem(403, "origin_not_allowed");
        }
        // What only reads needs none.
        without.get("/v1/logs", &[]).await.ok(200);
        for origin in ["null", "https://evil.example"] {
            owner.with("origin", origin).get("/v1/me", &[]).await.problem(403, "origin_not_allowed");
            world
                .anyone()
                .with("origin", origin)
                .post("/v1/login", &json!({ "email": "a@example.com", "password": password("a@example.com") }))
                .await
                .problem(403, "origin_not_allowed");
            world.anyone().with("origin", origin).post("/v1/password-resets", &json!({ "email": "a@example.com" })).await.problem(403, "origin_not_allowed");
        }
        let own = owner.url().to_owned();
        owner.with("origin", &own).patch("/v1/me", &json!({ "name": "own page" })).await.ok(200);
        let listed = world.another_hub(&[("LOGGERHUB_WEB_ORIGINS", "https://logs.example.com")]).await;
        owner.at(&listed).with("origin", "https://logs.example.com").patch("/v1/me", &json!({ "name": "listed" })).await.ok(200);
        owner.at(&listed).with("origin", listed.url()).patch("/v1/me", &json!({ "name": "not listed" })).await.problem(403, "origin_not_allowed");
        assert_eq!(owner.get("/v1/me", &[]).await.ok(200)["user"]["name"], "listed");
        // A key sends no cookie, and needs no token.
        world.key_of("acme", &["logs:read"]).await.with("origin", "https://evil.example").post("/v1/saved-searches", &json!({ "name": "n", "q": "x" })).await.ok(201);
    });
}

#[test]
fn sessions_are_listed_and_end_by_logout_by_another_password_and_all_at_once() {
    story(async |world| {
        world.tenant("acme").await;
        let one = member(world, "acme", "a@example.com", "owner").await;
        let (two, three) = (log_in(world, "a@example.com").await, log_in(world, "a@example.com").await);
        let listed = two.get("/v1/me/sessions", &[]).await.ok(200)["sessions"].as_array().expect("sessions").clone();
        let current: Vec<bool> = listed.iter().map(|session| session["current"] == true).collect();
        assert_eq!(current, [false, true, false], "the latest first: {listed:?}");
        assert!(listed.iter().all(|session| session["address"] == "127.0.0.1"), "{listed:?}");
        let path = |session: &Value| format!("/v1/me/sessions/{}", session["id"].as_str().expect("an id"));
        // Another's is not there.
        let stranger = member(world, "acme", "b@example.com", "owner").await;
        stranger.delete(&path(&listed[0])).await.problem(404, "not_found");
        two.delete(&path(&listed[0])).await.empty(204);
        three.get("/v1/me", &[]).await.problem(401, "unauthenticated");
        two.delete(&path(&listed[0])).await.problem(404, "not_found");

        let answer = one.call(Method::POST, "/v1/logout", &[], Sending::default()).await;
        answer.empty(204);
        assert_eq!(answer.header("set-cookie"), Some(format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure").as_str()));
        one.get("/v1/me", &[]).await.problem(401, "unauthenticated");

        // A new password ends all sessions, that of a thief in another process too, and gives whoever set it a new one.
        let other = world.another_hub(&[]).await;
        let thief = log_in(world, "a@example.com").await.at(&other);
        thief.get("/v1/logs", &[]).await.ok(200);
        let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
        two.post("/v1/me/password", &change("not the password", &password("new"))).await.problem(401, "wrong_login");
        assert_eq!(two.post("/v1/me/password", &change(&password("a@example.com"), "too short")).await.fault(422, "invalid_parameter").0, "new_password");
        let renewed = signed_in(&world.anyone(), &two.post("/v1/me/password", &change(&password("a@example.com"), &password("new"))).await);
        renewed.get("/v1/logs", &[]).await.ok(200);
        two.get("/v1/me", &[]).await.problem(401, "unauthenticated");
        until_unauthenticated("the thief is out", &thief).await;
        try_log_in(&world.anyone(), "a@example.com", &password("a@example.com")).await.problem(401, "wrong_login");

        let anyone = world.anyone();
        let another = signed_in(&anyone, &try_log_in(&anyone, "a@example.com", &password("new")).await);
        another.at(&other).get("/v1/me", &[]).await.ok(200);
        renewed.delete("/v1/me/sessions").await.empty(204);
        renewed.get("/v1/me", &[]).await.problem(401, "unauthenticated");
        until_unauthenticated("the other is out, too", &another.at(&other)).await;
        let trail = stranger.get("/v1/audit", &[]).await.ok(200);
        let of_a: Vec<&str> =
            trail["entries"].as_array().expect("entries").iter().filter_map(|entry| entry["action"].as_str()).filter(|action| action.starts_with("user.")).collect();
        let expected = ["user.sessions_ended", "user.logged_in", "user.password_changed", "user.logged_in", "user.logged_out", "user.logged_out"];
        assert_eq!(of_a[..expected.len()], expected, "{trail}");
    });
}

#[test]
fn a_session_ends_when_nobody_uses_it_and_when_its_time_is_over() {
    story_with(&[("LOGGERHUB_SESSION_IDLE_SECONDS", "2"), ("LOGGERHUB_SESSION_ABSOLUTE_SECONDS", "5")], async |world| {
        world.tenant("acme").await;
        let (began, used) = (Instant::now(), member(world, "acme", "a@example.com", "owner").await);
        let idle = log_in(world, "a@example.com").await;
        let mut lasted = Duration::ZERO;
        let look = async || -> Result<(), Seen> {
            let answer = used.get("/v1/me", &[]).await;
            if answer.status == 401 { Ok(()) } else { Err(answer.text) }
        };
        while look().await.is_err() {
            lasted = began.elapsed();
            assert!(lasted < Duration::from_secs(8), "its time is over, however much it is used");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(lasted > Duration::from_secs(3), "a session that is used goes on: {lasted:?}");
        idle.get("/v1/me", &[]).await.problem(401, "unauthenticated");
    });
}

#[test]
fn a_forgotten_password_is_set_anew_once_by_who_reads_the_mail() {
    story(async |world| {
        world.tenant("acme").await;
        let owner = member(world, "acme", "a@example.com", "owner").await;
        let anyone = world.anyone();
        let ask = async |email: &str| anyone.post("/v1/password-resets", &json!({ "email": email })).await;
        ask("a@EXAMPLE.com").await.empty(202);
        ask("nobody@example.com").await.empty(202);
        let mail = mailed(world, RESET, "a@example.com").await;
        assert!(mail.get("tenantid").is_none() && mail["subject"] == user_id(&owner).await.as_str(), "{mail}");
        let first = mail["data"]["token"].as_str().expect("a token").to_owned();
        ask("a@example.com").await.empty(202);
        let look = async || -> Result<String, Seen> {
            let token = mailed_token(world, RESET, "a@example.com").await;
            if token == first { Err(token) } else { Ok(token) }
        };
        let second = eventually(SOON, "the second mail", look).await;
        let redeem = async |token: &str, new: &str| anyone.post("/v1/password-resets/redeem", &json!({ "token": token, "password": new })).await;
        assert_eq!(redeem(&second, "short").await.fault(422, "invalid_parameter").0, "password");
        redeem(&second, &password("anew")).await.empty(204);
        for used in [&second, &first, &format!("lhr_{}", "A".repeat(43))] {
            redeem(used, &password("once more")).await.problem(404, "not_found");
        }
        assert_eq!(redeem("no token", &password("x")).await.fault(422, "invalid_parameter").0, "token");
        owner.get("/v1/me", &[]).await.problem(401, "unauthenticated");
        try_log_in(&anyone, "a@example.com", &password("a@example.com")).await.problem(401, "wrong_login");
        try_log_in(&anyone, "a@example.com", &password("anew")).await.ok(200);
        // Its time is over.
        ask("a@example.com").await.empty(202);
        let look = async || -> Result<String, Seen> {
            let token = mailed_token(world, RESET, "a@example.com").await;
            if token == second { Err(token) } else { Ok(token) }
        };
        let third = eventually(SOON, "the third mail", look).await;
        world.control_sql("update password_resets set expires_at = now() - interval '1 second' where used_at is null").await;
        redeem(&third, &password("late")).await.problem(404, "not_found");
        // The fourth is not mailed, and nobody is told so.
        ask("a@example.com").await.empty(202);
        assert_eq!(world.control_sql("select 1 from audit_trail where action = 'password_reset.requested' and data ->> 'email' ilike 'a@example.com'").await.len(), 3);

        // What was told holds no hash; the trail of a tenant and the events of its audience hold no token.
        let stored = world.control_sql("select 1 from outbox where audience = 'tenant' and data::text like '%lhr\\_%' or audience = 'tenant' and data::text like '%lhi\\_%'").await;
        assert!(stored.is_empty());
        let trail = world.control_sql("select 1 from audit_trail where data::text like '%lhr\\_%' or data::text like '%lhi\\_%' or data::text like '%argon2%'").await;
        assert!(trail.is_empty());
        // What was told is not kept.
        maintenance::run_all(&world.doors.maintenance()).await;
        let look = async || -> Result<(), Seen> {
            world.doors.registry.forget_told(false).await.map_err(|e| e.to_string())?;
            let left = world.control_sql("select 1 from outbox where audience = 'operator'").await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} events with a secret")) }
        };
        eventually(SOON, "secrets leave the outbox once they are told", look).await;
    });
}

#[test]
fn a_user_who_is_disabled_is_out_of_all_tenants() {
    story(async |world| {
        world.tenant("acme").await;
        let (owner, operator) = (member(world, "acme", "a@example.com", "owner").await, world.operator());
        let other = world.another_hub(&[]).await;
        owner.at(&other).get("/v1/logs", &[]).await.ok(200);
        let users = operator.get("/v1/users", &[("email", "A@example.com")]).await.ok(200);
        let path = format!("/v1/users/{}", users["users"][0]["id"].as_str().expect("an id"));
        assert!(operator.patch(&path, &json!({ "disabled": true })).await.ok(200)["disabled_at"].is_string());
        owner.get("/v1/me", &[]).await.problem(401, "unauthenticated");
        until_unauthenticated("nor elsewhere", &owner.at(&other)).await;
        let known = try_log_in(&world.anyone(), "a@example.com", &password("a@example.com")).await.problem(401, "wrong_login");
        let unknown = try_log_in(&world.anyone(), "nobody@example.com", &password("a@example.com")).await.problem(401, "wrong_login");
        assert_eq!(known["detail"], unknown["detail"]);
        operator.patch(&path, &json!({ "disabled": false })).await.ok(200);
        owner.get("/v1/me", &[]).await.problem(401, "unauthenticated");
        log_in(world, "a@example.com").await.get("/v1/logs", &[]).await.ok(200);
        assert_eq!(operator.patch(&path, &json!({ "disabled": "yes" })).await.fault(422, "invalid_parameter").0, "disabled");
        operator.patch(&format!("/v1/users/{}", uuid::Uuid::now_v7()), &json!({ "disabled": true })).await.problem(404, "not_found");
        world.key_of("acme", &["tenant:admin"]).await.get("/v1/users", &[]).await.problem(401, "unauthenticated");
    });
}

#[test]
fn guessing_is_slowed_down_and_locks_nobody_out_of_where_they_were() {
    story(async |world| {
        world.tenant("acme").await;
        member(world, "acme", "a@example.com", "owner").await;
        let anyone = world.anyone();
        // Nobody has logged in from anywhere: all strangers share ten tries, of an account that there is and of one that there is not.
        for email in ["a@example.com", "nobody@example.com"] {
            forgive(world).await;
            for _ in 0..10 {
                try_log_in(&anyone, email, "a wrong guess").await.problem(401, "wrong_login");
            }
            let refused = try_log_in(&anyone, email, &password(email)).await;
            refused.problem(429, "too_many_logins");
            let wait: u64 = refused.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("seconds");
            assert!((1..=31).contains(&wait), "{wait}");
        }
        // From one address, thirty to whatever accounts.
        forgive(world).await;
        let mut refused = 0;
        for n in 0..33 {
            let answer = try_log_in(&anyone, &format!("{n}@example.com"), "a wrong guess").await;
            refused += u32::from(answer.status == 429);
        }
        assert!((2..=3).contains(&refused), "{refused}");
        // Where the owner was, a stranger elsewhere uses up no try of theirs: the strangers' bucket is empty, and they log in.
        forgive(world).await;
        try_log_in(&anyone, "a@example.com", &password("a@example.com")).await.ok(200);
        let throttle = shared::throttle::Throttle::new(shared::redis_link::RedisLink::open(&redis_settings(world), SOON).expect("settings"));
        let rate = shared::throttle::Rate { burst: 10, every: Duration::from_secs(30) };
        while throttle.take("account", "a@example.com", rate).await.expect("Redis answers").is_none() {}
        try_log_in(&anyone, "a@example.com", &password("a@example.com")).await.ok(200);
        // What is right costs nothing, however often.
        for _ in 0..12 {
            try_log_in(&anyone, "a@example.com", &password("a@example.com")).await.ok(200);
        }
        // What was wrong is in the operator's trail, and says of both the same.
        let trail = world.operator().get("/v1/audit", &[("action", "user.login_failed")]).await.ok(200);
        let entries = trail["entries"].as_array().expect("entries");
        for email in ["a@example.com", "nobody@example.com"] {
            let of: Vec<&Value> = entries.iter().filter(|entry| entry["data"]["email"] == email).collect();
            assert_eq!(of.len(), 10, "{email}: those that were refused are not there");
            let shape = |entry: &Value| (entry["tenant"].clone(), entry["actor"].clone(), entry["subject"].clone(), entry["user_id"].clone());
            assert!(of.iter().all(|entry| shape(entry) == (Value::Null, json!("nobody"), Value::Null, Value::Null)), "{of:?}");
        }
    });
}

fn redis_settings(world: &World) -> shared::settings::RedisSettings {
    let names = ["LOGGERHUB_REDIS_URL", "LOGGERHUB_REDIS_PREFIX"];
    let env: shared::settings::Env = names.into_iter().map(|name| (name.to_owned(), world.setting(name))).collect();
    shared::settings::RedisSettings::from_env(&env).expect("settings")
}

/// Tries of each kind that are timed, one kind after the other.
const TIMED: usize = 25;

/// The middle of what answers took, in seconds.
fn median(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

#[test]
fn neither_answers_nor_their_times_tell_who_has_an_account() {
    story_alone_with(&[], async |world| {
        world.tenant("acme").await;
        member(world, "acme", "a@example.com", "owner").await;
        let anyone = world.anyone();
        let shape = |answer: &Answer| {
            let problem = answer.json();
            (answer.status, problem["code"].clone(), problem["detail"].clone(), answer.header("set-cookie").map(str::to_owned))
        };
        let (mut known, mut unknown, mut asked, mut asked_unknown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for n in 0..TIMED {
            if n % 5 == 0 {
                forgive(world).await;
            }
            let wrong = try_log_in(&anyone, "a@example.com", "a wrong guess").await;
            let nobody = try_log_in(&anyone, &format!("nobody-{n}@example.com"), "a wrong guess").await;
            assert_eq!(shape(&wrong), shape(&nobody));
            known.push(wrong.took.as_secs_f64());
            unknown.push(nobody.took.as_secs_f64());
        }
        for n in 0..5 {
            forgive(world).await;
            let (is, is_not) = (
                anyone.post("/v1/password-resets", &json!({ "email": "a@example.com" })).await,
                anyone.post("/v1/password-resets", &json!({ "email": format!("nobody-{n}@example.com") })).await,
            );
            assert_eq!((is.status, &is.text), (is_not.status, &is_not.text));
            asked.push(is.took.as_secs_f64());
            asked_unknown.push(is_not.took.as_secs_f64());
        }
        let (known, unknown, asked, asked_unknown) = (median(known), median(unknown), median(asked), median(asked_unknown));
        println!(
            "medians: login with a wrong password {:.1} ms, of nobody {:.1} ms; forgotten password {:.1} ms, of nobody {:.1} ms",
            known * 1e3,
            unknown * 1e3,
            asked * 1e3,
            asked_unknown * 1e3
        );
        // A hash takes tens of milliseconds: where it were left out for nobody, it would be ten times faster.
        for (one, other, tolerance) in [(known, unknown, 0.3), (asked, asked_unknown, 0.15)] {
            assert!((one - other).abs() / one.max(other) < tolerance, "{one} {other}");
        }
    });
}

#[test]
fn logs_are_sent_with_keys_only() {
    story(async |world| {
        world.tenant("acme").await;
        let owner = member(world, "acme", "a@example.com", "owner").await;
        for path in ["/v1/logs", "/logs"] {
            owner.post(path, &plain("by a page")).await.problem(401, "unauthenticated");
        }
        // Where both are sent the key counts, and with a key that is wrong no session helps.
        let key = world.key_of("acme", &["logs:write"]).await.key;
        owner.bearing(&key).get("/v1/logs", &[]).await.problem(403, "missing_scope");
        owner.bearing("lh_live_nonsense").get("/v1/logs", &[]).await.problem(401, "unauthenticated");
    });
}

#[test]
fn where_redis_or_postgres_is_away_nobody_is_let_in_by_a_session() {
    story(async |world| {
        world.tenant("acme").await;
        let owner = member(world, "acme", "a@example.com", "owner").await;
        for setting in ["LOGGERHUB_REDIS_URL", "LOGGERHUB_CONTROL_DATABASE_URL"] {
            let (wire, url) = Wire::over(&world.setting(setting)).await;
            let hub = world.another_hub(&[(setting, &url)]).await;
            let there = owner.at(&hub);
            there.get("/v1/logs", &[]).await.ok(200);
            wire.cut();
            let look = async || -> Result<(), Seen> {
                let answer = there.get("/v1/logs", &[]).await;
                if answer.status == 503 { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.text)) }
            };
            eventually(EVERYWHERE, "it cannot be told who asks", look).await;
            try_log_in(&world.anyone().at(&hub), "a@example.com", &password("a@example.com"))
                .await
                .problem(503, if setting.contains("REDIS") { "redis_unavailable" } else { "postgres_unavailable" });
            wire.mend();
            let look = async || -> Result<(), Seen> {
                let answer = there.get("/v1/logs", &[]).await;
                if answer.status == 200 { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.text)) }
            };
            eventually(SOON, "it can be told again", look).await;
        }
        // A Redis that has lost the sessions has logged everybody out.
        let mut redis = world.redis().await;
        let keys: Vec<String> = redis.keys(world.redis_key("session*")).await.expect("Redis answers");
        redis.del::<_, ()>(keys).await.expect("Redis answers");
        owner.get("/v1/logs", &[]).await.problem(401, "unauthenticated");
        log_in(world, "a@example.com").await.get("/v1/logs", &[]).await.ok(200);
    });
}
