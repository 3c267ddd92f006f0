//! The order of events is CPython's: each program here has a twin in tests/parity/*.py, whose log was recorded.
//!
//! The logs must be the same, line by line. What asyncio leaves open is not logged: the order in which a group cancels
//! its children. What differs on purpose is not logged either, and the test says so: that whoever awaits a task
//! comes after the task's callbacks; that who is cancelled when what it waits for is ready gets that; that who waits for
//! several tasks, the last two of which end in successive ticks, may go on a tick earlier.

mod cancel;
mod contexts;
mod event;
mod gather;
mod generators;
mod queue;
mod ready_queue;
mod record;
mod shield;
mod task_group;
mod ticks;
mod timeout;
mod twin;
mod uncancel;
mod wait;
mod wake_order;
