//! The event loop: ready queue, timers, selector

mod clock;
mod error;
mod event_loop;
mod exception;
mod handle;
mod io;
mod io_handle;
mod loop_handle;
mod read_buffer;
mod ready;
mod remote;
mod run;
mod running;
mod selector;
mod shutdown;
mod signals;
mod sock;
pub mod testing;
mod tick;
mod timers;

pub use crate::error::{LoopClosed, LoopRunning, NoRunningLoop};
pub use crate::event_loop::EventLoop;
pub use crate::exception::ExceptionContext;
pub use crate::handle::{Handle, TimerHandle};
pub use crate::io::{IoHandler, Ready, Registration};
pub use crate::io_handle::IoHandle;
pub use crate::loop_handle::LoopHandle;
pub use crate::read_buffer::ReadBuffer;
pub use crate::ready::{Entry, EntryVTable};
pub use crate::remote::ExternalWork;
pub use crate::run::{Exit, RunError, run};
pub use crate::running::get_running_loop;
pub use crate::shutdown::CloseHook;
pub use crate::signals::Interrupted;
pub use crate::sock::sock_connect;
pub use crate::timers::TimerKey;
