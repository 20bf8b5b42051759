//! The lines and the total of a month.

use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use super::money::{Currency, product};
use super::terms::{MeterTerms, Terms};
use super::usage::{Meter, Usage};

/// A line: so many units of one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Line {
    /// Its number on the invoice, from 1.
    pub line: i32,
    /// What was counted; `null` for the base price.
    pub meter: Option<Meter>,
    /// What it is, for people.
    pub description: String,
    /// What a unit is.
    pub unit: String,
    /// How many.
    #[schema(value_type = String, example = "12.5")]
    pub quantity: Decimal,
    /// What a unit costs.
    #[schema(value_type = String, example = "0.50")]
    pub price: Decimal,
    /// Quantity times price, rounded once.
    #[schema(value_type = String, example = "6.25")]
    pub amount: Decimal,
}

/// A credit that may be used up: its id, and what is left of it.
pub type Credit = (Uuid, Decimal);

/// What a month comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// What is charged for.
    pub lines: Vec<Line>,
    /// What the lines add up to.
    pub subtotal: Decimal,
    /// What of each credit is used up: those of which some is.
    pub credits: Vec<Credit>,
    /// What the credits add up to.
    pub credit: Decimal,
    /// What is to be paid.
    pub total: Decimal,
}

/// A sum that is more than can be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is more than can be written down")]
pub struct TooMuch;

/// Draws up a month: what these terms ask for what was used, less these credits, which are used up in this order.
///
/// Each line is rounded once, half a coin up; sums are exact. A meter has a line for what is included and one for each tier that it reached,
/// so the quantities of its lines add up to all that was used of it.
///
/// # Errors
/// [`TooMuch`].
pub fn draw_up(currency: Currency, terms: &Terms, used: &Usage, credits: &[Credit]) -> Result<Drawn, TooMuch> {
    let mut lines = Lines { currency, lines: Vec::new() };
    lines.add(None, "Base price".to_owned(), "month", Decimal::ONE, terms.base_price)?;
    for meter in Meter::ALL {
        if let Some(terms) = terms.meters.iter().find(|terms| terms.meter == meter) {
            lines.add_meter(terms, meter.in_units(used.of(meter)))?;
        }
    }
    let zero = currency.written(Decimal::ZERO);
    let subtotal = lines.lines.iter().try_fold(zero, |sum, line| sum.checked_add(line.amount)).ok_or(TooMuch)?;
    let mut left = subtotal;
    let mut used_up = Vec::new();
    for (id, remaining) in credits {
        let part = left.min(*remaining);
        if part > Decimal::ZERO {
            left -= part;
            used_up.push((*id, part));
        }
    }
    let credit = currency.written(subtotal - left);
    Ok(Drawn { lines: lines.lines, subtotal: currency.written(subtotal), credits: used_up, credit, total: currency.written(left) })
}

struct Lines {
    currency: Currency,
    lines: Vec<Line>,
}

impl Lines {
    fn add(&mut self, meter: Option<Meter>, description: String, unit: &str, quantity: Decimal, price: Decimal) -> Result<(), TooMuch> {
        let amount = product(quantity, price, self.currency.decimals()).ok_or(TooMuch)?;
        let line = i32::try_from(self.lines.len() + 1).map_err(|_| TooMuch)?;
        self.lines.push(Line { line, meter, description, unit: unit.to_owned(), quantity, price: self.currency.written(price), amount });
        Ok(())
    }

    fn add_meter(&mut self, terms: &MeterTerms, used: Decimal) -> Result<(), TooMuch> {
        let mut left = used;
        let free = left.min(terms.included);
        if free > Decimal::ZERO {
            self.add_part(terms.meter, ": included", free, Decimal::ZERO)?;
            left -= free;
        }
        let mut reached = Decimal::ZERO;
        for tier in &terms.tiers {
            let part = tier.up_to.map_or(left, |up_to| left.min(up_to - reached));
            if part > Decimal::ZERO {
                let which = match (terms.tiers.len(), tier.up_to.map(|up_to| up_to.normalize())) {
                    (1, _) if terms.included.is_zero() => String::new(),
                    (1, _) => ": past what is included".to_owned(),
                    (_, Some(up_to)) if reached.is_zero() => format!(": the first {up_to}"),
                    (_, Some(up_to)) => format!(": from {reached} to {up_to}"),
                    (_, None) => format!(": past {reached}"),
                };
                self.add_part(terms.meter, &which, part, tier.price)?;
                left -= part;
            }
            reached = tier.up_to.map_or(reached, |up_to| up_to.normalize());
        }
        Ok(())
    }

    fn add_part(&mut self, meter: Meter, which: &str, quantity: Decimal, price: Decimal) -> Result<(), TooMuch> {
        self.add(Some(meter), format!("{}{which}", meter.title()), meter.unit(), quantity.normalize(), price)
    }
}

#[cfg(test)]
mod tests;
