//! Ctrl-C: the first cancels the main future, the second ends the process.

use std::fmt;

/// Ctrl-C came while `run` was running, and the main future has unwound.
#[derive(Debug)]
pub struct Interrupted(());

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}
