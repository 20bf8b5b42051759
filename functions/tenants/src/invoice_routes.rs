//! The routes of invoices and credits: read by keys with `billing:read`, changed by operators.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use shared::auth::{Operator, ReadUsage};
use shared::billing::closing;
use shared::error::{Error, Result};
use shared::http::{Origin, Params, SmallJson};
use shared::problem::Problem;
use shared::rows::Reach;
use shared::tenants::{Credit, Invoice};
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::access::named_tenant;
use crate::credits::{self, CreditPage, CreditQuery, CreditRequest};
use crate::fields::{self, Fields, text};
use crate::invoices::{self, Form, FormParams, HourPage, HourParams, InvoicePage, InvoiceQuery, WholeInvoice};
use crate::letters::Letters as OfTenants;

/// What every route here may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum Refusals {
    /// Neither the operator nor a valid key
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// Come again after `Retry-After`: `postgres_unavailable`
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a route that reads may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the derive alone")]
enum ReadRefusals {
    /// `missing_scope`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// `invalid_parameter` or `invalid_cursor`
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
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
    /// `invalid_parameter`; `errors` names each field
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// What took a payment.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "read by the derive alone")]
struct PaymentRequest {
    /// What whoever took it calls it. Sent again with the same, the answer is the same.
    #[schema(min_length = 1, max_length = 200)]
    payment: Option<String>,
}

/// What is no id is a 404, as what is not there.
fn id_of(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| Error::NotFound("invoice"))
}

/// List invoices
///
/// Of the key's tenant, or for the operator of all tenants, deleted ones too.
#[utoipa::path(
    get, path = "/v1/invoices", tag = "billing", security(("operator" = []), ("api_key" = ["billing:read"])), params(InvoiceQuery),
    responses((status = 200, description = "A page, the latest first", body = InvoicePage), ReadRefusals, Refusals)
)]
async fn get_invoices(State(app): State<App>, theirs: OfTenants<ReadUsage>, Params(query): Params<InvoiceQuery>) -> Result<Json<InvoicePage>> {
    let of = theirs.of_tenant(named_tenant(query.tenant.as_deref())?)?;
    invoices::list(&app.registry, &of, &query).await.map(Json)
}

/// Read an invoice
///
/// With its lines: as JSON, as CSV, or as a page to be printed.
#[utoipa::path(
    get, path = "/v1/invoices/{id}", tag = "billing", security(("operator" = []), ("api_key" = ["billing:read"])),
    params(("id" = Uuid, Path, description = "The invoice"), FormParams),
    responses(
        (status = 200, description = "The invoice", content((WholeInvoice = "application/json"), (String = "text/csv"), (String = "text/html"))),
        (status = 404, description = "There is no such invoice, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
        Refusals,
    )
)]
async fn get_invoice(State(app): State<App>, theirs: OfTenants<ReadUsage>, Path(id): Path<String>, headers: HeaderMap, Params(params): Params<FormParams>) -> Result<Response> {
    let form = Form::read(&params, &headers)?;
    invoices::whole(&app.registry, &app.rows, &theirs.reach, id_of(&id)?).await?.answer(form)
}

/// List the hours of a line
///
/// In which its meter counted what the invoice took. The batches of an hour: `GET /v1/usage/batches`.
#[utoipa::path(
    get, path = "/v1/invoices/{id}/lines/{line}/hours", tag = "billing", security(("operator" = []), ("api_key" = ["billing:read"])),
    params(("id" = Uuid, Path, description = "The invoice"), ("line" = i32, Path, description = "The line's number"), HourParams),
    responses(
        (status = 200, description = "A page, the oldest first", body = HourPage),
        (status = 404, description = "There is no such line or invoice, or it is another tenant's", body = Problem, content_type = "application/problem+json"),
        ReadRefusals,
        Refusals,
    )
)]
async fn get_hours(State(app): State<App>, theirs: OfTenants<ReadUsage>, Path((id, line)): Path<(String, String)>, Params(params): Params<HourParams>) -> Result<Json<HourPage>> {
    invoices::hours(&app.registry, &app.rows, &theirs.reach, id_of(&id)?, &line, &params).await.map(Json)
}

