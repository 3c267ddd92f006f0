//! Python's asyncio, as Rust: nine tiers under one name.
