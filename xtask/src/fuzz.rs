//! `cargo xtask fuzz`: each fuzz target for a minute.
//!
//! The targets live in packages of their own (`crates/*/fuzz`), which nobody else builds: libFuzzer takes nightly, and
//! `cargo fuzz`. Where one of these is missing the targets are skipped by name.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

use crate::command::Command;
use crate::flags::Fuzz;
use crate::root;

/// The targets: the folder of the package, and the name.
const TARGETS: &[(&str, &str)] = &[("crates/loop/fuzz", "timers")];

/// How long each runs unless the caller says otherwise.
const SECONDS: u32 = 60;

impl Fuzz {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        if self.install {
            Command::new("rustup run nightly cargo install cargo-fuzz --locked").run(sh)?;
        }
        if let Some(missing) = missing(sh) {
            for (package, name) in TARGETS {
                println!("skipped: {package} {name}: {missing}");
            }
            return Ok(());
        }
        let mut failed = Vec::new();
        for (package, name) in TARGETS {
            if let Err(error) = command(package, name, self.seconds.unwrap_or(SECONDS)).run(sh) {
                eprintln!("error: {error:#}");
                failed.push(*name);
            }
        }
        ensure!(
            failed.is_empty(),
            "{} failed; the input is in the artifacts folder",
            failed.join(", ")
        );
        Ok(())
    }
}

/// What there has to be and is not.
fn missing(sh: &Shell) -> Option<&'static str> {
    let works =
        |command: xshell::Cmd<'_>| command.quiet().ignore_stdout().ignore_stderr().run().is_ok();
    if !works(cmd!(sh, "rustup run nightly rustc -vV")) {
        Some("there is no nightly toolchain")
    } else if !works(cmd!(sh, "rustup run nightly cargo fuzz --version")) {
        Some("there is no cargo-fuzz; `cargo xtask fuzz --install` installs it")
    } else {
        None
    }
}

/// One target's command. What it builds goes to the target folder of the workspace, and what it learns beside it.
fn command(package: &str, name: &str, seconds: u32) -> Command {
    let target = root().join("target/fuzz");
    Command::new(&format!("rustup run nightly cargo fuzz run --fuzz-dir {package} --target-dir"))
        .arg(target.to_string_lossy())
        .arg(name)
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_runs_for_as_long_as_asked() {
        let text = command("crates/loop/fuzz", "timers", 5).to_string();
        assert!(
            text.starts_with("rustup run nightly cargo fuzz run --fuzz-dir crates/loop/fuzz "),
            "{text}"
        );
        assert!(text.ends_with(" timers -- -max_total_time=5"), "{text}");
    }

    #[test]
    fn each_target_has_its_file() {
        for (package, name) in TARGETS {
            let file = root().join(package).join("fuzz_targets").join(format!("{name}.rs"));
            assert!(file.is_file(), "{}", file.display());
        }
    }
}
