//! A whole invoice, and the forms in which it is shown.

use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::billing::closing;
use shared::billing::invoice::Line;
use shared::error::{Error, Result};
use shared::rows::{Reach, Rows};
use shared::tenants::{Invoice, InvoiceStatus, Registry};
use uuid::Uuid;

use super::{csv, page};

/// In which form to show an invoice.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct FormParams {
    /// `json`, `csv` or `html`; not given, what `Accept` asks for, and else JSON.
    #[param(example = "csv")]
    format: Option<String>,
}

/// A form in which an invoice is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Csv,
    Html,
}

impl Form {
    /// # Errors
    /// [`Error::Invalid`] for a `format` that is none.
    pub(crate) fn read(params: &FormParams, headers: &HeaderMap) -> Result<Self> {
        match params.format.as_deref() {
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("html") => Ok(Self::Html),
            Some(_) => Err(Error::invalid("format", "must be `json`, `csv` or `html`")),
            None => Ok(Self::accepted(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default())),
        }
    }

    /// The first of our forms that is named: browsers name HTML first, and programs one only.
    fn accepted(accept: &str) -> Self {
        let form = |kind: &str| match kind.split(';').next().unwrap_or_default().trim() {
            "application/json" => Some(Self::Json),
            "text/csv" => Some(Self::Csv),
            "text/html" => Some(Self::Html),
            _ => None,
        };
        accept.split(',').find_map(form).unwrap_or(Self::Json)
    }
}

/// An invoice with its lines. Of a draft they, and the amounts, are what it comes to now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WholeInvoice {
    #[serde(flatten)]
    pub(super) invoice: Invoice,
    pub(super) lines: Vec<Line>,
}

/// # Errors
/// [`Error::NotFound`], also for another's; weather.
pub(crate) async fn whole(registry: &Registry, rows: &Rows, of: &Reach, id: Uuid) -> Result<WholeInvoice> {
    let mut invoice = registry.invoice(of, id).await?;
    if invoice.status != InvoiceStatus::Draft {
        return Ok(WholeInvoice { lines: registry.invoice_lines(&invoice).await?, invoice });
    }
    let drawn = closing::drawn(registry, rows, &invoice).await?;
    (invoice.subtotal, invoice.credit, invoice.total) = (Some(drawn.subtotal), Some(drawn.credit), Some(drawn.total));
    Ok(WholeInvoice { invoice, lines: drawn.lines })
}

impl WholeInvoice {
    /// The answer in this form.
    ///
    /// # Errors
    /// [`Error::Internal`]: no memory.
    pub(crate) fn answer(self, form: Form) -> Result<Response> {
        Ok(match form {
            Form::Json => ([(VARY, "accept")], Json(self)).into_response(),
            Form::Csv => {
                let name = format!("attachment; filename=\"{}.csv\"", self.name());
                let headers = [(VARY, "accept".to_owned()), (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
                (headers, csv::write(&self)?).into_response()
            }
            Form::Html => {
                // Nothing is loaded, and nothing is run: it is for paper.
                let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
                ([(VARY, "accept"), (CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)], page::write(&self)).into_response()
            }
        })
    }

    fn name(&self) -> String {
        self.invoice.number.map_or_else(|| format!("draft-{}-{}", self.invoice.tenant, self.invoice.month), |number| format!("invoice-{number}"))
    }

    pub(super) fn amounts(&self) -> [(&'static str, Option<Decimal>); 3] {
        // Nothing less nothing is written without a sign.
        let less = |credit: Decimal| if credit.is_zero() { credit } else { -credit };
        [("Subtotal", self.invoice.subtotal), ("Credit", self.invoice.credit.map(less)), ("Total", self.invoice.total)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_is_asked_for() {
        for (accept, form) in [
            ("", Form::Json),
            ("*/*", Form::Json),
            ("text/csv", Form::Csv),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Html),
            ("application/json, text/html", Form::Json),
        ] {
            assert_eq!(Form::accepted(accept), form, "{accept}");
        }
        let read = |format: &str| Form::read(&FormParams { format: Some(format.to_owned()) }, &HeaderMap::new());
        assert_eq!((read("csv").ok(), read("html").ok(), read("pdf").ok()), (Some(Form::Csv), Some(Form::Html), None));
    }
}
