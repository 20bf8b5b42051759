//! The figures of a run, for people and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Arguments;
use crate::checks::Stored;
use crate::clients::{Recovery, Told};
use crate::schedule::Step;

pub(crate) struct Report<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) schedule: &'a [Step],
    pub(crate) told: &'a Told,
    pub(crate) stored: Stored,
    pub(crate) audit: &'a Value,
    pub(crate) longest: Recovery,
    pub(crate) peaks: [u64; 2],
    pub(crate) findings: &'a [String],
}

impl Report<'_> {
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let faults = self.schedule.iter().flat_map(|step| &step.faults);
        let mut by_kind: BTreeMap<String, u64> = BTreeMap::new();
        for fault in faults {
            *by_kind.entry(fault.kind.to_string()).or_default() += 1;
        }
        let told = self.told;
        let accepted: i64 = told.accepted.iter().map(|batch| i64::from(batch.logs)).sum();
        let raw_doubles: u64 = self.audit["tenants"].as_array().into_iter().flatten().filter_map(|tenant| tenant["raw_doubles"].as_u64()).sum();
        let figures = json!({
            "seed": self.arguments.seed,
            "minutes": self.arguments.minutes,
            "faults": by_kind.values().sum::<u64>(),
            "faults by kind": by_kind,
            "logs offered": told.logs_offered,
            "requests accepted": told.accepted.len(),
            "logs accepted": accepted,
            "logs rejected one by one": told.logs_rejected,
            "requests refused for good": told.refused,
            "tries": told.tries,
            "tries that were made again": told.bounced,
            "retries answered with the first batch": told.replayed,
            "rows": self.stored.rows,
            "dead letters": self.stored.dead,
            "doubles in raw, dropped by readers": raw_doubles,
            "longest from a fault's end to a 202, s": self.longest.accepted.as_secs_f64(),
            "longest from a fault's end to found, s": self.longest.indexed.as_secs_f64(),
            "peak memory of the hubs, MiB": self.peaks,
            "findings": self.findings,
        });
        println!();
        for (name, value) in figures.as_object().into_iter().flatten() {
            println!("{name:45} {value}");
        }
        let file = self.arguments.out.join(format!("seed-{}.json", self.arguments.seed));
        std::fs::write(&file, serde_json::to_string_pretty(&figures)?)?;
        println!("\n{}; the figures are in {}", if self.findings.is_empty() { "clean: every accepted log is in every store, once" } else { "NOT CLEAN" }, file.display());
        Ok(())
    }
}
