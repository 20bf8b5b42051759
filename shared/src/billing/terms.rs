//! What a plan asks for a month: a base price, and for each meter what is included and what the rest costs.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::money::Currency;
use super::usage::Meter;
use crate::limits::{TenantLimits, is_default};

/// Most digits of a price after the point.
pub const PRICE_DIGITS: u32 = 10;
/// Highest price, of a unit or a month.
pub const HIGHEST_PRICE: i64 = 1_000_000_000;
/// Most units of a bound. Bounds lie on what is counted, not between (an included half of a byte would be none): with these limits no line is
/// more than can be written down.
pub const MOST_UNITS: i64 = 1_000_000_000_000;
/// Most tiers of a meter.
pub const MOST_TIERS: usize = 20;

/// What a plan asks for a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Terms {
    /// What a month costs whatever is used.
    #[schema(value_type = String, example = "49.00")]
    pub base_price: Decimal,
    /// What is charged for; all else costs nothing. Each meter at most once.
    pub meters: Vec<MeterTerms>,
    /// How much a tenant of this plan may send that has no limits of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: TenantLimits,
}

/// A decimal as it is sent: as a text, exact whatever reads it, or a whole number. Answers have texts.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(example = "0.50")]
#[serde(untagged)]
pub enum SentDecimal {
    /// Such as `"0.50"`.
    Text(String),
    /// Such as `12`.
    Whole(i64),
}

/// What a plan asks for one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MeterTerms {
    /// What is counted.
    pub meter: Meter,
    /// Units that cost nothing.
    #[schema(value_type = SentDecimal, example = "10")]
    pub included: Decimal,
    /// What the units past those cost, graduated: each unit costs what its tier says.
    pub tiers: Vec<Tier>,
}

/// Units that cost the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tier {
    /// Where it ends, counted in units past the included ones; the next begins there. `null` for the last, which does not end.
    #[schema(value_type = Option<SentDecimal>, example = "100")]
    pub up_to: Option<Decimal>,
    /// What a unit costs.
    #[schema(value_type = SentDecimal, example = "0.50")]
    pub price: Decimal,
}

impl Terms {
    /// What is wrong with them, and in which field.
    ///
    /// # Errors
    /// The name of the field, and a sentence.
    pub fn check(&self, currency: Currency) -> Result<(), (&'static str, String)> {
        let base = |detail: String| ("base_price", detail);
        if !currency.is_payable(self.base_price) {
            return Err(base(format!("must have at most {} digits after the point in {currency}", currency.decimals())));
        }
        price(self.base_price).map_err(base)?;
        for (nth, terms) in self.meters.iter().enumerate() {
            terms.check().map_err(|detail| ("meters", format!("[{nth}]: {detail}")))?;
            if self.meters[..nth].iter().any(|other| other.meter == terms.meter) {
                return Err(("meters", format!("[{nth}]: `{}` stands there twice", terms.meter.as_str())));
            }
        }
        self.limits.check().map_err(|wrong| ("limits", wrong))
    }
}

impl MeterTerms {
    fn check(&self) -> Result<(), String> {
        units(self.meter, self.included).map_err(|detail| format!("`included` {detail}"))?;
        if !(1..=MOST_TIERS).contains(&self.tiers.len()) {
            return Err(format!("`tiers` must be 1 to {MOST_TIERS}"));
        }
        let mut reached = Decimal::ZERO;
        for (nth, tier) in self.tiers.iter().enumerate() {
            price(tier.price).map_err(|detail| format!("`price` of tier {nth} {detail}"))?;
            match tier.up_to {
                None if nth + 1 == self.tiers.len() => return Ok(()),
                None => return Err(format!("`up_to` of tier {nth} must be given: only the last does not end")),
                Some(up_to) => {
                    units(self.meter, up_to).map_err(|detail| format!("`up_to` of tier {nth} {detail}"))?;
                    if up_to <= reached {
                        return Err(format!("`up_to` of tier {nth} must be more than that of the one before, and than 0"));
                    }
                    reached = up_to;
                }
            }
        }
        Err("the last tier must have no `up_to`: what is used past it would have no price".to_owned())
    }
}

fn price(price: Decimal) -> Result<(), String> {
    if price.normalize().scale() > PRICE_DIGITS {
        return Err(format!("must have at most {PRICE_DIGITS} digits after the point"));
    }
    if (Decimal::ZERO..=Decimal::from(HIGHEST_PRICE)).contains(&price) { Ok(()) } else { Err(format!("must be 0 to {HIGHEST_PRICE}")) }
}

fn units(meter: Meter, units: Decimal) -> Result<(), String> {
    if units.normalize().scale() > meter.zeros() {
        return Err(format!("must have at most {} digits after the point: a unit is a {}", meter.zeros(), meter.unit()));
    }
    if (Decimal::ZERO..=Decimal::from(MOST_UNITS)).contains(&units) { Ok(()) } else { Err(format!("must be 0 to {MOST_UNITS}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    fn meter(tiers: &[(Option<&str>, &str)]) -> MeterTerms {
        let tiers = tiers.iter().map(|(up_to, price)| Tier { up_to: up_to.map(decimal), price: decimal(price) }).collect();
        MeterTerms { meter: Meter::Bytes, included: Decimal::TEN, tiers }
    }

    #[test]
    fn tiers_rise_and_only_the_last_does_not_end() {
        let euro = Currency::parse("EUR").expect("a currency");
        let check = |base: &str, meters: Vec<MeterTerms>| Terms { base_price: decimal(base), meters, limits: TenantLimits::default() }.check(euro).err().map(|(field, _)| field);
        assert_eq!(check("49.00", vec![meter(&[(Some("5"), "1"), (Some("10"), "0.5"), (None, "0.0000000001")])]), None);
        assert_eq!(check("0", Vec::new()), None);
        for bad in [
            vec![meter(&[])],
            vec![meter(&[(Some("5"), "1")])],
            vec![meter(&[(None, "1"), (None, "2")])],
            vec![meter(&[(Some("0"), "1"), (None, "2")])],
            vec![meter(&[(Some("5"), "1"), (Some("5"), "1"), (None, "2")])],
            vec![meter(&[(None, "-1")])],
            vec![meter(&[(None, "0.00000000001")])],
            vec![meter(&[(None, "1000000000.1")])],
            vec![meter(&[(Some("0.0000000001"), "1"), (None, "2")])],
            vec![meter(&[(None, "1")]), meter(&[(None, "1")])],
        ] {
            assert_eq!(check("0", bad.clone()), Some("meters"), "{bad:?}");
        }
        assert_eq!((check("-1", Vec::new()), check("0.001", Vec::new())), (Some("base_price"), Some("base_price")));
    }
}
