//! The programs: one of ours that holds all Rust runtimes, and Python's in an environment that is made here.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use xshell::Shell;

use super::values;

/// Where the programs are.
pub(crate) struct Programs {
    rust: PathBuf,
    /// The interpreter of the environment with uvloop; none without Python.
    python: Option<PathBuf>,
    /// Where our scripts for it are.
    scripts: PathBuf,
    pub(crate) has_valgrind: bool,
    pub(crate) has_strace: bool,
    has_taskset: bool,
}

/// A server that is running; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Programs {
    pub(crate) fn find(sh: &Shell) -> Result<Self> {
        let folder = sh.current_dir().join("xtask/bench");
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => sh.current_dir().join(target),
            None => folder.join("target"),
        };
        let has = |program: &str| {
            let found = runs(Command::new(program).arg("--version"));
            if !found {
                eprintln!("{program} is missing: what needs it is left out");
            }
            found
        };
        let python = has("python3").then(|| environment(target.join("python"))).flatten();
        Ok(Self {
            rust: target.join("release/bench"),
            python,
            scripts: folder,
            has_valgrind: has("valgrind"),
            has_strace: has("strace"),
            has_taskset: has("taskset"),
        })
    }

    /// Our program, pinned to a core if one is given, under `tool` if that is not empty.
    pub(crate) fn rust(&self, core: Option<usize>, tool: &[&str]) -> Command {
        let mut command = self.pinned(core, tool);
        command.arg(&self.rust);
        command
    }

    /// The program with the in-process rows of this runtime, pinned to a core if one is given.
    pub(crate) fn rows_of(&self, runtime: &str, core: Option<usize>) -> Command {
        match &self.python {
            Some(python) if is_python(runtime) => {
                let mut command = self.pinned(core, &[]);
                command.arg(python).arg(self.scripts.join("inside.py"));
                command
            }
            _ => {
                let mut command = self.rust(core, &[]);
                command.arg("row");
                command
            }
        }
    }

    /// The in-process rows that there are: a runtime and a row in each line.
    pub(crate) fn rows(&self) -> Result<String> {
        let mut list = self.rust(None, &[]);
        list.arg("rows");
        let mut rows = Self::output(list).context("the programs list their rows")?;
        if self.python.is_some() {
            let mut list = self.rows_of("asyncio", None);
            list.arg("rows");
            rows += &Self::output(list).context("Python lists its rows")?;
        }
        Ok(rows)
    }

    fn pinned(&self, core: Option<usize>, tool: &[&str]) -> Command {
        let core = core.filter(|_| self.has_taskset).map(|core| core.to_string());
        let mut words: Vec<&str> = Vec::new();
        if let Some(core) = &core {
            words.extend(["taskset", "-c", core]);
        }
        words.extend(tool);
        // `env` starts what follows, so that the command line can always be extended by a program.
        let mut command = Command::new(words.first().copied().unwrap_or("env"));
        command.args(words.iter().skip(1));
        command
    }

    /// Whether this server can run here.
    pub(crate) fn has(&self, server: &str) -> bool {
        self.python.is_some() || !is_python(server)
    }

    /// Starts a server on the first core, under `tool` if that is not empty.
    pub(crate) fn serve(&self, server: &str, tool: &[&str]) -> Result<Server> {
        let mut command = self.pinned(Some(0), tool);
        match &self.python {
            Some(python) if is_python(server) => {
                command.arg(python).arg(self.scripts.join("echo.py"))
            }
            _ => command.arg(&self.rust).arg("serve"),
        };
        command.arg(server).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("cannot start {server}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(port) = values(&line).get("port").map(|port| *port as u16) else {
            let _ = child.kill();
            bail!("{server} did not say its port: {line:?}");
        };
        Ok(Server { child, port })
    }

    /// What our program prints, or none if it fails.
    pub(crate) fn output(mut command: Command) -> Option<String> {
        let output = command.stderr(Stdio::piped()).output().ok()?;
        if !output.status.success() {
            eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        String::from_utf8(output.stdout).ok()
    }

    /// What the page says of the peers' versions.
    pub(crate) fn versions(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let names = "import sys, uvloop; print('python', sys.version.split()[0]); print('uvloop', uvloop.__version__)";
        if let Some(python) = &self.python {
            let mut command = Command::new(python);
            command.args(["-c", names]);
            lines.extend(Self::output(command).unwrap_or_default().lines().map(String::from));
        }
        lines
    }
}

fn is_python(server: &str) -> bool {
    server.starts_with("asyncio") || server.starts_with("uvloop")
}

/// Makes an environment with uvloop in it, once.
fn environment(folder: PathBuf) -> Option<PathBuf> {
    let python = folder.join("bin/python");
    let has_uvloop = || runs(Command::new(&python).args(["-c", "import uvloop"]));
    if has_uvloop() {
        return Some(python);
    }
    eprintln!("making an environment for Python's peers");
    let made = runs(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        && runs(Command::new(&python).args(["-m", "pip", "install", "--quiet", "uvloop"]));
    if !made || !has_uvloop() {
        eprintln!("no uvloop to be had: Python's peers are left out");
        return None;
    }
    Some(python)
}

fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Server {
    /// Of the process that serves, also if a tool runs it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it end by itself, so that a tool can write its report.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
