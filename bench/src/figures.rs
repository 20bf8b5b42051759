//! What was measured, told as a table, and kept as JSON under `target/bench/`.

use std::path::PathBuf;

use serde::Serialize;

/// What one case measured.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    case: &'static str,
    /// Cores that all of it ran on.
    cores: usize,
    compared: Vec<Compared>,
    single: Vec<Single>,
}

/// Ours beside a baseline, in the order in which both were run in turn.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    /// What was measured, with its unit.
    pub(crate) what: String,
    /// Beside what.
    pub(crate) beside: &'static str,
    pub(crate) baseline: Vec<f64>,
    pub(crate) ours: Vec<f64>,
    pub(crate) goal: Option<Goal>,
}

/// One figure of ours.
#[derive(Debug, Serialize)]
pub(crate) struct Single {
    /// What was measured, with its unit.
    pub(crate) what: String,
    pub(crate) values: Vec<f64>,
    pub(crate) goal: Option<Goal>,
}

/// What a median should be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// At least this; of what is compared, this part of the baseline.
    AtLeast(f64),
    /// At most this; of what is compared, this part of the baseline.
    AtMost(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn told(goal: Option<Self>, value: f64) -> String {
        let Some(goal) = goal else { return " | ".to_owned() };
        let (sign, bound) = match goal {
            Self::AtLeast(least) => (">=", least),
            Self::AtMost(most) => ("<=", most),
        };
        format!("{sign} {} | {}", number(bound), if goal.is_met(value) { "yes" } else { "no" })
    }
}

impl Figures {
    pub(crate) fn new(case: &'static str) -> Self {
        Self { case, cores: std::thread::available_parallelism().map_or(0, Into::into), compared: Vec::new(), single: Vec::new() }
    }

    pub(crate) fn compare(&mut self, what: impl Into<String>, beside: &'static str, goal: Option<Goal>, baseline: Vec<f64>, ours: Vec<f64>) {
        self.compared.push(Compared { what: what.into(), beside, baseline, ours, goal });
    }

    pub(crate) fn single(&mut self, what: impl Into<String>, goal: Option<Goal>, values: Vec<f64>) {
        self.single.push(Single { what: what.into(), values, goal });
    }

    /// Prints the tables and writes the file.
    pub(crate) fn tell(&self) -> anyhow::Result<()> {
        println!("\n{}, {} cores, medians\n", self.case, self.cores);
        if !self.compared.is_empty() {
            println!("| measure | beside | theirs | ours | ratio, least to most | goal | met |\n|---|---|---|---|---|---|---|");
        }
        for Compared { what, beside, baseline, ours, goal } in &self.compared {
            let mut ratios: Vec<f64> = ours.iter().zip(baseline).map(|(ours, theirs)| ours / theirs).collect();
            ratios.sort_by(f64::total_cmp);
            let (Some(least), Some(most)) = (ratios.first(), ratios.last()) else { continue };
            let ratio = median(&ratios);
            let goal = Goal::told(*goal, ratio);
            println!("| {what} | {beside} | {} | {} | {}, {} to {} | {goal} |", number(median(baseline)), number(median(ours)), number(ratio), number(*least), number(*most));
        }
        if !self.single.is_empty() {
            println!("\n| measure | ours | least to most | goal | met |\n|---|---|---|---|---|");
        }
        for Single { what, values, goal } in self.single.iter().filter(|single| !single.values.is_empty()) {
            let (least, most) = (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            let goal = Goal::told(*goal, median(values));
            println!("| {what} | {} | {} to {} | {goal} |", number(median(values)), number(least), number(most));
        }
        let path = path_of(self.case)?;
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)?;
        println!("\nkept in {}", path.display());
        Ok(())
    }
}

fn path_of(case: &str) -> anyhow::Result<PathBuf> {
    // target/{profile}/bench: the folder beside that of the profile.
    let folder = std::env::current_exe()?.ancestors().nth(2).map(|target| target.join("bench")).unwrap_or_default();
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{case}.json")))
}

/// A count, to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub(crate) fn real(n: usize) -> f64 {
    n as f64
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits that matter, thousands with commas.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{:.*}", if value.abs() < 10.0 { 2 } else { 1 }, value);
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 { format!("-{grouped}") } else { grouped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_few_digits() {
        assert_eq!([0.954, 12.34, 99.96, 123.4, 1234.5, 1_234_567.0].map(number), ["0.95", "12.3", "100.0", "123", "1,234", "1,234,567"]);
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert!(Goal::AtLeast(0.95).is_met(0.95) && !Goal::AtMost(2.0).is_met(2.01));
    }
}
