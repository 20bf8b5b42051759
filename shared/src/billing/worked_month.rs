//! The worked month of docs/billing.md, computed from the figures that stand there: so it stays true.

use serde_json::Value;
use uuid::Uuid;

use super::invoice::{Credit, draw_up};
use super::money::Currency;
use super::terms::Terms;
use super::usage::{Meter, Usage};

const PAGE: &str = include_str!("../../../docs/billing.md");

#[test]
fn the_worked_month_is_what_its_figures_come_to() {
    let (_, month) = PAGE.split_once("## A month, worked out").expect("the section is there");
    let month = month.split("\n## ").next().expect("a section");
    let blocks: Vec<Value> = month.split("```json\n").skip(1).map(|block| serde_json::from_str(block.split("```").next().expect("a block")).expect("JSON")).collect();
    let [plan, usage, credits] = blocks.as_slice() else { panic!("a plan, usage and credits, not {}", blocks.len()) };
    let currency = Currency::parse(plan["currency"].as_str().expect("a currency")).expect("a currency");
    let terms: Terms = serde_json::from_value(plan.clone()).expect("terms");
    assert_eq!(terms.check(currency), Ok(()));
    let used = Usage::by(|meter| usage.get(meter.as_str()).map_or(0, |counted| counted.as_i64().expect("a whole number")));
    assert_eq!(usage.as_object().map(serde_json::Map::len), Some(Meter::ALL.iter().filter(|meter| used.of(**meter) > 0).count()), "each figure is of a meter");
    let left = credits.as_array().expect("credits").iter();
    let credits: Vec<Credit> =
        left.enumerate().map(|(n, credit)| (Uuid::from_u128(n as u128), credit["remaining"].as_str().and_then(|text| text.parse().ok()).expect("an amount"))).collect();

    let drawn = draw_up(currency, &terms, &used, &credits).expect("it can be written down");
    let lines = drawn.lines.iter().map(|line| format!("| {} | {} | {} | {} | {} | {} |", line.line, line.description, line.quantity, line.unit, line.price, line.amount));
    let sums = [("Subtotal", drawn.subtotal), ("Credit", -drawn.credit), ("Total", drawn.total)].map(|(what, amount)| format!("| | {what} | | | | {amount} |"));
    let computed: Vec<String> = lines.chain(sums).collect();
    let written: Vec<&str> = month.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")).collect();
    assert_eq!(written, computed);
}
