//! The README at the top: what it shows is what there is.

/// The blocks of this language in the README.
fn blocks(language: &str) -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let opening = format!("```{language}\n");
    readme.split(&opening).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

#[test]
fn the_echo_server_of_the_readme_is_the_example() {
    let example = include_str!("../../crates/asyncio/examples/echo.rs");
    let (_head, code) = example.split_once("\n\n").expect("a first line says what it is");
    assert_eq!(blocks("rust,no_run"), [code]);
    assert!(code.lines().count() <= 24, "the echo server has grown");
}

#[test]
fn the_two_commands_of_the_readme_are_there() {
    let commands: Vec<_> = blocks("sh").into_iter().map(str::trim).collect();
    assert!(commands.contains(&"cargo run --release -p codesearch"));
    assert!(commands.contains(&"cargo xtask test-matrix"));
}
