//! `cargo xtask tidy`: the house rules that neither rustc nor clippy can see.
//!
//! A rule is a function from the tree to sentences about what breaks it. `cargo test -p xtask` runs
//! them over this very workspace, too.

use anyhow::{Result, bail};
use xshell::Shell;

use crate::flags::Tidy;
use crate::root;
use crate::source::{self, code, let_chains, line_of, words};
use crate::tiers::TOWER;
use crate::tree::{File, Tree};

/// The headings of a crate's README, in order; the title stands before them.
const HEADINGS: [&str; 8] = [
    "Where it sits",
    "What it gives you",
    "Example",
    "Differences from asyncio",
    "Guarantees and non-guarantees",
    "Features",
    "Implementation",
    "Minimum Rust version",
];

/// A README is its crate's front page, `lib.rs` its table of contents: both must fit in one look.
const MOST_LINES_OF_A_FRONT_PAGE: usize = 120;

/// From here on a file is reported: it probably holds two concepts.
const MANY_LINES: usize = 600;

/// Where a path of somebody's machine begins. In two pieces, so that this file does not break its rule.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/tm", "p/w/"),
    concat!("/Use", "rs/"),
];

/// The rules, in the order in which they report.
const RULES: [fn(&Tree) -> Vec<String>; 7] = [
    readme_has_its_headings,
    changelog_is_there,
    front_page_is_short,
    file_says_what_it_is,
    test_name_is_a_sentence,
    code_keeps_out_what_we_refuse,
    path_belongs_to_no_machine,
];

impl Tidy {
    pub(crate) fn run(&self, _: &Shell) -> Result<()> {
        let tree = Tree::read(root())?;
        println!("{}", sizes(&tree));
        let problems = check(&tree);
        if !problems.is_empty() {
            bail!("{} things to tidy up:\n  {}", problems.len(), problems.join("\n  "));
        }
        println!("tidy: nothing to tidy up");
        Ok(())
    }
}

/// What breaks any of the rules.
fn check(tree: &Tree) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule(tree)).collect()
}

/// Each crate of the tower has a README with the same headings in the same order.
fn readme_has_its_headings(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, folder) in tower() {
        let path = format!("{folder}/README.md");
        let Some(readme) = tree.get(&path) else {
            problems.push(format!("{path} is missing"));
            continue;
        };
        let headings = headings(&readme.text);
        let title = headings.first().copied().unwrap_or_default();
        if !title.starts_with(&format!("# {package}: ")) {
            problems.push(format!("{path} must begin with `# {package}: ` and a noun phrase"));
        }
        let found: Vec<&str> = headings.iter().filter_map(|it| it.strip_prefix("## ")).collect();
        if found != HEADINGS {
            let odd = (0..).find(|&at| found.get(at) != HEADINGS.get(at)).unwrap_or_default();
            let wanted = HEADINGS.get(odd).unwrap_or(&"no more");
            let instead = found.get(odd).unwrap_or(&"none");
            problems.push(format!("{path}: heading {} is `{instead}`, not `{wanted}`", odd + 1));
        }
    }
    problems
}

/// Each crate of the tower has a changelog with a place for the next entry.
fn changelog_is_there(tree: &Tree) -> Vec<String> {
    let path = |folder: String| format!("{folder}/CHANGELOG.md");
    let sound =
        |path: &String| tree.get(path).is_some_and(|it| it.text.contains("## [Unreleased]"));
    tower()
        .map(|(_, folder)| path(folder))
        .filter(|path| !sound(path))
        .map(|path| format!("{path} is missing, or has no `## [Unreleased]`"))
        .collect()
}

/// README and `lib.rs` of each crate of the tower are short.
fn front_page_is_short(tree: &Tree) -> Vec<String> {
    tower()
        .flat_map(|(_, folder)| [format!("{folder}/README.md"), format!("{folder}/src/lib.rs")])
        .filter_map(|path| tree.get(&path))
        .filter(|file| file.text.lines().count() > MOST_LINES_OF_A_FRONT_PAGE)
        .map(|file| {
            let lines = file.text.lines().count();
            format!("{} has {lines} lines, more than {MOST_LINES_OF_A_FRONT_PAGE}", file.path)
        })
        .collect()
}

