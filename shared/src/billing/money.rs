//! Exact money: currencies and their smallest coins, and the one place where an amount is rounded.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Currencies whose smallest coin is the unit itself (ISO 4217, table A.1).
const WITHOUT_CENTS: [&str; 16] = ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"];
/// Currencies whose smallest coin is a thousandth.
const WITH_THOUSANDTHS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// A currency, by its code of three letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code such as `EUR`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// Its code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Digits of an amount after the point.
    #[must_use]
    pub fn decimals(self) -> u32 {
        match self.as_str() {
            code if WITHOUT_CENTS.contains(&code) => 0,
            code if WITH_THOUSANDTHS.contains(&code) => 3,
            _ => 2,
        }
    }

    /// Whether an amount is one of whole coins.
    #[must_use]
    pub fn is_payable(self, amount: Decimal) -> bool {
        amount.normalize().scale() <= self.decimals()
    }

    /// An amount with as many digits after the point as it is written with.
    #[must_use]
    pub fn written(self, amount: Decimal) -> Decimal {
        let mut amount = amount.normalize();
        if amount.scale() < self.decimals() {
            amount.rescale(self.decimals());
        }
        amount
    }
}

/// A text that is no currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a currency of three capital letters")]
pub struct NoCurrency;

impl TryFrom<String> for Currency {
    type Error = NoCurrency;

    fn try_from(text: String) -> Result<Self, NoCurrency> {
        Self::parse(&text).ok_or(NoCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(NoCurrency))
    }
}

/// `quantity` times `price`, rounded once, to `decimals` digits; half a coin is rounded up. Neither is negative. `None` where it is more than
/// can be written down.
///
/// [`Decimal`]'s own product drops digits where there are too many of them, which would be a second rounding.
#[must_use]
pub fn product(quantity: Decimal, price: Decimal, decimals: u32) -> Option<Decimal> {
    let exact = quantity.mantissa().checked_mul(price.mantissa())?;
    let scale = quantity.scale() + price.scale();
    let coins = match scale.checked_sub(decimals) {
        None => exact.checked_mul(10_i128.checked_pow(decimals - scale)?)?,
        Some(digits) => {
            let divisor = 10_i128.checked_pow(digits)?;
            let (whole, rest) = (exact / divisor, exact % divisor);
            whole + i128::from(rest >= divisor - rest)
        }
    };
    Decimal::try_from_i128_with_scale(coins, decimals).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn half_a_coin_is_rounded_up_and_less_is_dropped() {
        for (quantity, price, decimals, amount) in [
            ("1", "0.005", 2, "0.01"),
            ("1", "0.0049999999", 2, "0.00"),
            ("3", "0.335", 2, "1.01"),
            ("2.5", "1", 0, "3"),
            ("1.2345", "2", 3, "2.469"),
            ("0", "1", 2, "0.00"),
            ("7", "3", 2, "21.00"),
            // 0.1 and 0.2 are exact here.
            ("3", "0.1", 2, "0.30"),
            ("9223372036854.775807", "999999.9999999999", 2, "9223372036854774884.66"),
        ] {
            let made = product(decimal(quantity), decimal(price), decimals).expect("it can be written");
            assert_eq!(made.to_string(), amount, "{quantity} x {price}");
        }
        assert_eq!(product(Decimal::MAX, Decimal::MAX, 2), None);
    }

    #[test]
    fn coins_are_those_of_the_currency() {
        let decimals = |code: &str| Currency::parse(code).map(Currency::decimals);
        assert_eq!((decimals("EUR"), decimals("JPY"), decimals("KWD"), decimals("eur"), decimals("EURO")), (Some(2), Some(0), Some(3), None, None));
        let euro = Currency::parse("EUR").expect("a currency");
        assert!(euro.is_payable(decimal("1.20")) && euro.is_payable(decimal("1.200")) && !euro.is_payable(decimal("1.201")));
        assert_eq!((euro.written(decimal("7")).to_string(), euro.written(decimal("7.100")).to_string()), ("7.00".to_owned(), "7.10".to_owned()));
    }

    proptest! {
        #[test]
        fn a_product_is_off_by_half_a_coin_at_most(quantity in 0_i64..1_000_000_000_000, price in 0_i64..1_000_000_000, decimals in 0_u32..4) {
            let (quantity, price) = (Decimal::new(quantity, 6), Decimal::new(price, 7));
            let made = product(quantity, price, decimals).expect("it can be written");
            // Small enough for the crate's own product to be exact.
            let off = (made - quantity * price).abs() * Decimal::TWO;
            prop_assert!(off <= Decimal::new(1, decimals), "{} x {} = {}", quantity, price, made);
        }
    }
}
