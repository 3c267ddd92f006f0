//! The event loop: ready queue, timers, selector
