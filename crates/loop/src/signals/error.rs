//! Why a signal cannot be listened to.

use std::error::Error;
use std::fmt;
use std::io;

use super::signal::Signal;
use crate::error::{LoopClosed, NoRunningLoop};

/// Why a signal cannot be listened to.
#[derive(Debug)]
#[non_exhaustive]
pub enum SignalError {
    /// No signal has this number.
    Unknown(i32),
    /// Nobody can catch this one: the kernel's last word, or a fault that would only come again.
    Uncatchable(Signal),
    /// The loop is closed.
    Closed(LoopClosed),
    /// No loop is running in this thread.
    NoLoop(NoRunningLoop),
    /// The system refused.
    Os(io::Error),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(number) => write!(f, "no signal has the number {number}"),
            Self::Uncatchable(signal) => write!(f, "{signal} cannot be caught"),
            Self::Closed(error) => error.fmt(f),
            Self::NoLoop(error) => error.fmt(f),
            Self::Os(_) => f.write_str("the system refused a signal handler"),
        }
    }
}

impl Error for SignalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Os(error) => Some(error),
            _ => None,
        }
    }
}