/// Finalize an invoice
///
/// A draft gets its lines, its credits and its number, and never changes after that. One that is finalized is answered as it is.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/finalize", tag = "billing", security(("operator" = [])), params(("id" = Uuid, Path, description = "The invoice")),
    responses(
        (status = 200, description = "The invoice as it is now", body = Invoice),
        (status = 404, description = "There is no such invoice", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn finalize_invoice(State(app): State<App>, operator: Operator, origin: Origin, Path(id): Path<String>) -> Result<Json<Invoice>> {
    let draft = app.registry.invoice(&Reach::All, id_of(&id)?).await?;
    closing::finalize(&app.registry, &app.rows, &draft, &operator.by(origin)).await.map(Json)
}

/// Note that an invoice was paid
#[utoipa::path(
    post, path = "/v1/invoices/{id}/pay", tag = "billing", security(("operator" = [])), params(("id" = Uuid, Path, description = "The invoice")),
    request_body = PaymentRequest,
    responses(
        (status = 200, description = "The invoice as it is now", body = Invoice),
        (status = 404, description = "There is no such invoice", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`invoice_not_payable`: a draft, void, or paid by another payment", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn pay_invoice(State(app): State<App>, operator: Operator, origin: Origin, Path(id): Path<String>, SmallJson(mut fields): SmallJson<Fields>) -> Result<Json<Invoice>> {
    let payment = fields.optional("payment", text(fields::name));
    let payment = fields.done(Some(payment))?;
    app.registry.pay_invoice(id_of(&id)?, payment.as_deref(), &operator.by(origin)).await.map(Json)
}

/// Make an invoice void
///
/// Nobody has to pay it, and its credits have back what it used up. What it took of usage is not billed again.
#[utoipa::path(
    post, path = "/v1/invoices/{id}/void", tag = "billing", security(("operator" = [])), params(("id" = Uuid, Path, description = "The invoice")),
    responses(
        (status = 200, description = "The invoice as it is now", body = Invoice),
        (status = 404, description = "There is no such invoice", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`invoice_not_voidable`: a draft, or paid", body = Problem, content_type = "application/problem+json"),
        Refusals,
    )
)]
async fn void_invoice(State(app): State<App>, operator: Operator, origin: Origin, Path(id): Path<String>) -> Result<Json<Invoice>> {
    app.registry.void_invoice(id_of(&id)?, &operator.by(origin)).await.map(Json)
}

/// Grant a credit
///
/// Invoices in its currency use it up, before later ones, and never more than is left of it.
#[utoipa::path(
    post, path = "/v1/credits", tag = "billing", security(("operator" = [])), request_body = CreditRequest,
    responses(
        (status = 201, description = "It is granted, or was before by this `id`", body = Credit),
        (status = 404, description = "There is no such tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`credit_exists`: another was granted by this `id`", body = Problem, content_type = "application/problem+json"),
        BodyRefusals,
        Refusals,
    )
)]
async fn post_credit(State(app): State<App>, operator: Operator, origin: Origin, SmallJson(fields): SmallJson<Fields>) -> Result<(StatusCode, Json<Credit>)> {
    let credit = app.registry.grant_credit(&credits::new(fields)?, &operator.by(origin)).await?;
    Ok((StatusCode::CREATED, Json(credit)))
}

/// List credits
///
/// Of the key's tenant, or for the operator of all tenants.
#[utoipa::path(
    get, path = "/v1/credits", tag = "billing", security(("operator" = []), ("api_key" = ["billing:read"])), params(CreditQuery),
    responses((status = 200, description = "A page, the latest first", body = CreditPage), ReadRefusals, Refusals)
)]
async fn get_credits(State(app): State<App>, theirs: OfTenants<ReadUsage>, Params(query): Params<CreditQuery>) -> Result<Json<CreditPage>> {
    let of = theirs.of_tenant(named_tenant(query.tenant.as_deref())?)?;
    credits::list(&app.registry, &of, &query).await.map(Json)
}

/// All of them.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_invoices))
        .routes(routes!(get_invoice))
        .routes(routes!(get_hours))
        .routes(routes!(finalize_invoice))
        .routes(routes!(pay_invoice))
        .routes(routes!(void_invoice))
        .routes(routes!(post_credit, get_credits))
}
