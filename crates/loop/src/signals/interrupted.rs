//! `Interrupted`: what `run` says after a Ctrl-C, and how a program ends by it.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process;

use super::process::die_by_sigint;

/// Ctrl-C came, and the main future has been cancelled and has unwound.
///
/// As the result of `main`, by way of [`Exit`](crate::Exit), it ends the process as the shell expects: by SIGINT.
///
/// # Examples
///
/// ```no_run
/// match asyncio_loop::run(std::future::pending::<()>()) {
///     Err(asyncio_loop::RunError::Interrupted(interrupted)) => {
///         println!("saving");
///         interrupted.exit()
///     }
///     _ => {}
/// }
/// ```
#[derive(Debug)]
pub struct Interrupted(());

impl Interrupted {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Ends the process by SIGINT, as if nobody had caught it. Flushes standard output and error; destructors of what
    /// is still alive do not run.
    pub fn exit(self) -> ! {
        // Nobody is left to tell if that fails.
        let _ = io::stdout().flush();
        let _ = io::stderr().flush();
        die_by_sigint();
        // SIGINT is blocked in this thread; then say what the shell would have said of it.
        process::exit(128 + libc::SIGINT)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}
