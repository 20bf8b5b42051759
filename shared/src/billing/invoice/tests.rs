//! Properties of invoices over random usage, plans and credits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::billing::terms::{HIGHEST_PRICE, MOST_UNITS, Tier};
use crate::limits::TenantLimits;

fn price() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        3 => (0_i64..100_000_000, 0_u32..=10).prop_map(|(number, scale)| Decimal::new(number, scale)),
        1 => Just(Decimal::ZERO),
        1 => Just(Decimal::from(HIGHEST_PRICE)),
    ]
}

fn units(meter: Meter) -> impl Strategy<Value = Decimal> {
    prop_oneof![4 => (0_i64..10_000_000_000, 0_u32..=meter.zeros()).prop_map(|(number, scale)| Decimal::new(number, scale)), 1 => Just(Decimal::from(MOST_UNITS))]
}

fn meter_terms(meter: Meter) -> impl Strategy<Value = MeterTerms> {
    (units(meter), proptest::collection::vec((units(meter), price()), 0..5), price()).prop_map(move |(included, mut tiers, last)| {
        tiers.sort_by_key(|(up_to, _)| *up_to);
        tiers.dedup_by_key(|(up_to, _)| *up_to);
        let mut tiers: Vec<Tier> = tiers.into_iter().filter(|(up_to, _)| !up_to.is_zero()).map(|(up_to, price)| Tier { up_to: Some(up_to), price }).collect();
        tiers.push(Tier { up_to: None, price: last });
        MeterTerms { meter, included, tiers }
    })
}

fn currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(vec!["EUR", "JPY", "KWD"]).prop_map(|code| Currency::parse(code).expect("a currency"))
}

fn terms() -> impl Strategy<Value = (Currency, Terms)> {
    let meters = proptest::sample::subsequence(Meter::ALL.to_vec(), 0..=Meter::ALL.len()).prop_flat_map(|meters| meters.into_iter().map(meter_terms).collect::<Vec<_>>());
    (currency(), 0_i64..100_000, meters)
        .prop_map(|(currency, base, meters)| (currency, Terms { base_price: Decimal::new(base, currency.decimals()), meters, limits: TenantLimits::default() }))
}

fn usage() -> impl Strategy<Value = Usage> {
    let counted = prop_oneof![5 => 0_i64..50_000_000_000, 2 => Just(0), 1 => 0..=i64::MAX / 1000];
    proptest::collection::vec(counted, Meter::ALL.len()).prop_map(|counted| Usage::by(|meter| counted[meter as usize]))
}

fn credits(currency: Currency) -> impl Strategy<Value = Vec<Credit>> {
    proptest::collection::vec(0_i64..10_000_000, 0..5)
        .prop_map(move |coins| coins.into_iter().enumerate().map(|(n, coins)| (Uuid::from_u128(n as u128), Decimal::new(coins, currency.decimals()))).collect())
}

fn month() -> impl Strategy<Value = (Currency, Terms, Usage, Vec<Credit>)> {
    terms().prop_flat_map(|(currency, terms)| (Just(currency), Just(terms), usage(), credits(currency)))
}

fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Decimal {
    amounts.into_iter().sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn lines_add_up_to_the_total_and_hold_each_unit_once((currency, terms, used, credits) in month()) {
        prop_assert_eq!(terms.check(currency), Ok(()));
        let drawn = draw_up(currency, &terms, &used, &credits).expect("what the bounds allow can be written down");
        prop_assert_eq!(sum(drawn.lines.iter().map(|line| line.amount)), drawn.subtotal);
        prop_assert_eq!(drawn.subtotal - drawn.credit, drawn.total);
        prop_assert!(drawn.total >= Decimal::ZERO && drawn.credit >= Decimal::ZERO);
        prop_assert!(drawn.lines.iter().all(|line| currency.is_payable(line.amount) && line.quantity > Decimal::ZERO));
        prop_assert!(drawn.lines.iter().enumerate().all(|(n, line)| line.line as usize == n + 1));
        let mut by_meter: BTreeMap<Meter, Decimal> = BTreeMap::new();
        for line in &drawn.lines {
            if let Some(meter) = line.meter {
                *by_meter.entry(meter).or_default() += line.quantity;
            }
        }
        for terms in &terms.meters {
            prop_assert_eq!(by_meter.remove(&terms.meter).unwrap_or_default(), terms.meter.in_units(used.of(terms.meter)), "{:?}", terms.meter);
        }
        prop_assert!(by_meter.is_empty(), "what the plan does not name is not charged");
    }

    #[test]
    fn each_unit_costs_what_its_tier_says((currency, terms, used, _) in month()) {
        let drawn = draw_up(currency, &terms, &used, &[]).expect("it can be written down");
        for terms in &terms.meters {
            // Tier by tier, from its own two bounds: another way to the same.
            let used = terms.meter.in_units(used.of(terms.meter));
            let past = (used - terms.included).max(Decimal::ZERO);
            let mut begin = Decimal::ZERO;
            let mut parts = vec![(used.min(terms.included), Decimal::ZERO)];
            for tier in &terms.tiers {
                let end = tier.up_to.unwrap_or(Decimal::MAX);
                parts.push(((past.min(end) - begin).max(Decimal::ZERO), tier.price));
                begin = end;
            }
            let parts: Vec<_> = parts.into_iter().filter(|(quantity, _)| !quantity.is_zero()).collect();
            let lines: Vec<_> = drawn.lines.iter().filter(|line| line.meter == Some(terms.meter)).map(|line| (line.quantity, line.price)).collect();
            prop_assert_eq!(lines, parts);
        }
    }

    #[test]
    fn credits_are_used_up_in_order_and_never_more_than_is_left_of_them((currency, terms, used, credits) in month()) {
        let drawn = draw_up(currency, &terms, &used, &credits).expect("it can be written down");
        prop_assert_eq!(sum(drawn.credits.iter().map(|(_, part)| *part)), drawn.credit);
        let used_of = |id: Uuid| drawn.credits.iter().find(|(used, _)| *used == id).map_or(Decimal::ZERO, |(_, part)| *part);
        let mut some_left = false;
        for (id, remaining) in &credits {
            let part = used_of(*id);
            prop_assert!(part >= Decimal::ZERO && part <= *remaining);
            prop_assert!(part.is_zero() || !some_left, "the one before was not used up");
            some_left |= part < *remaining;
        }
        prop_assert!(drawn.total.is_zero() || !some_left, "nothing is to be paid while a credit has something left");
    }

    #[test]
    fn using_more_never_costs_less((currency, terms, used, _) in month(), more in usage()) {
        let total = |used: &Usage| draw_up(currency, &terms, used, &[]).map(|drawn| drawn.total);
        let both = Usage::by(|meter| used.of(meter).saturating_add(more.of(meter)).min(i64::MAX / 1000));
        // A line that is split in two tiers may be rounded up twice: never more than half a coin a line.
        let coins = Decimal::new(5, currency.decimals() + 1) * Decimal::from(2 * (Meter::ALL.len() * 7));
        let (before, after) = (total(&used).expect("it can be written down"), total(&both).expect("it can be written down"));
        prop_assert!(after + coins >= before, "{} after {}", after, before);
    }

    #[test]
    fn what_is_split_over_months_is_billed_once((currency, terms, used, credits) in month(), parts in proptest::collection::vec(0_i64..100, 8)) {
        // A replay of a closing takes nothing, and what comes late is taken by the next month: what two months bill is all, once.
        let first = Usage::by(|meter| used.of(meter) / 100 * parts[meter as usize]);
        let second = Usage::by(|meter| used.of(meter) - first.of(meter));
        let one = draw_up(currency, &terms, &first, &credits).expect("it can be written down");
        prop_assert_eq!(&draw_up(currency, &terms, &first, &credits).expect("it can be written down"), &one, "drawn up again it is the same");
        let left: Vec<Credit> = credits.iter().map(|(id, remaining)| (*id, *remaining - one.credits.iter().find(|(used, _)| used == id).map_or(Decimal::ZERO, |(_, part)| *part))).collect();
        let two = draw_up(currency, &terms, &second, &left).expect("it can be written down");
        for terms in &terms.meters {
            let billed = sum(one.lines.iter().chain(&two.lines).filter(|line| line.meter == Some(terms.meter)).map(|line| line.quantity));
            prop_assert_eq!(billed, terms.meter.in_units(used.of(terms.meter)));
        }
        prop_assert!(one.credit + two.credit <= sum(credits.iter().map(|(_, remaining)| *remaining)));
    }
}

#[test]
fn a_tier_ends_where_the_next_begins() {
    let decimal = |text: &str| text.parse::<Decimal>().expect("a decimal");
    let tiers =
        vec![Tier { up_to: Some(decimal("10")), price: decimal("1") }, Tier { up_to: Some(decimal("50")), price: decimal("0.5") }, Tier { up_to: None, price: decimal("0.25") }];
    let terms = Terms { base_price: decimal("9"), meters: vec![MeterTerms { meter: Meter::Bytes, included: decimal("5"), tiers }], limits: TenantLimits::default() };
    let euro = Currency::parse("EUR").expect("a currency");
    let lines = |bytes: i64| {
        let drawn = draw_up(euro, &terms, &Usage { bytes, ..Usage::default() }, &[]).expect("it can be written down");
        let lines: Vec<_> = drawn.lines.iter().skip(1).map(|line| format!("{} = {} x {}", line.description, line.quantity, line.price)).collect();
        (lines.join("; "), drawn.total.to_string())
    };
    const GB: i64 = 1_000_000_000;
    assert_eq!(lines(0), (String::new(), "9.00".to_owned()));
    assert_eq!(lines(5 * GB), ("Records stored: included = 5 x 0.00".to_owned(), "9.00".to_owned()));
    assert_eq!(lines(15 * GB), ("Records stored: included = 5 x 0.00; Records stored: the first 10 = 10 x 1.00".to_owned(), "19.00".to_owned()));
    let all = "Records stored: included = 5 x 0.00; Records stored: the first 10 = 10 x 1.00; Records stored: from 10 to 50 = 40 x 0.50; Records stored: past 50 = 1.5 x 0.25";
    assert_eq!(lines(56 * GB + GB / 2), (all.to_owned(), "39.38".to_owned()));
}
