//! A code search service through all nine tiers.
fn main() {}
