//! The order of events is CPython's: each program here has a twin in tests/parity/*.py, whose log was recorded.
//!
//! The logs must be the same, line by line. What asyncio leaves open is not logged: the order in which a group cancels
//! its children. What differs on purpose is not logged either, and the test says so. Nor is in which of two
//! neighbouring ticks `wait` and `gather` go on: there CPython calls a done callback first, here the awaiter is woken.

mod cancel;
mod gather;
mod queue;
mod ready_queue;
mod shield;
mod task_group;
mod timeout;
mod twin;
mod wait;
