//! The table, the page and the raw data.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;

use anyhow::{Context, Result};
use xshell::Shell;

use super::Measured;
use super::goals::Verdict;
use super::peers::Programs;

/// The tables: goals, then each metric of each row.
pub(crate) fn text(measured: &Measured, goals: &[Verdict]) -> String {
    let mut text = String::new();
    if !goals.is_empty() {
        text += "## Goals\n\n| what | unit | goal | measured | |\n|---|---|---|---|---|\n";
        for goal in goals {
            let mark = if goal.is_reached { "reached" } else { "**missed**" };
            let Verdict { what, unit, goal, measured, .. } = goal;
            let _ = writeln!(text, "| {what} | {unit} | {goal} | {measured} | {mark} |");
        }
        text.push('\n');
    }
    text += "## Rows\n\nThe value, and in brackets its ratio to tokio's.\n";
    for (row, runtimes) in measured {
        let metrics: BTreeSet<&String> =
            runtimes.values().flat_map(|values| values.keys()).collect();
        let _ = write!(text, "\n### {row}\n\n| |");
        metrics.iter().for_each(|metric| text.extend([" ", metric, " |"]));
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(metrics.len()));
        for (runtime, values) in runtimes {
            let _ = write!(text, "| {runtime} |");
            for metric in &metrics {
                let tokio = runtimes.get("tokio").and_then(|values| values.get(*metric));
                match (values.get(*metric), tokio) {
                    (Some(value), Some(tokio)) => {
                        let _ = write!(text, " {} ({:.2}) |", number(*value), value / tokio);
                    }
                    (Some(value), None) => {
                        let _ = write!(text, " {} |", number(*value));
                    }
                    (None, _) => text += " – |",
                }
            }
            text.push('\n');
        }
    }
    text
}

fn number(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// The page: how, on what, and the tables.
pub(crate) fn page(text: &str, command: &str, programs: &Programs, sh: &Shell) -> Result<String> {
    let lock = sh.read_file("xtask/bench/Cargo.lock")?;
    let peers = ["tokio", "smol", "monoio", "compio", "async-channel", "flume"];
    let mut versions: Vec<String> = peers.iter().filter_map(|peer| locked(&lock, peer)).collect();
    versions.extend(programs.versions());
    let kernel = sh.read_file("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = sh.read_file("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!(
        "# Benchmarks\n\n\
         Written by `{command}` on {}. Do not edit: the next run writes it anew; what it means is in \
         [benchmarks-notes.md](benchmarks-notes.md), the raw data in [benchmarks.json](benchmarks.json).\n\n\
         - Machine: {cores} cores, {}, Linux {}; {}.\n\
         - Peers: {}.\n\
         - Method: medians of five rounds, and a round runs all peers of a row in turn; servers on core 0, the load on core 1, \
         which checks every byte; instructions by callgrind and system calls by strace as differences of two run lengths.\n\
         - tokio is its `LocalRuntime` on the current_thread scheduler; `async-channel` and `flume` run on our loop. \
         `epoll` is a loop that can do nothing but echo.\n\n{text}",
        output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?,
        processor.unwrap_or("unknown processor"),
        kernel.trim(),
        output("rustc", &["--version"])?,
        versions.join(", "),
    ))
}

/// A package and its version as the lock file has it.
fn locked(lock: &str, package: &str) -> Option<String> {
    let entry = lock
        .split("[[package]]")
        .find(|entry| entry.lines().any(|line| line == format!("name = \"{package}\"")))?;
    let version = entry.lines().find_map(|line| line.strip_prefix("version = "))?;
    Some(format!("{package} {}", version.trim_matches('"')))
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(args).output().with_context(|| format!("no {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

/// The raw data.
pub(crate) fn json(measured: &Measured) -> Result<String> {
    Ok(serde_json::to_string_pretty(measured)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::note;

    #[test]
    fn a_table_shows_the_ratio_to_tokio() {
        let mut measured = Measured::new();
        note(&mut measured, "wake", "ours", "ns", Some(30.0));
        note(&mut measured, "wake", "tokio", "ns", Some(100.0));
        let text = text(&measured, &[]);
        assert!(text.contains("| ours | 30.0 (0.30) |\n| tokio | 100 (1.00) |"), "{text}");
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock =
            "[[package]]\nname = \"smol\"\nversion = \"2.0.2\"\n\n[[package]]\nname = \"x\"\n";
        assert_eq!(locked(lock, "smol").as_deref(), Some("smol 2.0.2"));
        assert_eq!(locked(lock, "y"), None);
    }
}
