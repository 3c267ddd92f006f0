//! The chores of this workspace: `cargo xtask` prints what there is.
//!
//! One file a subcommand. Each is a pure function over plain data (what `cargo metadata` says, a tree
//! of files), with its tests beside it, and a thin `run` that reads the data and prints the verdict.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod command;
mod flags;
mod fuzz;
mod parity;
mod source;
mod test_matrix;
mod tidy;
mod tiers;
mod tree;
mod workspace;

use std::path::Path;
use std::process::ExitCode;

use flags::{Xtask, XtaskCmd};
use xshell::Shell;

fn main() -> ExitCode {
    let verdict = match Xtask::from_env_or_exit().subcommand {
        XtaskCmd::Help(flags) => {
            flags.run();
            Ok(())
        }
        XtaskCmd::TestMatrix(flags) => at_root().and_then(|sh| flags.run(&sh)),
        XtaskCmd::Tiers(flags) => at_root().and_then(|sh| flags.run(&sh)),
        XtaskCmd::Tidy(flags) => at_root().and_then(|sh| flags.run(&sh)),
        XtaskCmd::Parity(flags) => at_root().and_then(|sh| flags.run(&sh)),
        XtaskCmd::Bench(flags) => at_root().and_then(|sh| flags.run(&sh)),
        XtaskCmd::Fuzz(flags) => at_root().and_then(|sh| flags.run(&sh)),
        XtaskCmd::Ci(flags) => at_root().and_then(|sh| flags.run(&sh)),
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A shell in the root of the workspace, wherever the command was given.
fn at_root() -> anyhow::Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(root());
    Ok(sh)
}

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the root")
}
