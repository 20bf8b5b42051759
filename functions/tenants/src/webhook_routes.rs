//! The routes of webhooks: for the operator, and for a tenant's key that may change the tenant.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, LOCATION};
use shared::error::Result;
use shared::http::{Origin, Params, SmallJson};
use shared::problem::Problem;
use shared::tenants::{Delivery, Webhook};
use shared::webhooks::SigningSecret;
use time::OffsetDateTime;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::fields::Fields;
use crate::webhooks::{
    self, CreatedWebhook, DeliveryInPath, DeliveryPage, DeliveryQuery, Redriven, RotatedSecret, WebhookAdmin, WebhookInPath, WebhookList, WebhookPatch, WebhookRequest,
};

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// Neither the operator nor a valid key
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// `missing_scope`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such tenant, webhook or delivery, or it is another tenant's
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a route with a body may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum BodyRefusals {
    /// `invalid_json`
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// `body_too_large`
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `invalid_parameter`, `errors` names each field; or `nothing_to_change`
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// Create a webhook
///
/// What becomes of the tenant is sent there from now on, signed as Standard Webhooks says. The secret is in the answer, and never shown again.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/webhooks", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant")), request_body = WebhookRequest,
    responses(
        (status = 201, description = "The webhook with its secret, this once; `Location` names it", body = CreatedWebhook),
        (status = 409, description = "`too_many_webhooks`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals, Refusals,
    )
)]
async fn post_webhook(
    State(app): State<App>,
    admin: WebhookAdmin,
    origin: Origin,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<CreatedWebhook>)> {
    let new = webhooks::new(fields, app.webhooks.allow_private, OffsetDateTime::now_utc())?;
    let secret = SigningSecret::generate();
    let made = app.registry.create_webhook(&admin.tenant, &new, &secret, &app.webhooks.sealer, &admin.by(origin)).await?;
    let location = format!("/v1/tenants/{}/webhooks/{}", admin.tenant, made.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(CreatedWebhook::new(made, &secret))))
}

/// List webhooks
#[utoipa::path(
    get, path = "/v1/tenants/{id}/webhooks", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant")),
    responses((status = 200, description = "All of them, oldest first: at most 20", body = WebhookList), Refusals)
)]
async fn get_webhooks(State(app): State<App>, admin: WebhookAdmin) -> Result<Json<WebhookList>> {
    webhooks::webhooks(&app.registry, &admin.tenant).await.map(Json)
}

/// Read a webhook
#[utoipa::path(
    get, path = "/v1/tenants/{id}/webhooks/{webhook_id}", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook")),
    responses((status = 200, description = "The webhook, without its secret", body = Webhook), Refusals)
)]
async fn get_webhook(State(app): State<App>, admin: WebhookAdmin, WebhookInPath(id): WebhookInPath) -> Result<Json<Webhook>> {
    app.registry.webhook(&admin.tenant, id).await.map(Json)
}

/// Change a webhook
#[utoipa::path(
    patch, path = "/v1/tenants/{id}/webhooks/{webhook_id}", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook")), request_body = WebhookPatch,
    responses((status = 200, description = "The webhook as it is now", body = Webhook), BodyRefusals, Refusals)
)]
async fn patch_webhook(
    State(app): State<App>,
    admin: WebhookAdmin,
    origin: Origin,
    WebhookInPath(id): WebhookInPath,
    SmallJson(fields): SmallJson<Fields>,
) -> Result<Json<Webhook>> {
    let change = webhooks::change(fields, app.webhooks.allow_private)?;
    app.registry.change_webhook(&admin.tenant, id, &change, &admin.by(origin)).await.map(Json)
}