/// Each Rust file begins with a line that says what it is; only inner attributes may stand before it.
fn file_says_what_it_is(tree: &Tree) -> Vec<String> {
    let begins = |file: &&File| {
        let mut lines = file.text.lines().filter(|line| !line.trim().is_empty());
        while let Some(line) = lines.next() {
            if line.starts_with("//! ") || line.starts_with("#![doc = include_str!(") {
                return true;
            }
            let mut attribute = std::iter::once(line).chain(&mut lines);
            if !line.starts_with("#![") || !attribute.any(|line| line.ends_with(']')) {
                return false;
            }
        }
        false
    };
    tree.rust()
        .filter(|file| !begins(file))
        .map(|file| format!("{} does not begin with `//!` and what it is", file.path))
        .collect()
}

/// A test's name says what holds: three words at least, and `test_` is not one of them.
fn test_name_is_a_sentence(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in tree.rust() {
        let code = code(&file.text);
        for name in source::tests(&code) {
            let said = name.split('_').filter(|word| !word.is_empty()).count();
            if said < 3 || name.starts_with("test_") {
                problems.push(format!("{}: `{name}` is no sentence", file.path));
            }
        }
    }
    problems
}

/// What the code must not contain: anything unfinished, switched off, newer than our minimum Rust, or
/// at the mercy of the machine's clock and ports.
fn code_keeps_out_what_we_refuse(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in tree.rust() {
        let code = code(&file.text);
        let mut refuse = |line: usize, what: &str| {
            problems.push(format!("{}:{line}: {what}", file.path));
        };
        for line in let_chains(&code) {
            refuse(line, "a chain of `let` conditions needs Rust 1.88");
        }
        for (at, word) in words(&code) {
            let next = &code[at + word.len()..];
            let unfinished = word == "todo" || word == "unimplemented";
            if unfinished && next.starts_with('!') {
                refuse(line_of(&code, at), "unfinished");
            }
            if word == "ignore" && code[..at].ends_with("#[") {
                refuse(line_of(&code, at), "a test that never runs");
            }
            if word == "sleep" && code[..at].ends_with("thread::") && is_test(file) {
                refuse(line_of(&code, at), "a test must not sleep: wait for what it waits for");
            }
        }
        if is_test(file) {
            for line in fixed_ports(&file.text) {
                refuse(line, "a fixed port may be taken: ask for port 0");
            }
        }
    }
    problems
}

/// No file names a folder of the machine it was written on.
fn path_belongs_to_no_machine(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in &tree.files {
        for path in MACHINE_PATHS {
            // `/home/` alone is a word of its own; what follows it makes it somebody's.
            let somebody = |at: usize| {
                let before = file.text[..at].chars().next_back();
                let after = file.text[at + path.len()..].chars().next();
                !before.is_some_and(source::is_word) && after.is_some_and(source::is_word)
            };
            let hits = file.text.match_indices(path).map(|(at, _)| at).filter(|&at| somebody(at));
            for at in hits {
                let line = line_of(&file.text, at);
                problems.push(format!("{}:{line}: `{path}…` is a path of one machine", file.path));
            }
        }
    }
    problems
}

/// How long the Rust files are; no rule, since the right length is a matter of judgement.
fn sizes(tree: &Tree) -> String {
    let mut sizes: Vec<(usize, &str)> =
        tree.rust().map(|file| (file.text.lines().count(), file.path.as_str())).collect();
    sizes.sort_unstable();
    let at = |percent: usize| sizes.get(sizes.len() * percent / 100).map_or(0, |it| it.0);
    let mut report = format!(
        "{} Rust files, {} lines; median {}, 90th percentile {}",
        sizes.len(),
        sizes.iter().map(|it| it.0).sum::<usize>(),
        at(50),
        at(90)
    );
    for (lines, path) in sizes.iter().rev().filter(|it| it.0 > MANY_LINES) {
        report.push_str(&format!("\n  {path} has {lines} lines: does it hold two concepts?"));
    }
    report
}

