//! `cargo xtask ci`: everything that must hold before a change lands, the quickest first.
//!
//! It goes on after a failure, so that one run tells all. The steps share one target folder, but for
//! loom and the AddressSanitizer, whose flags would throw the others' work away.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::command::Command;
use crate::flags::{Ci, Parity, TestMatrix, Tidy, Tiers};
use crate::root;
use crate::source::{code, words};
use crate::tree::Tree;
use crate::workspace::{Package, Workspace};

/// What came of a step.
enum Outcome {
    Passed,
    /// It cannot run here, and why.
    Skipped(String),
}

type Step = (&'static str, fn(&Shell) -> Result<Outcome>);

const STEPS: [Step; 12] = [
    ("fmt", |sh| cargo(sh, "fmt --all --check")),
    ("tiers", |sh| Tiers {}.run(sh).map(passed)),
    ("tidy", |sh| Tidy {}.run(sh).map(passed)),
    ("parity", |sh| Parity { check: true, record: false }.run(sh).map(passed)),
    ("clippy", |sh| cargo(sh, "clippy --workspace --all-targets -- -D warnings")),
    ("docs", docs),
    ("chores", |sh| cargo(sh, "test -p xtask")),
    ("test-matrix", test_matrix),
    ("other-runtimes", other_runtimes),
    ("loom", loom),
    // The limits on instructions are those of an optimised build.
    ("budgets", |sh| cargo(sh, "test --release -p tests --test budgets")),
    ("address-sanitizer", address_sanitizer),
];

impl Ci {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        let mut lines = Vec::new();
        let mut failed = 0;
        for (name, step) in STEPS {
            eprintln!("\n== {name}");
            let start = Instant::now();
            let outcome = match step(sh) {
                Ok(Outcome::Passed) => "ok".into(),
                Ok(Outcome::Skipped(why)) => format!("skipped: {why}"),
                Err(error) => {
                    eprintln!("error: {error:#}");
                    failed += 1;
                    "FAILED".into()
                }
            };
            lines.push(format!("{name:<18} {:>7.1} s  {outcome}", start.elapsed().as_secs_f64()));
        }
        println!("\n{}", lines.join("\n"));
        ensure!(failed == 0, "{failed} of {} steps failed", STEPS.len());
        Ok(())
    }
}

fn passed((): ()) -> Outcome {
    Outcome::Passed
}

fn cargo(sh: &Shell, words: &str) -> Result<Outcome> {
    Command::cargo(words).run(sh).map(passed)
}

fn docs(sh: &Shell) -> Result<Outcome> {
    let command = Command::cargo("doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings");
    command.run(sh).map(passed)
}

fn test_matrix(sh: &Shell) -> Result<Outcome> {
    let all = TestMatrix { list: false, package: vec![], features: None, fail_fast: false };
    all.run(sh).map(passed)
}

/// The tests of the queue crate under executors that are not ours: a workspace of its own, so that nobody else
/// has to build them.
fn other_runtimes(sh: &Shell) -> Result<Outcome> {
    let command = "test --manifest-path tests/other-runtimes/Cargo.toml --target-dir target";
    cargo(sh, command)
}

/// The models of what threads share: every interleaving, up to a bound.
fn loom(sh: &Shell) -> Result<Outcome> {
    for models in ["-p asyncio-loop --lib model::", "-p asyncio-queue --test loom"] {
        let words = format!("test --release --target-dir target/loom {models}");
        Command::cargo(&words).env("RUSTFLAGS", "--cfg asyncio_loom").run(sh)?;
    }
    Ok(Outcome::Passed)
}

/// The tests of the crates with `unsafe` code, under AddressSanitizer, which only nightly has.
fn address_sanitizer(sh: &Shell) -> Result<Outcome> {
    let version = cmd!(sh, "rustup run nightly rustc -vV").quiet().ignore_stderr().read();
    let Some(host) = version.ok().as_deref().and_then(host_of).map(String::from) else {
        return Ok(Outcome::Skipped("there is no nightly toolchain".into()));
    };
    if !has_sanitizer(&host) {
        return Ok(Outcome::Skipped(format!("{host} has no AddressSanitizer")));
    }
    let workspace = Workspace::read(sh)?;
    let packages = with_unsafe(&workspace, &Tree::read(root())?);
    if packages.is_empty() {
        bail!("no crate has unsafe code: then this step is of no use");
    }
    sanitized(&host, &packages).run(sh).map(passed)
}

/// The command of that step.
fn sanitized(host: &str, packages: &[&str]) -> Command {
    // With `--target`, build scripts and proc-macros are left alone.
    let command = Command::new("rustup run nightly cargo test --tests --target-dir target/asan")
        // A test that forgets a future on purpose leaks on purpose.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .arg("--target")
        .arg(host);
    packages.iter().fold(command, |command, package| command.arg("-p").arg(*package))
}

/// The host in what `rustc -vV` prints.
fn host_of(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: "))
}

fn has_sanitizer(host: &str) -> bool {
    ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"]
        .contains(&host)
}

/// The crates whose library has `unsafe` code.
fn with_unsafe<'a>(workspace: &'a Workspace, tree: &Tree) -> Vec<&'a str> {
    let has_unsafe = |package: &&Package| {
        let source = format!("{}/src/", package.dir);
        let mut files = tree.rust().filter(|file| file.path.starts_with(&source));
        files.any(|file| words(&code(&file.text)).any(|(_, word)| word == "unsafe"))
    };
    let crates = workspace.packages.iter().filter(|package| package.dir.starts_with("crates/"));
    crates.filter(has_unsafe).map(|package| package.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crates_with_unsafe_code_are_sanitized() {
        let package = |name: &str, dir: &str| Package {
            name: name.into(),
            dir: dir.into(),
            ..Package::default()
        };
        let workspace = Workspace {
            packages: vec![
                package("asyncio-coro", "crates/coro"),
                package("asyncio-queue", "crates/queue"),
                package("xtask", "xtask"),
            ],
        };
        let tree = Tree::from([
            ("crates/coro/src/node.rs", "fn f() { unsafe { g() } }"),
            ("crates/queue/src/lib.rs", "#![forbid(unsafe_code)] // no unsafe"),
            ("crates/queue/tests/x.rs", "fn f() { unsafe { g() } }"),
            ("xtask/src/main.rs", "unsafe fn f() {}"),
        ]);
        assert_eq!(with_unsafe(&workspace, &tree), ["asyncio-coro"]);
    }

    #[test]
    fn the_sanitized_tests_have_a_target_folder_of_their_own() {
        let command = sanitized("x86_64-unknown-linux-gnu", &["asyncio-coro", "asyncio-loop"]);
        assert_eq!(
            command.to_string(),
            "ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS=-Zsanitizer=address rustup run nightly cargo test \
             --tests --target-dir target/asan --target x86_64-unknown-linux-gnu -p asyncio-coro -p asyncio-loop"
        );
    }

    #[test]
    fn the_host_is_read_from_what_rustc_prints() {
        let printed = "rustc 1.95.0-nightly\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n";
        assert_eq!(host_of(printed), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(host_of("rustc 1.95.0"), None);
    }
}
