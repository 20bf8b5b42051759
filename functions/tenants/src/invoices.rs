//! Invoices: listed, shown as JSON, CSV or a page to be printed, and traced back to the hours that they are made of.

mod csv;
mod hours;
mod list;
mod page;
mod show;

pub(crate) use hours::{HourPage, HourParams, hours};
pub(crate) use list::{InvoicePage, InvoiceQuery, list};
pub(crate) use show::{Form, FormParams, WholeInvoice, whole};
