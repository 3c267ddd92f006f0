//! `cargo xtask bench`: our programs and the peers' side by side, in one run.
//!
//! Every value is a median of five rounds, and a round runs the runtimes of a row one after the other (A B C A B C), so
//! that whatever else the machine does hits all of them alike. Counts of instructions and of system calls are
//! differences of two run lengths, so that neither start nor end is in them.

mod goals;
mod inside;
mod loopback;
mod peers;
mod report;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use crate::command::Command;
use crate::flags::Bench;
use peers::Programs;

/// Where the programs live: a workspace of their own.
const MANIFEST: &str = "xtask/bench/Cargo.toml";

/// What was measured: `row` → `runtime` → `metric` → value.
type Measured = BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>;

/// How long, and what of it.
struct Plan {
    is_quick: bool,
    /// Parts of row names; none means all.
    names: Vec<String>,
}

impl Plan {
    fn wants(&self, row: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| row.contains(name.as_str()))
    }
}

const ROUNDS: usize = 5;

impl Bench {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        if self.check {
            let check = Command::cargo("check").arg("--manifest-path").arg(MANIFEST);
            return check.run(sh);
        }
        let build = Command::cargo("build --release").arg("--manifest-path").arg(MANIFEST);
        build.run(sh)?;
        let programs = Programs::find(sh)?;
        let plan = Plan { is_quick: self.quick, names: self.names.clone() };
        let mut measured = Measured::new();
        inside::measure(&programs, &plan, &mut measured)?;
        loopback::measure(&programs, &plan, &mut measured)?;
        ensure!(!measured.is_empty(), "no row has one of these in its name: {:?}", self.names);
        let goals = goals::judge(&measured);
        let text = report::text(&measured, &goals);
        println!("{text}");
        if self.names.is_empty() {
            let command =
                if self.quick { "cargo xtask bench --quick" } else { "cargo xtask bench" };
            let page = report::page(&text, command, &programs, sh)?;
            sh.write_file("docs/benchmarks.md", page).context("cannot write the page")?;
            sh.write_file("docs/benchmarks.json", report::json(&measured)?)?;
        }
        Ok(())
    }
}

/// Puts one value where it belongs, if there is one.
fn note(measured: &mut Measured, row: &str, runtime: &str, metric: &str, value: Option<f64>) {
    if let Some(value) = value {
        let row = measured.entry(row.into()).or_default();
        row.entry(runtime.into()).or_default().insert(metric.into(), value);
    }
}

/// The middle one, or none of none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The lines `name value` of a program.
fn values(text: &str) -> BTreeMap<String, f64> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_round_does_not_move_a_median() {
        assert_eq!(median(vec![3.0, 1000.0, 1.0, 2.0, 2.5]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn lines_that_are_no_values_are_passed_over() {
        let found = values("ns 12.5\nhello\noperations 3\nport x");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("ns".into(), 12.5), ("operations".into(), 3.0)]
        );
    }
}
