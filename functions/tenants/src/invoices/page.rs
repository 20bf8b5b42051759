//! An invoice as a page to be printed: HTML that loads nothing.

use std::fmt::{self, Display, Write as _};

use shared::tenants::InvoiceStatus;
use shared::timestamp;
use time::OffsetDateTime;

use super::WholeInvoice;

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#111}h1{font-size:1.5rem}\
    table{border-collapse:collapse;width:100%;margin:1.5rem 0}th,td{padding:.3rem .5rem;border-bottom:1px solid #ccc;text-align:left}\
    td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}tfoot td{border:0}tfoot tr:last-child td{font-weight:bold;border-top:2px solid #111}\
    dl{display:grid;grid-template-columns:max-content auto;gap:.1rem 1rem}dt{color:#555}dd{margin:0}@media print{body{margin:0;max-width:none}}";

/// A text that stands in HTML as it is read.
struct Text<T>(T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.to_string().chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

pub(super) fn write(whole: &WholeInvoice) -> String {
    let mut page = String::new();
    // A string takes all that is written to it.
    let _ = try_write(&mut page, whole);
    page
}

fn try_write(page: &mut String, whole: &WholeInvoice) -> fmt::Result {
    let invoice = &whole.invoice;
    let title = invoice.number.map_or_else(|| "Draft of an invoice".to_owned(), |number| format!("Invoice {number}"));
    write!(page, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title>", Text(&title))?;
    write!(page, "<style>{STYLE}</style></head><body><h1>{}</h1><dl>", Text(&title))?;
    let status = match invoice.status {
        InvoiceStatus::Draft => "Draft: it may still change",
        InvoiceStatus::Finalized => "To be paid",
        InvoiceStatus::Paid => "Paid",
        InvoiceStatus::Void => "Void: nobody has to pay it",
    };
    let day = |at: Option<OffsetDateTime>| at.map(|at| timestamp::format(timestamp::from_datetime(at))[..10].to_owned());
    let facts = [
        ("Tenant", Some(invoice.tenant.clone())),
        ("Month", Some(format!("{} (UTC)", invoice.month))),
        ("Plan", Some(format!("{}, version {}", invoice.plan, invoice.plan_version))),
        ("Status", Some(status.to_owned())),
        ("Date", day(invoice.finalized_at)),
        ("Paid", day(invoice.paid_at)),
        ("Payment", invoice.payment.clone()),
        ("Id", Some(invoice.id.to_string())),
    ];
    for (name, fact) in facts.iter().filter_map(|(name, fact)| Some((name, fact.as_ref()?))) {
        write!(page, "<dt>{name}</dt><dd>{}</dd>", Text(fact))?;
    }
    page.push_str("</dl><table><thead><tr><th class=\"n\">#</th><th>What</th><th class=\"n\">Quantity</th><th>Unit</th><th class=\"n\">Price</th>");
    write!(page, "<th class=\"n\">{}</th></tr></thead><tbody>", Text(invoice.currency))?;
    for line in &whole.lines {
        write!(page, "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td>", line.line, Text(&line.description), line.quantity)?;
        write!(page, "<td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>", Text(&line.unit), line.price, line.amount)?;
    }
    page.push_str("</tbody><tfoot>");
    for (what, amount) in whole.amounts() {
        let amount = amount.map(|amount| amount.to_string()).unwrap_or_default();
        write!(page, "<tr><td></td><td colspan=\"4\">{what}</td><td class=\"n\">{amount}</td></tr>")?;
    }
    page.push_str("</tfoot></table></body></html>\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_markup() {
        assert_eq!(Text("<b a='x'>\"&\"</b>").to_string(), "&lt;b a=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/b&gt;");
    }
}
