//! What `cargo xtask bench` runs: one measurement, or one server, or the load, in a process of its own.
//!
//! ```text
//! bench rows                        lists `runtime row`
//! bench row RUNTIME ROW SCALE       measures one row; SCALE stretches its number of operations
//! bench serve SERVER                echoes on the port that it prints, until its standard input ends
//! bench load PORT PID MODE …        drives a server and verifies every byte that comes back
//! ```
//!
//! All print `name value`, a line each.

mod descriptors;
mod heap;
mod load;
mod rows;
mod serve;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    descriptors::allow_many();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["rows"] => rows::list(),
        ["row", runtime, row, scale] => rows::measure(runtime, row, scale),
        ["serve", server] => serve::serve(server),
        ["load", args @ ..] => load::load(args),
        _ => Err("usage: bench rows | row RUNTIME ROW SCALE | serve SERVER | load …".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