/// The crates of the tower, each with its folder.
fn tower() -> impl Iterator<Item = (&'static str, String)> {
    TOWER.iter().map(|&name| {
        let folder = name.strip_prefix("asyncio-").unwrap_or(name);
        (name, format!("crates/{folder}"))
    })
}

/// The headings of a Markdown text, which are none inside a code block.
fn headings(text: &str) -> Vec<&str> {
    let mut fenced = false;
    text.lines()
        .filter(|line| {
            fenced ^= line.starts_with("```");
            !fenced && line.starts_with('#')
        })
        .collect()
}

/// Whether a file is a test: it lies in a folder `tests`, or holds one.
fn is_test(file: &File) -> bool {
    file.path.split('/').rev().skip(1).any(|folder| folder == "tests")
        || !source::tests(&code(&file.text)).is_empty()
}

/// The lines on which a literal address has a fixed port: `"127.0.0.1:8080"`, `("::1", 8080)`.
///
/// A port below 1024 stands for a place where nobody listens: a test could not bind it anyhow.
fn fixed_ports(text: &str) -> Vec<usize> {
    const HOSTS: [&str; 5] = ["\"127.0.0.1", "\"0.0.0.0", "\"localhost", "\"::1", "\"[::1]"];
    let has_port = |line: &str| {
        HOSTS.iter().flat_map(|host| line.match_indices(host)).any(|(at, host)| {
            let after = &line[at + host.len()..];
            let port = after.strip_prefix(':').or_else(|| after.strip_prefix("\", "));
            let digits = port.unwrap_or("").split(|c: char| !c.is_ascii_digit()).next();
            // Behind a backslash it is a text about an address, as in the tests of this rule.
            let quoted = line[..at].ends_with('\\');
            !quoted && digits.and_then(|it| it.parse::<u16>().ok()).is_some_and(|it| it >= 1024)
        })
    };
    let lines = text.lines().enumerate();
    let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| has_port(line)).map(|(at, _)| at + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with all that the rules ask for.
    fn sound() -> Tree {
        let mut tree = Tree::default();
        for (package, folder) in tower() {
            let mut readme = format!("# {package}: a thing\n");
            for heading in HEADINGS {
                readme.push_str(&format!("\n## {heading}\n\n```sh\n# no heading\n```\n"));
            }
            for (name, text) in [
                ("README.md", readme.as_str()),
                ("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n"),
                ("src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
                ("tests/thing.rs", "//! The thing.\n#[test]\nfn a_thing_is_a_thing() {}\n"),
            ] {
                let path = format!("{folder}/{name}");
                tree.files.push(File { path, text: text.into() });
            }
        }
        tree
    }

    /// What is found when the file at `path` reads `text`.
    fn with(path: &str, text: &str) -> Vec<String> {
        let mut tree = sound();
        tree.files.retain(|file| file.path != path);
        tree.files.push(File { path: path.into(), text: text.into() });
        check(&tree)
    }

    /// Asserts that a test file with this body breaks exactly one rule.
    #[track_caller]
    fn refused(body: &str, why: &str) {
        let found = with("crates/loop/tests/odd.rs", &format!("//! Odd.\n{body}"));
        assert!(found.len() == 1 && found[0].contains(why), "{body}: {found:?}");
        assert!(found[0].starts_with("crates/loop/tests/odd.rs"), "{found:?}");
    }

    #[test]
    fn this_workspace_is_tidy() {
        let problems = check(&Tree::read(root()).unwrap());
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn a_sound_tree_has_no_problems() {
        assert_eq!(check(&sound()), [""; 0]);
    }

    #[test]
    fn a_readme_that_is_missing_or_has_other_headings_is_found() {
        let path = "crates/queue/README.md";
        let good = sound().get(path).unwrap().text.clone();
        let mut tree = sound();
        tree.files.retain(|file| file.path != path);
        assert_eq!(check(&tree), [format!("{path} is missing")]);

        let found = with(path, &good.replace("asyncio-queue: a", "A"));
        assert!(found[0].contains("must begin with `# asyncio-queue: `"), "{found:?}");
        let found = with(path, &good.replace("## Features", "## Traits"));
        assert_eq!(found, [format!("{path}: heading 6 is `Traits`, not `Features`")]);
        let found = with(path, &format!("{good}\n## Licence\n"));
        assert_eq!(found, [format!("{path}: heading 9 is `Licence`, not `no more`")]);
        let found = with(path, &good.replace("## Minimum Rust version", ""));
        assert_eq!(found, [format!("{path}: heading 8 is `none`, not `Minimum Rust version`")]);
    }

    #[test]
    fn a_changelog_without_a_place_for_the_next_entry_is_found() {
        let found = with("crates/task/CHANGELOG.md", "# Changelog\n");
        assert!(found[0].starts_with("crates/task/CHANGELOG.md"), "{found:?}");
    }

    #[test]
    fn a_long_front_page_is_found() {
        let text = format!("//! Long.\n{}", "mod a;\n".repeat(120));
        let found = with("crates/asyncio/src/lib.rs", &text);
        assert_eq!(found, ["crates/asyncio/src/lib.rs has 121 lines, more than 120"]);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_found() {
        for text in ["", "use std::rc::Rc;\n//! Late.", "#![expect(\n    dead_code\n)]\nmod a;"] {
            let found = with("crates/task/src/group.rs", text);
            assert!(found.len() == 1 && found[0].contains("`//!`"), "{text:?}: {found:?}");
        }
        let text = "#![expect(\n    dead_code,\n    reason = \"soon\"\n)]\n//! Groups.\n";
        assert_eq!(with("crates/task/src/group.rs", text), [""; 0]);
    }

    #[test]
    fn a_test_name_that_is_no_sentence_is_found() {
        refused("#[test]\nfn smoke() {}", "`smoke`");
        refused("#[test]\nfn it_works() {}", "`it_works`");
        refused("#[test]\nfn test_that_it_works() {}", "`test_that_it_works`");
    }

    #[test]
    fn what_is_unfinished_or_switched_off_is_found() {
        refused("fn f() { todo!() }", "unfinished");
        refused("fn f() { unimplemented!(\"x\") }", "unfinished");
        refused("#[ignore = \"slow\"]\nfn f() {}", "never runs");
        refused("fn f() { if let Some(x) = y && z {} }", "1.88");
    }

    #[test]
    fn sleeping_and_fixed_ports_are_found_in_tests() {
        refused("fn f() { std::thread::sleep(d) }", "sleep");
        refused("fn f() { connect(\"127.0.0.1:8080\") }", "port");
        refused("fn f() { connect((\"localhost\", 8080)) }", "port");
        refused("fn f() { connect(\"[::1]:8080\") }", "port");
    }

    #[test]
    fn words_in_comments_and_strings_and_port_0_are_no_offence() {
        let body = "// todo!() #[ignore] \"127.0.0.1:8080\"\nfn f() { g(\"todo!()\"); g(\"127.0.0.1:0\") }\n\
                    fn h() { a.sleep(); b((\"::1\", 1)); c(\"localhost\") }";
        assert_eq!(with("crates/loop/tests/odd.rs", &format!("//! Odd.\n{body}")), [""; 0]);
        let program = "//! P.\nfn main() { std::thread::sleep(d); bind(\"127.0.0.1:8080\") }";
        assert_eq!(with("crates/asyncio/examples/p/src/main.rs", program), [""; 0]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_any_file() {
        for path in MACHINE_PATHS {
            let found = with("docs/index.md", &format!("see\n`{path}me/x`"));
            assert_eq!(found.len(), 1, "{path}");
            assert!(found[0].starts_with("docs/index.md:2: "), "{found:?}");
        }
        assert_eq!(with("docs/index.md", "framework/x, at home/x"), [""; 0]);
    }

    #[test]
    fn long_files_are_reported_but_not_refused() {
        let mut tree = sound();
        let text = format!("//! Long.\n{}", "mod a;\n".repeat(600));
        tree.files.push(File { path: "crates/loop/src/all.rs".into(), text });
        assert!(check(&tree).is_empty());
        assert!(sizes(&tree).contains("crates/loop/src/all.rs has 601 lines"), "{}", sizes(&tree));
    }
}
