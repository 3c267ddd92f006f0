//! Stories across tiers live in `tests/`. Here the code of the README at the top is compiled, and run where it ends.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
