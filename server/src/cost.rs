//! `loggerhub cost`: what a hub of some size costs on AWS by list prices, with its arithmetic, and what hosted services ask for the same.

mod model;
mod prices;

use std::io::Write;

use clap::Args;
use serde_json::json;

use model::{Line, Size, number};

/// Arguments of `loggerhub cost`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Logs in a day; 864000000 are 10,000 a second.
    #[arg(long, value_parser = positive)]
    logs_per_day: f64,
    /// Bytes of one log as it is sent, a MiB at most.
    #[arg(long, value_parser = bytes_of_a_log, default_value = "600")]
    bytes_per_log: f64,
    /// Days that rows and documents are kept.
    #[arg(long, value_parser = positive, default_value = "30")]
    retention: f64,
    /// Days that raw is kept.
    #[arg(long, value_parser = positive, default_value = "365")]
    raw_retention: f64,
    /// Logs in one request.
    #[arg(long, value_parser = positive, default_value = "100")]
    logs_per_request: f64,
    /// How many times the average comes in the busiest hour: engines must hold that.
    #[arg(long, value_parser = positive, default_value = "2")]
    peak: f64,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.replace('_', "").parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 && number <= 1e15 => Ok(number),
        _ => Err("it is a number above 0".to_owned()),
    }
}

fn bytes_of_a_log(text: &str) -> Result<f64, String> {
    const MOST: f64 = shared::record::MAX_BYTES as f64;
    positive(text).and_then(|bytes| if bytes <= MOST { Ok(bytes) } else { Err(format!("a log has at most {MOST} bytes")) })
}

/// Runs the command.
///
/// # Errors
/// Nobody reads what it prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let size = Size {
        logs_per_day: arguments.logs_per_day,
        bytes_per_log: arguments.bytes_per_log,
        logs_per_request: arguments.logs_per_request,
        peak: arguments.peak,
        days: arguments.retention,
        raw_days: arguments.raw_retention,
    };
    let bill = size.bill();
    let out = std::io::stdout().lock();
    if arguments.json { as_json(out, size, &bill) } else { for_people(out, size, &bill) }
}

fn total(bill: &[Line]) -> f64 {
    bill.iter().map(|line| line.dollars).sum()
}

/// Components, the dearest first.
fn by_component(bill: &[Line]) -> Vec<(&'static str, f64)> {
    let mut sums: Vec<(&'static str, f64)> = Vec::new();
    for line in bill {
        match sums.iter_mut().find(|(component, _)| *component == line.component) {
            Some((_, sum)) => *sum += line.dollars,
            None => sums.push((line.component, line.dollars)),
        }
    }
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums
}

fn for_people(mut out: impl Write, size: Size, bill: &[Line]) -> anyhow::Result<()> {
    let sum = total(bill);
    writeln!(
        out,
        "{} logs of {} bytes a day, {} a second at the peak, {} in a request; rows and index kept {} days, raw {}.",
        number(size.logs_per_day),
        number(size.bytes_per_log),
        number(size.peak_rate()),
        number(size.logs_per_request),
        number(size.days),
        number(size.raw_days)
    )?;
    writeln!(out, "us-east-1, on demand, list prices without what is free for new accounts; a month of 30 days. docs/cost.md says where each number comes from.\n")?;
    for Line { component, arithmetic, dollars } in bill {
        writeln!(out, "{component:<20} {arithmetic:<88} {:>12}", money(*dollars))?;
    }
    writeln!(out, "{:<20} {:<88} {:>12}", "all", "", money(sum))?;
    writeln!(out, "\n${:.4} for a million logs, ${:.4} for a GB sent. What drives it:", sum / (size.logs() / 1e6), sum / size.gigabytes())?;
    for (component, dollars) in by_component(bill).iter().take(5) {
        writeln!(out, "  {component:<20} {:>5.1} %", dollars / sum * 100.0)?;
    }
    writeln!(out, "\nThe same by the prices that hosted services publish, a month:")?;
    for hosted in &prices::HOSTED {
        let asked = hosted.dollars(size).map_or_else(|| format!("none for {} days", number(size.days)), money);
        writeln!(out, "  {:<46} {asked:>18}   {}", hosted.name, hosted.source)?;
    }
    Ok(())
}

fn as_json(mut out: impl Write, size: Size, bill: &[Line]) -> anyhow::Result<()> {
    let sum = total(bill);
    let hosted: Vec<_> = prices::HOSTED.iter().map(|hosted| json!({ "name": hosted.name, "dollars": hosted.dollars(size), "source": hosted.source })).collect();
    let prices: Vec<_> = prices::ALL.iter().map(|price| json!({ "dollars": price.dollars, "unit": price.unit, "source": price.source })).collect();
    let answer = json!({
        "lines": bill,
        "dollars_a_month": sum,
        "dollars_a_million_logs": sum / (size.logs() / 1e6),
        "dollars_a_gb_sent": sum / size.gigabytes(),
        "hosted": hosted,
        "prices": prices,
    });
    Ok(writeln!(out, "{answer}")?)
}

fn money(dollars: f64) -> String {
    let cents = format!("{dollars:.2}");
    let (whole, fraction) = cents.split_once('.').unwrap_or((&cents, "00"));
    format!("{}.{fraction}", number(whole.parse().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_cents() {
        assert_eq!([money(0.0), money(1234.5), money(0.004)], ["0.00", "1,234.50", "0.00"]);
    }

    #[test]
    fn only_numbers_above_zero_are_taken() {
        assert_eq!(positive("1_000").ok(), Some(1000.0));
        assert!(["0", "-1", "nan", "inf", "many", ""].iter().all(|text| positive(text).is_err()));
    }
}
