//! Stories across tiers live in `tests/`.
