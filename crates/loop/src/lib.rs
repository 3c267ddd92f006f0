#![doc = include_str!("../README.md")]

// What a loop is and does.
mod add_reader;
mod config;
mod event_loop;
mod guest;
mod run;
mod runner;
mod scheduling;
mod shutdown;
mod tick;
// What it consists of.
mod async_generators;
mod clock;
mod debug;
mod fork;
mod observe;
mod ready;
#[cfg(doctest)]
mod refused;
mod remote;
mod running;
mod selector;
mod signals;
#[cfg_attr(not(feature = "tracing"), path = "spans/off.rs")]
mod spans;
mod sync;
mod timers;
mod turn;
mod unclosed;
mod wakeup;
#[cfg_attr(not(feature = "watchdog"), path = "watchdog/off.rs")]
mod watchdog;
mod watched;
// What it hands out.
mod error;
mod exception;
mod handle;
mod io;
mod io_handle;
mod loop_handle;
mod read_buffer;
mod sock;
pub mod testing;
mod thread_safe_handle;
mod work;

#[cfg(all(test, asyncio_loom))]
mod model;

pub use crate::clock::TimeSource;
pub use crate::config::{Config, GracePeriods};
pub use crate::error::{LoopClosed, LoopRunning, NoRunningLoop};
pub use crate::event_loop::EventLoop;
pub use crate::exception::ExceptionContext;
pub use crate::guest::{Guest, Tick};
pub use crate::handle::{Handle, TimerHandle};
pub use crate::io::{IoHandler, Ready, Registration};
pub use crate::io_handle::IoHandle;
pub use crate::loop_handle::LoopHandle;
pub use crate::observe::{Watching, watching};
pub use crate::read_buffer::ReadBuffer;
pub use crate::ready::{Entry, EntryVTable};
pub use crate::remote::ExternalWork;
pub use crate::run::{Exit, RunError, run};
pub use crate::runner::Runner;
pub use crate::running::{get_running_loop, report_exception};
pub use crate::shutdown::{CloseHook, ShutdownReport};
pub use crate::signals::{CtrlC, Interrupted, Signal, SignalError, Signals, ctrl_c, signals};
pub use crate::sock::{
    SendfileError, sock_accept, sock_connect, sock_recv, sock_recv_into, sock_recvfrom,
    sock_recvfrom_into, sock_sendall, sock_sendfile, sock_sendto,
};
pub use crate::thread_safe_handle::ThreadSafeHandle;
pub use crate::timers::TimerKey;
#[cfg(feature = "watchdog")]
pub use crate::watchdog::Stall;
pub use crate::work::Work;
