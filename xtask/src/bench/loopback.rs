//! The rows over loopback TCP: servers on the first core, the load on the second.

use std::collections::BTreeMap;
use std::env::temp_dir;
use std::fs;

use anyhow::Result;

use super::inside::collected;
use super::peers::Programs;
use super::{Measured, Plan, ROUNDS, median, note, values};

const BLOCKS: [&str; 11] = [
    "protocol",
    "streams",
    "tokio",
    "epoll",
    "smol",
    "monoio",
    "monoio-epoll",
    "compio",
    "uvloop-protocol",
    "asyncio-protocol",
    "asyncio-streams",
];
const LINES: [&str; 6] = [
    "streams-lines",
    "tokio-lines",
    "smol-lines",
    "epoll",
    "uvloop-streams-lines",
    "asyncio-streams-lines",
];
/// What a quick run takes beside the line rows.
const QUICK: [(u32, u32); 3] = [(1_024, 100), (102_400, 100), (1_024, 1)];

pub(crate) fn measure(programs: &Programs, plan: &Plan, measured: &mut Measured) -> Result<()> {
    let sizes = [64, 1_024, 16_384, 102_400];
    let all = sizes.iter().flat_map(|size| [1, 100, 1_000].map(|connections| (*size, connections)));
    let cells: Vec<(u32, u32)> = if plan.is_quick { QUICK.to_vec() } else { all.collect() };
    for (size, connections) in cells {
        let row = format!("echo_{}_{connections}", name_of(size));
        if plan.wants(&row) {
            under_load(
                programs,
                plan,
                measured,
                &row,
                &BLOCKS,
                ["blocks", &connections.to_string(), &size.to_string()],
            )?;
        }
    }
    for connections in [1, 100] {
        let row = format!("lines_{connections}");
        if plan.wants(&row) {
            under_load(
                programs,
                plan,
                measured,
                &row,
                &LINES,
                ["lines", &connections.to_string(), "64"],
            )?;
        }
    }
    if plan.wants("idle_bytes") {
        idle(programs, plan, measured)?;
    }
    for connections in ["1", "100"] {
        let row = format!("echo_calls_{connections}");
        if programs.has_strace && plan.wants(&row) {
            calls(programs, measured, &row, connections)?;
        }
    }
    if programs.has_valgrind && plan.wants("echo_instructions") {
        instructions(programs, measured)?;
    }
    Ok(())
}

fn name_of(size: u32) -> String {
    if size < 1_024 { format!("{size}b") } else { format!("{}k", size / 1_024) }
}

fn under_load(
    programs: &Programs,
    plan: &Plan,
    measured: &mut Measured,
    row: &str,
    servers: &[&str],
    load: [&str; 3],
) -> Result<()> {
    let servers: Vec<&str> =
        servers.iter().copied().filter(|server| programs.has(server)).collect();
    eprintln!("{row}: {}", servers.join(", "));
    // Beside a quarter of that to warm up. A full run has 660 of these in its echo rows alone.
    let time = if plan.is_quick { "150" } else { "300" };
    let mut rounds: BTreeMap<(&str, String), Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for server in &servers {
            let running = programs.serve(server, &[])?;
            let mut command = programs.rust(Some(1), &[]);
            command.arg("load").arg(running.port.to_string()).arg(running.pid().to_string());
            command.args(load).args(["for", time]);
            let Some(text) = Programs::output(command) else { continue };
            for (metric, value) in values(&text) {
                rounds.entry((server, metric)).or_default().push(value);
            }
        }
    }
    for ((server, metric), found) in rounds {
        note(measured, row, server.trim_end_matches("-lines"), &metric, median(found));
    }
    Ok(())
}

/// What a connection costs that stands and is silent.
fn idle(programs: &Programs, plan: &Plan, measured: &mut Measured) -> Result<()> {
    let servers = if plan.is_quick { &BLOCKS[..4] } else { &BLOCKS[..] };
    eprintln!("idle_bytes: {}", servers.join(", "));
    for server in servers.iter().filter(|server| programs.has(server)) {
        let running = programs.serve(server, &[])?;
        let mut command = programs.rust(Some(1), &[]);
        command.arg("load").arg(running.port.to_string()).arg(running.pid().to_string());
        command.args(["blocks", "8000", "64", "idle"]);
        let found = Programs::output(command).map(|text| values(&text)).unwrap_or_default();
        note(measured, "idle_bytes", server, "bytes", found.get("resident_bytes").copied());
    }
    Ok(())
}

/// System calls a message.
fn calls(programs: &Programs, measured: &mut Measured, row: &str, connections: &str) -> Result<()> {
    let servers = ["protocol", "streams", "tokio", "epoll", "smol", "monoio-epoll"];
    eprintln!("{row}: {}", servers.join(", "));
    let path = temp_dir().join(format!("bench-{}.strace", std::process::id()));
    let report = path.to_string_lossy().into_owned();
    for server in servers {
        let tool = ["strace", "-f", "-c", "-U", "name,calls", "-o", &report];
        let found = difference(programs, server, &tool, connections, || {
            let text = fs::read_to_string(&path).ok()?;
            let total = text.lines().find(|line| line.trim_start().starts_with("total"))?;
            total.split_whitespace().nth(1)?.parse().ok()
        })?;
        note(measured, row, server, "calls", found);
    }
    let _ = fs::remove_file(path);
    Ok(())
}

/// User instructions an echoed message of 1 KiB, with 100 connections.
fn instructions(programs: &Programs, measured: &mut Measured) -> Result<()> {
    let servers = ["protocol", "streams", "tokio", "epoll", "smol", "monoio-epoll"];
    eprintln!("echo_instructions: {}", servers.join(", "));
    let path = temp_dir().join(format!("bench-{}.callgrind", std::process::id()));
    let log = format!("--log-file={}", path.display());
    for server in servers {
        let tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", &log];
        let found = difference(programs, server, &tool, "100", || {
            collected(&fs::read_to_string(&path).ok()?)
        })?;
        note(measured, "echo_instructions", server, "instructions", found);
    }
    let _ = fs::remove_file(path);
    Ok(())
}

/// What the tool counts for a message: the difference of two runs.
fn difference(
    programs: &Programs,
    server: &str,
    tool: &[&str],
    connections: &str,
    report: impl Fn() -> Option<f64>,
) -> Result<Option<f64>> {
    let (few, many) = (2_000.0, 12_000.0);
    let mut counts = Vec::new();
    for messages in [few, many] {
        let running = programs.serve(server, tool)?;
        let mut command = programs.rust(Some(1), &[]);
        command.arg("load").arg(running.port.to_string()).arg("0");
        command.args(["blocks", connections, "1024", "messages", &messages.to_string()]);
        let output = Programs::output(command);
        running.end()?;
        let (Some(_), Some(count)) = (output, report()) else { return Ok(None) };
        counts.push(count);
    }
    Ok(Some((counts[1] - counts[0]) / (many - few)))
}
