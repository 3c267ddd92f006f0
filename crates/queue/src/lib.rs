//! Queues, locks, events and semaphores
