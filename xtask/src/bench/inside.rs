//! The rows inside one process.

use std::collections::BTreeMap;

use anyhow::Result;

use super::peers::Programs;
use super::{Measured, Plan, ROUNDS, median, note, values};

/// Rows whose instructions are counted too: what a busy machine cannot blur.
const COUNTED: [&str; 14] = [
    "spawn_join",
    "yield_1000",
    "wake",
    "cancel",
    "timer_insert_drop",
    "timeout_ready",
    "queue_128",
    "queue_unbounded",
    "future_ping_pong",
    "lock_free",
    "semaphore_free",
    "gather_1000",
    "group_1000",
    "timer_fire",
];

/// The runtimes that every row names, whether they have what it measures or not.
const ALL: [&str; 7] = ["ours", "tokio", "smol", "monoio", "compio", "asyncio", "uvloop"];

/// What a quick run leaves out: the variant of a peer, and those whose start alone takes its time.
const NOT_QUICK: [&str; 3] = ["monoio-epoll", "asyncio", "uvloop"];

pub(crate) fn measure(programs: &Programs, plan: &Plan, measured: &mut Measured) -> Result<()> {
    let list = programs.rows()?;
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (runtime, row) in list.lines().filter_map(|line| line.split_once(' ')) {
        let is_left_out = plan.is_quick && NOT_QUICK.contains(&runtime);
        if plan.wants(row) && !is_left_out {
            rows.entry(row).or_default().push(runtime);
        }
    }
    for (row, runtimes) in rows {
        eprintln!("{row}: {}", runtimes.join(", "));
        let mut rounds: BTreeMap<(&str, String), Vec<f64>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            for runtime in &runtimes {
                // Rows with two threads need both cores.
                let core = (!row.contains("thread")).then_some(1);
                let scale = if row == "lateness" || row == "parked_bytes" || !plan.is_quick {
                    "1"
                } else {
                    "0.1"
                };
                let mut command = programs.rows_of(runtime, core);
                command.args([runtime, row, scale]);
                let Some(text) = Programs::output(command) else { continue };
                for (metric, value) in values(&text) {
                    rounds.entry((runtime, metric)).or_default().push(value);
                }
            }
        }
        // A dash in the table for whoever has no such thing.
        for runtime in ALL.iter().filter(|all| list.lines().any(|line| line.starts_with(*all))) {
            if !(plan.is_quick && NOT_QUICK.contains(runtime)) {
                measured.entry(row.into()).or_default().entry(String::from(*runtime)).or_default();
            }
        }
        for ((runtime, metric), found) in rounds {
            if metric != "operations" {
                note(measured, row, runtime, &metric, median(found));
            }
        }
        if programs.has_valgrind && COUNTED.contains(&row) {
            for runtime in runtimes.iter().filter(|runtime| ["ours", "tokio"].contains(runtime)) {
                let found = instructions(programs, runtime, row);
                note(measured, row, runtime, "instructions", found);
            }
        }
    }
    Ok(())
}

/// Instructions an operation.
fn instructions(programs: &Programs, runtime: &str, row: &str) -> Option<f64> {
    let count = |scale: &str| {
        let tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let mut command = programs.rust(None, &tool);
        let output = command.args(["row", runtime, row, scale]).output().ok()?;
        let operations = *values(&String::from_utf8_lossy(&output.stdout)).get("operations")?;
        Some((collected(&String::from_utf8_lossy(&output.stderr))?, operations))
    };
    let (few, many) = (count("0.002")?, count("0.01")?);
    Some((many.0 - few.0) / (many.1 - few.1))
}

/// The number of instructions in what callgrind says at its end.
pub(crate) fn collected(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.contains("Collected :"))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_total_is_found() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 368162\n"), Some(368_162.0));
        assert_eq!(collected("==7== no"), None);
    }
}
