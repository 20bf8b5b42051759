//! The people of the throw-away tenants: invited by the operator, with accounts of their own and real sessions.

use anyhow::Context;
use reqwest::Method;
use serde_json::json;
use shared::people::Role;

use super::client::{Client, Request};

/// A tenant has somebody of each.
pub(super) const ROLES: [Role; 4] = Role::ALL;
/// Where nobody has a mailbox (RFC 6761, section 6.4).
pub(super) const DOMAIN: &str = "isolation.invalid";

/// Requests that end the session that they come with: by one that was begun for it.
pub(super) const ENDS_SESSIONS: &[&str] = &["POST /v1/login", "POST /v1/logout", "POST /v1/me/password", "DELETE /v1/me/sessions", "DELETE /v1/me/sessions/{session_id}"];

/// Somebody's account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) email: String,
    pub(super) password: String,
    /// What they send to say who they are: their session, and its token.
    pub(super) session: Vec<(&'static str, String)>,
}

/// Invites somebody into a tenant, as the operator, who alone is told the token.
///
/// # Errors
/// No answer, or another than a success.
pub(super) async fn invite(client: &Client, tenant: &str, email: &str, role: Role) -> anyhow::Result<String> {
    let path = format!("/v1/tenants/{tenant}/invitations");
    let invited = client.ask(&client.as_operator(), Method::POST, &path, Some(json!({ "email": email, "role": role.as_str() }))).await?;
    invited["token"].as_str().map(str::to_owned).context("the operator was told no token of an invitation")
}

/// Makes somebody a member who has no account, and logs them in.
///
/// # Errors
/// As [`invite`].
pub(super) async fn join(client: &Client, tenant: &str, (name, email, password): (&str, &str, &str), role: Role) -> anyhow::Result<Account> {
    let token = invite(client, tenant, email, role).await?;
    let acceptance = json!({ "token": token, "name": name, "password": password });
    let accepted = client.ask(&[], Method::POST, "/v1/invitations/accept", Some(acceptance)).await?;
    let user = accepted["user_id"].as_str().context("an invitation was accepted without an id")?.to_owned();
    client.is_user(&user);
    let session = log_in(client, email, password).await?;
    Ok(Account { user, email: email.to_owned(), password: password.to_owned(), session })
}

/// Begins a session, and answers what is sent with it.
///
/// # Errors
/// As [`invite`].
pub(super) async fn log_in(client: &Client, email: &str, password: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let body = Some(json!({ "email": email, "password": password }));
    let request = Request { method: Method::POST, path: "/v1/login".to_owned(), query: Vec::new(), headers: Vec::new(), body };
    let answer = client.call(&[], &request).await?;
    let cookie = answer.headers.get("set-cookie").and_then(|line| line.to_str().ok()?.split(';').next()).map(str::to_owned);
    let token = answer.json()["csrf_token"].as_str().map(str::to_owned);
    let (cookie, token) = cookie.zip(token).with_context(|| format!("{email} cannot log in: {}: {}", answer.status, answer.body))?;
    Ok(vec![("cookie", cookie), ("x-csrf-token", token)])
}

/// The id of the session that this is.
///
/// # Errors
/// As [`invite`].
pub(super) async fn session_id(client: &Client, session: &[(&'static str, String)]) -> anyhow::Result<String> {
    let listed = client.ask(session, Method::GET, "/v1/me/sessions", None).await?;
    let current = listed["sessions"].as_array().into_iter().flatten().find(|one| one["current"] == true);
    current.and_then(|one| one["id"].as_str()).map(str::to_owned).context("a session is not listed")
}

/// Has somebody belong to a tenant, who may belong to it already.
///
/// # Errors
/// No answer, or one that is not understood.
pub(super) async fn come_back(client: &Client, tenant: &str, account: &Account) -> anyhow::Result<()> {
    let body = Some(json!({ "email": account.email, "role": Role::Viewer.as_str() }));
    let request = Request { method: Method::POST, path: format!("/v1/tenants/{tenant}/invitations"), query: Vec::new(), headers: Vec::new(), body };
    let answer = client.call(&client.as_operator(), &request).await?;
    if answer.status == 409 {
        return Ok(());
    }
    let token = answer.json()["token"].as_str().map(str::to_owned).with_context(|| format!("nobody can be invited: {}: {}", answer.status, answer.body))?;
    client.ask(&account.session, Method::POST, "/v1/invitations/accept", Some(json!({ "token": token }))).await.map(drop)
}
