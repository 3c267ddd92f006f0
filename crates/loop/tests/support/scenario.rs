//! Scenarios that need a process of their own: what a signal does to it is looked at from outside.
//!
//! A test file of this kind is a program and not a harness' test: SIGINT is only looked after on the main thread, and a
//! signal is everybody's in a process. Without arguments it runs itself once for each scenario, sends the signals, and
//! looks at what came out and how it died.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{self, Child, Command, ExitCode, ExitStatus, Stdio};

pub(crate) use rustix::process::Signal as Kind;

/// Name, what the child does, and what the parent does and expects.
pub(crate) type Row = (&'static str, fn() -> ExitCode, fn(Scenario));

/// The `main` of such a program.
pub(crate) fn run_all(scenarios: &[Row]) -> ExitCode {
    match env::var("SCENARIO") {
        Ok(name) => {
            let (_, child, _) = scenarios.iter().find(|(known, ..)| *known == name).unwrap();
            // A shell ignores SIGINT in what it starts in the background, and we may have inherited that.
            handle(libc::SIGINT, libc::SIG_DFL);
            child()
        }
        Err(_) => {
            // The harness' protocol, as far as anybody asks for it.
            if env::args().any(|arg| arg == "--list") {
                scenarios.iter().for_each(|(name, ..)| println!("{name}: test"));
                return ExitCode::SUCCESS;
            }
            for (name, _, check) in scenarios {
                check(Scenario::start(name));
                println!("test {name} ... ok");
            }
            ExitCode::SUCCESS
        }
    }
}

/// A child process and its standard output.
pub(crate) struct Scenario {
    child: Child,
    output: BufReader<process::ChildStdout>,
}

impl Scenario {
    fn start(name: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .env("SCENARIO", name)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn expect(&mut self, expected: &str) {
        let line = self.line();
        assert_eq!(line, expected);
    }

    pub(crate) fn interrupt(&self) {
        self.send(Kind::INT);
    }

    pub(crate) fn send(&self, signal: Kind) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; nothing more may have been said.
    pub(crate) fn end(mut self) -> ExitStatus {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        self.child.wait().unwrap()
    }
}

pub(crate) fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

/// Sends a signal to this process.
pub(crate) fn raise(signal: Kind) {
    rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
}

/// Takes `SIG_DFL` or `SIG_IGN`.
#[expect(unsafe_code, reason = "there is no safe way to ignore a signal")]
pub(crate) fn handle(signal: libc::c_int, how: libc::sighandler_t) {
    assert!(how == libc::SIG_DFL || how == libc::SIG_IGN);
    // SAFETY: neither is a handler that could do anything wrong.
    unsafe { libc::signal(signal, how) };
}
