//! What was found out, for people and as JSON.

use std::io::Write;

use serde_json::{Value, json};

use super::callers::Caller;
use super::document::Operation;
use super::walk::{Step, Walked};

/// The table of routes and callers: in each cell the statuses that a caller got, and `!` where one of them is wrong.
pub(super) fn table(out: &mut impl Write, operations: &[Operation], callers: &[Caller], walked: &Walked) -> std::io::Result<()> {
    for (number, caller) in callers.iter().enumerate() {
        writeln!(out, "{:>3}  {}", number + 1, caller.name)?;
    }
    writeln!(out)?;
    let cells: Vec<Vec<String>> = (0..operations.len()).map(|operation| (0..callers.len()).map(|caller| cell(walked, operation, caller)).collect()).collect();
    let width = |caller: usize| cells.iter().map(|row| row[caller].len()).max().unwrap_or_default().max(3);
    let widths: Vec<usize> = (0..callers.len()).map(width).collect();
    let first = operations.iter().map(|operation| operation.name().len()).max().unwrap_or_default();
    write!(out, "{:first$}", "")?;
    widths.iter().enumerate().try_for_each(|(caller, width)| write!(out, "  {:width$}", caller + 1))?;
    writeln!(out, "  verdict")?;
    for (at, (operation, row)) in operations.iter().zip(&cells).enumerate() {
        write!(out, "{:first$}", operation.name())?;
        row.iter().zip(&widths).try_for_each(|(cell, width)| write!(out, "  {cell:width$}"))?;
        writeln!(out, "  {}", verdict(operation, at, walked))?;
    }
    Ok(())
}

fn verdict(operation: &Operation, at: usize, walked: &Walked) -> &'static str {
    let of_it: Vec<&Step> = walked.steps.iter().filter(|step| step.operation == at).collect();
    let is_at_fault = walked.faults.iter().any(|fault| fault.starts_with(&format!("{}: ", operation.name())));
    match (is_at_fault || of_it.iter().any(|step| step.fault.is_some()), of_it.is_empty()) {
        (true, _) => "WRONG",
        (false, true) => "not tried",
        (false, false) => "ok",
    }
}

fn cell(walked: &Walked, operation: usize, caller: usize) -> String {
    let steps: Vec<&Step> = walked.steps.iter().filter(|step| (step.operation, step.caller) == (operation, caller)).collect();
    let mut statuses: Vec<u16> = Vec::new();
    for step in &steps {
        if !statuses.contains(&step.status) {
            statuses.push(step.status);
        }
    }
    let wrong = if steps.iter().any(|step| step.fault.is_some()) { "!" } else { "" };
    format!("{}{wrong}", statuses.iter().map(u16::to_string).collect::<Vec<_>>().join("/"))
}

/// All of it.
pub(super) fn json(operations: &[Operation], callers: &[Caller], walked: &Walked) -> Value {
    let step =
        |step: &Step| json!({ "route": operations[step.operation].name(), "caller": callers[step.caller].name, "with": step.what, "status": step.status, "wrong": step.fault });
    let wrong = walked.wrong(operations, callers);
    json!({
        "clean": wrong.is_empty(),
        "callers": callers.iter().map(|caller| &caller.name).collect::<Vec<_>>(),
        "requests": walked.steps.iter().map(step).collect::<Vec<_>>(),
        "wrong": wrong,
        "notes": walked.notes,
    })
}