/// Delete a webhook
///
/// What waits for it is not sent.
#[utoipa::path(
    delete, path = "/v1/tenants/{id}/webhooks/{webhook_id}", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook")),
    responses((status = 204, description = "It is gone"), Refusals)
)]
async fn delete_webhook(State(app): State<App>, admin: WebhookAdmin, origin: Origin, WebhookInPath(id): WebhookInPath) -> Result<StatusCode> {
    app.registry.delete_webhook(&admin.tenant, id, &admin.by(origin)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate a webhook's secret
///
/// The new secret is in the answer, and never shown again. For 24 h requests carry a signature by the old one, too.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/webhooks/{webhook_id}/rotate", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook")),
    responses(
        (status = 200, description = "The new secret, this once", body = RotatedSecret),
        (status = 409, description = "`too_many_secrets`: five sign already", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn rotate_webhook(State(app): State<App>, admin: WebhookAdmin, origin: Origin, WebhookInPath(id): WebhookInPath) -> Result<Json<RotatedSecret>> {
    let secret = SigningSecret::generate();
    let old_until = app.registry.rotate_webhook(&admin.tenant, id, &secret, &app.webhooks.sealer, &admin.by(origin)).await?;
    Ok(Json(RotatedSecret::new(&secret, old_until)))
}

/// Test a webhook
///
/// Sends an event of type `io.loggerhub.webhook.test.v1`, ahead of all that waits, and once. One that is taken has what waits tried at once.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/webhooks/{webhook_id}/test", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook")),
    responses(
        (status = 202, description = "It is sent within seconds by a server, and within a minute by the functions; the deliveries tell what became of it", body = Delivery),
        (status = 409, description = "`webhook_disabled`, or `too_many_tests`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn test_webhook(State(app): State<App>, admin: WebhookAdmin, origin: Origin, WebhookInPath(id): WebhookInPath) -> Result<(StatusCode, Json<Delivery>)> {
    Ok((StatusCode::ACCEPTED, Json(app.registry.test_webhook(&admin.tenant, id, &admin.by(origin)).await?)))
}

/// List deliveries
///
/// What became of each event that was for the webhook, the latest first. What was delivered is kept for 7 days, what is dead for 30.
#[utoipa::path(
    get, path = "/v1/tenants/{id}/webhooks/{webhook_id}/deliveries", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook"), DeliveryQuery),
    responses(
        (status = 200, description = "A page", body = DeliveryPage),
        (status = 422, description = "`invalid_parameter` or `invalid_cursor`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn get_deliveries(State(app): State<App>, admin: WebhookAdmin, WebhookInPath(id): WebhookInPath, Params(query): Params<DeliveryQuery>) -> Result<Json<DeliveryPage>> {
    webhooks::deliveries(&app.registry, &admin.tenant, id, query).await.map(Json)
}

/// Redrive a delivery
///
/// Has a delivery that is dead tried again, as if it had never been: in its place in the order, with all retries.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redrive", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(
        ("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook"),
        ("delivery_id" = uuid::Uuid, Path, description = "The delivery"),
    ),
    responses(
        (status = 202, description = "It is pending", body = Delivery),
        (status = 409, description = "`delivery_not_dead`, or `webhook_disabled`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn redrive_delivery(
    State(app): State<App>,
    admin: WebhookAdmin,
    origin: Origin,
    WebhookInPath(id): WebhookInPath,
    DeliveryInPath(delivery): DeliveryInPath,
) -> Result<(StatusCode, Json<Delivery>)> {
    Ok((StatusCode::ACCEPTED, Json(app.registry.redrive_delivery(&admin.tenant, id, delivery, &admin.by(origin)).await?)))
}

/// Redrive all dead deliveries
///
/// In their order, as for one.
#[utoipa::path(
    post, path = "/v1/tenants/{id}/webhooks/{webhook_id}/redrive", tag = "webhooks", security(("operator" = []), ("api_key" = ["tenant:admin"])),
    params(("id" = String, Path, description = "The tenant"), ("webhook_id" = uuid::Uuid, Path, description = "The webhook")),
    responses(
        (status = 202, description = "They are pending", body = Redriven),
        (status = 409, description = "`webhook_disabled`", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn redrive_deliveries(State(app): State<App>, admin: WebhookAdmin, origin: Origin, WebhookInPath(id): WebhookInPath) -> Result<(StatusCode, Json<Redriven>)> {
    let requested = app.registry.redrive_deliveries(&admin.tenant, id, &admin.by(origin)).await?;
    Ok((StatusCode::ACCEPTED, Json(Redriven { requested })))
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(post_webhook, get_webhooks))
        .routes(routes!(get_webhook, patch_webhook, delete_webhook))
        .routes(routes!(rotate_webhook))
        .routes(routes!(test_webhook))
        .routes(routes!(get_deliveries))
        .routes(routes!(redrive_delivery))
        .routes(routes!(redrive_deliveries))
}
