//! The rows measured inside one process: written once, over what the runtimes have in common.

mod channels;
mod compio;
mod kit;
mod locks;
mod monoio;
mod ours;
pub mod smol;
mod tasks;
mod threads;
mod timers;
mod tokio;

use std::time::{Duration, Instant};

/// What one row found.
pub struct Found {
    /// Operations that were measured.
    pub operations: u64,
    /// Names and values: `ns` an operation, and whatever else.
    pub values: Vec<(&'static str, f64)>,
}

impl Found {
    /// So many operations since `start`.
    pub fn since(start: Instant, operations: u64) -> Self {
        Self::lasted(start.elapsed(), operations)
    }

    /// So many operations in `time`.
    pub fn lasted(time: Duration, operations: u64) -> Self {
        let ns = time.as_secs_f64() * 1e9 / operations as f64;
        Self { operations, values: vec![("ns", ns)] }
    }
}

/// One row of one runtime: its name, how many operations it takes at scale 1, and itself.
pub struct Row(pub &'static str, pub u64, pub fn(u64) -> Found);

fn runtimes() -> [(&'static str, Vec<Row>); 8] {
    [
        ("ours", ours::rows()),
        ("tokio", tokio::rows()),
        ("smol", smol::rows()),
        ("monoio", monoio::rows()),
        ("monoio-epoll", monoio::rows_on_epoll()),
        ("compio", compio::rows()),
        // Channels of no runtime, on our loop.
        ("async-channel", ours::rows_of_async_channel()),
        ("flume", ours::rows_of_flume()),
    ]
}

/// Prints all there is.
pub fn list() -> Result<(), String> {
    for (runtime, rows) in runtimes() {
        for Row(name, ..) in rows {
            println!("{runtime} {name}");
        }
    }
    Ok(())
}

/// Measures one row and prints what it found.
pub fn measure(runtime: &str, row: &str, scale: &str) -> Result<(), String> {
    let scale: f64 = scale.parse().map_err(|_| format!("{scale:?} is no number"))?;
    let runtimes = runtimes();
    let rows = runtimes.iter().find(|(name, _)| *name == runtime).map(|(_, rows)| rows);
    let Some(Row(_, operations, run)) = rows.and_then(|rows| rows.iter().find(|r| r.0 == row))
    else {
        return Err(format!("no row {row:?} of {runtime:?}"));
    };
    let found = run(((*operations as f64 * scale) as u64).max(1));
    println!("operations {}", found.operations);
    for (name, value) in found.values {
        println!("{name} {value}");
    }
    Ok(())
}
