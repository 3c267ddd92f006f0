//! A command that can be printed, run, and pasted into a shell to run again.

use std::{env, fmt, process};

use anyhow::{Context, Result, ensure};
use xshell::Shell;

/// A program with its arguments and what it needs in its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    env: Vec<(String, String)>,
    program: String,
    args: Vec<String>,
}

impl Command {
    /// A command from its words, which are split at spaces.
    pub(crate) fn new(words: &str) -> Self {
        let mut words = words.split_whitespace().map(String::from);
        let program = words.next().unwrap_or_default();
        Self { env: Vec::new(), program, args: words.collect() }
    }

    /// The cargo that runs us, with these arguments.
    pub(crate) fn cargo(words: &str) -> Self {
        Self::new(&format!("cargo {words}"))
    }

    /// Adds one argument, as it is.
    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets one variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Prints the command, then runs it.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends with anything but 0.
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        eprintln!("$ {self}");
        let status = self.process(sh).status().with_context(|| format!("cannot start `{self}`"))?;
        ensure!(status.success(), "`{self}` failed ({status})");
        Ok(())
    }

    /// The process that it starts, in the shell's folder.
    pub(crate) fn process(&self, sh: &Shell) -> process::Command {
        // `cargo` is the very binary that started us: a proxy in the path may pick another toolchain.
        let program = match self.program.as_str() {
            "cargo" => env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            other => other.into(),
        };
        let mut process = process::Command::new(program);
        let variables = self.env.iter().map(|(name, value)| (name, value));
        process.args(&self.args).envs(variables).current_dir(sh.current_dir());
        process
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

/// The word as a shell would need it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_prints_as_it_would_be_typed() {
        let command = Command::cargo("doc --no-deps").env("RUSTDOCFLAGS", "-D warnings").arg("");
        assert_eq!(command.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps ''");
    }

    #[test]
    fn a_command_that_fails_is_an_error_that_names_it() {
        let sh = Shell::new().unwrap();
        assert!(Command::new("true").run(&sh).is_ok());
        let error = Command::new("false").arg("it's").run(&sh).unwrap_err().to_string();
        assert!(error.contains(r"`false 'it'\''s'` failed"), "{error}");
    }
}
