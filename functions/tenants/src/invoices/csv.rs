//! An invoice as CSV (RFC 4180): a line for each of its lines, then the subtotal, the credit and the total.

use shared::billing::usage::Meter;
use shared::error::{Error, Result};

use super::WholeInvoice;

const HEADER: [&str; 11] = ["invoice", "number", "tenant", "month", "line", "meter", "description", "quantity", "unit", "price", "amount"];

/// # Errors
/// [`Error::Internal`]: no memory.
pub(super) fn write(whole: &WholeInvoice) -> Result<Vec<u8>> {
    let fail = |e: csv::Error| Error::internal("writing CSV", e);
    let invoice = &whole.invoice;
    let (id, number, month) = (invoice.id.to_string(), invoice.number.map(|number| number.to_string()).unwrap_or_default(), invoice.month.to_string());
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(HEADER).map_err(fail)?;
    let mut row = |line: &str, meter: &str, rest: [&str; 5]| csv.write_record([&[id.as_str(), &number, &invoice.tenant, &month, line, meter][..], &rest].concat());
    for line in &whole.lines {
        let (quantity, price, amount) = (line.quantity.to_string(), line.price.to_string(), line.amount.to_string());
        let meter = line.meter.map_or("", Meter::as_str);
        row(&line.line.to_string(), meter, [&line.description, &quantity, &line.unit, &price, &amount]).map_err(fail)?;
    }
    for (what, amount) in whole.amounts() {
        let amount = amount.map(|amount| amount.to_string()).unwrap_or_default();
        row("", "", [what, "", invoice.currency.as_str(), "", &amount]).map_err(fail)?;
    }
    csv.into_inner().map_err(|e| Error::internal("writing CSV", e.into_error()))
}
