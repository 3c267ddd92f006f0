//! Signals of the system, for callbacks, futures and streams; and Ctrl-C for `run`.
//!
//! A signal belongs to the process and not to a loop: so there is one handler for all loops in [`process`], which only
//! marks the signal as pending with each loop that listens and wakes it. The loop looks after each poll and does the
//! rest, in [`dispatch`].

mod ctrl_c;
mod dispatch;
mod error;
mod interrupted;
mod process;
mod signal;
mod stream;

pub(crate) use self::ctrl_c::LookAfterCtrlC;
pub(crate) use self::dispatch::LoopSignals;
pub use self::error::SignalError;
pub use self::interrupted::Interrupted;
pub(crate) use self::process::after_fork;
pub use self::signal::Signal;
pub use self::stream::{CtrlC, Signals, ctrl_c, signals};
