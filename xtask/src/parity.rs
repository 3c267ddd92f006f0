//! `cargo xtask parity`: which behaviours of asyncio a test of ours shows.
//!
//! The behaviours stand in `docs/behaviours.md`, what differs on purpose and why in
//! `docs/parity-differences.md`. A test names what it shows in its doc comment,
//! `/// Behaviour: TSK-29, TSK-31.` What asyncio raises and the compiler refuses here is shown by a
//! `compile_fail` doc test, whose comment stands on an item with `#[cfg(doctest)]`. From these three
//! comes `docs/parity.md`. It has no line numbers, so that it changes only when what it says does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use crate::command::Command;
use crate::flags::Parity;
use crate::root;
use crate::source;
use crate::tree::{File, Tree};

const BEHAVIOURS: &str = "docs/behaviours.md";
const DIFFERENCES: &str = "docs/parity-differences.md";
const PARITY: &str = "docs/parity.md";
/// Runs the scenarios in asyncio and writes down what happened, in which order.
const RECORD: &str = "tests/parity/record.py";

/// Where a comment says what a test shows.
const MARK: &str = "Behaviour:";

/// One behaviour of asyncio.
#[derive(Debug, PartialEq, Eq)]
struct Behaviour {
    id: String,
    /// The heading it stands under: `4 task`.
    tier: String,
    /// Whether it has a meaning here at all; the list marks those without `[N/A]`.
    applies: bool,
    text: String,
}

/// A test that shows behaviours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Test {
    path: String,
    name: String,
}

/// The tests of each id.
type Shown = BTreeMap<String, BTreeSet<Test>>;

impl Parity {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        if self.record {
            // With `--check` too it only compares, as the test `record` of the order of events does.
            let check = if self.check { "--check" } else { "" };
            return Command::new(&format!("python3 {RECORD} {check}")).run(sh);
        }
        let tree = Tree::read(root())?;
        let (report, problems) = report(&tree)?;
        ensure!(problems.is_empty(), "the ids do not fit:\n  {}", problems.join("\n  "));
        let written = tree.get(PARITY).map_or("", |file| &file.text);
        if self.check {
            ensure!(written == report, "{PARITY} is out of date: run `cargo xtask parity`");
        } else if written != report {
            fs::write(root().join(PARITY), &report).context(PARITY)?;
        }
        println!("parity: {}", report.lines().find(|line| line.starts_with("Of ")).unwrap_or(""));
        Ok(())
    }
}

/// The text of `docs/parity.md`, and what is wrong with its sources, one sentence each.
fn report(tree: &Tree) -> Result<(String, Vec<String>)> {
    let source = |path: &str| tree.get(path).with_context(|| format!("{path} is missing"));
    let behaviours = behaviours(&source(BEHAVIOURS)?.text)?;
    let differences = differences(&source(DIFFERENCES)?.text)?;
    let (shown, mut problems) = collect(tree);

    let known: BTreeSet<&str> = behaviours.iter().map(|it| it.id.as_str()).collect();
    ensure!(known.len() == behaviours.len(), "{BEHAVIOURS} lists an id twice");
    for (id, tests) in shown.iter().filter(|(id, _)| !known.contains(id.as_str())) {
        let test = tests.first().map_or("", |test| &test.path);
        problems.push(format!("{test}: {BEHAVIOURS} has no `{id}`"));
    }
    for id in differences.keys().filter(|id| !known.contains(id.as_str())) {
        problems.push(format!("{DIFFERENCES}: {BEHAVIOURS} has no `{id}`"));
    }
    Ok((render(&behaviours, &differences, &shown), problems))
}

/// Reads `- [ ] TSK-29 what happens` under headings `## 4 task`.
fn behaviours(text: &str) -> Result<Vec<Behaviour>> {
    let mut tier = None;
    let mut behaviours = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            tier = Some(heading.to_owned());
        }
        let Some(entry) = line.strip_prefix("- [") else { continue };
        let parts = entry
            .split_once("] ")
            .and_then(|(flag, rest)| rest.split_once(' ').map(|(id, text)| (flag, id, text)));
        let (flag, id, text) =
            parts.with_context(|| format!("{BEHAVIOURS}: cannot read {line:?}"))?;
        ensure!([" ", "~", "N/A"].contains(&flag), "{BEHAVIOURS}: no such flag: {line:?}");
        ensure!(is_id(id), "{BEHAVIOURS}: no such id: {line:?}");
        behaviours.push(Behaviour {
            id: id.into(),
            tier: tier.clone().with_context(|| format!("{BEHAVIOURS}: no tier above {line:?}"))?,
            applies: flag != "N/A",
            text: text.into(),
        });
    }
    Ok(behaviours)
}

/// Reads the table `| TSK-75 | why |`.
fn differences(text: &str) -> Result<BTreeMap<String, String>> {
    let mut reasons = BTreeMap::new();
    for line in text.lines() {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let Some(id) = cells.next().filter(|id| is_id(id)) else { continue };
        let reason = cells.next().unwrap_or_default();
        ensure!(!reason.is_empty(), "{DIFFERENCES}: `{id}` has no reason");
        let former = reasons.insert(id.to_owned(), reason.to_owned());
        ensure!(former.is_none(), "{DIFFERENCES} lists `{id}` twice");
    }
    Ok(reasons)
}

/// The ids that the tests of the crates and of `tests/` name, and which comments cannot be read.
fn collect(tree: &Tree) -> (Shown, Vec<String>) {
    let mut shown = Shown::new();
    let mut problems = Vec::new();
    for file in tree.rust() {
        if !(file.path.starts_with("crates/") || file.path.starts_with("tests/")) {
            continue;
        }
        for comment in comments(file) {
            match comment {
                Ok((ids, test)) => {
                    for id in ids {
                        shown.entry(id).or_default().insert(test.clone());
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    (shown, problems)
}

/// Each comment `Behaviour: …` of a file: its ids and the test below it, or what is wrong with it.
fn comments(file: &File) -> Vec<Result<(Vec<String>, Test), String>> {
    let lines: Vec<&str> = file.text.lines().map(str::trim_start).collect();
    let begins = |&at: &usize| said(lines[at]).is_some_and(|said| said.starts_with(MARK));
    let comments = (0..lines.len()).filter(begins).map(|at| {
        let wrong = |what: &str| Err(format!("{}:{}: {what}", file.path, at + 1));
        // The ids may go over several lines; a full stop ends them.
        let said: Vec<&str> = lines[at..].iter().map_while(|line| said(line)).collect();
        let text = said.join(" ");
        let Some((list, _)) = text[MARK.len()..].split_once('.') else {
            return wrong("the list of ids must end with a full stop");
        };
        let ids: Vec<String> = list.split(',').map(|id| id.trim().to_owned()).collect();
        if let Some(odd) = ids.iter().find(|id| !is_id(id)) {
            return wrong(&format!("`{odd}` is no id"));
        }
        let below = &lines[at + said.len()..];
        let name = test_below(below).or_else(|| {
            let above = lines[..at].iter().rev().map_while(|line| self::said(line));
            doc_test_below(below).filter(|_| above.chain(said).any(must_not_compile))
        });
        match name {
            Some(name) => Ok((ids, Test { path: file.path.clone(), name })),
            None => wrong("what stands below the comment is no test"),
        }
    });
    comments.collect()
}

/// What a line says that is a comment.
fn said(line: &str) -> Option<&str> {
    line.strip_prefix("///").or_else(|| line.strip_prefix("//")).map(str::trim)
}

/// The name of the test that `lines` begin with: a function with `#[test]`, or, in a test without
/// harness, an entry of its table, which begins with the name as a string.
fn test_below(lines: &[&str]) -> Option<String> {
    let entry = lines.first()?.strip_prefix('"').and_then(|line| line.strip_suffix("\","));
    if entry.is_some() {
        return entry.map(String::from);
    }
    let code = source::code(&lines.join("\n"));
    let head = code.split('{').next()?;
    head.contains("#[test]").then(|| source::function_name(head)).flatten().map(String::from)
}

/// The name of the item with `#[cfg(doctest)]` that `lines` begin with: a carrier of doc tests.
fn doc_test_below(lines: &[&str]) -> Option<String> {
    let code = source::code(&lines.join("\n"));
    let item = code.trim_start().strip_prefix("#[cfg(doctest)]")?.split(['{', ';', '(']).next()?;
    let mut words = source::words(item).map(|(_, word)| word);
    words.find(|word| ["fn", "mod", "struct"].contains(word))?;
    words.next().map(String::from)
}

/// Whether a line of a comment begins a doc test that must be refused with a certain error.
fn must_not_compile(said: &str) -> bool {
    let error = said.strip_prefix("```compile_fail,E");
    error.is_some_and(|error| error.len() == 4 && error.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a word looks like `TSK-29`.
fn is_id(word: &str) -> bool {
    let Some((group, number)) = word.split_once('-') else { return false };
    group.starts_with(|c: char| c.is_ascii_uppercase())
        && group.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        && !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
}

/// The page: a table of the tiers, then each tier.
fn render(
    behaviours: &[Behaviour],
    differences: &BTreeMap<String, String>,
    shown: &Shown,
) -> String {
    let mut tiers: Vec<&str> = behaviours.iter().map(|it| it.tier.as_str()).collect();
    tiers.dedup();
    let mut table = String::new();
    let mut pages = String::new();
    let mut total = [0; 4];
    for tier in tiers {
        let of_tier = || behaviours.iter().filter(|it| it.tier == tier);
        let differs = |it: &&Behaviour| differences.contains_key(&it.id);
        let is_shown = |it: &&Behaviour| shown.contains_key(&it.id);
        let covered: Vec<_> = of_tier().filter(|it| is_shown(it) && !differs(it)).collect();
        let different: Vec<_> = of_tier().filter(differs).collect();
        let open = || of_tier().filter(|it| !is_shown(it) && !differs(it));
        let missing: Vec<_> = open().filter(|it| it.applies).collect();
        let senseless: Vec<_> = open().filter(|it| !it.applies).collect();

        let counts = [covered.len(), different.len(), missing.len(), senseless.len()];
        let [a, b, c, d] = counts;
        _ = writeln!(table, "| {tier} | {a} | {b} | {c} | {d} |");
        total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);

        _ = write!(pages, "\n## {tier}\n");
        section(&mut pages, "Covered", &covered, |it| tests(&shown[&it.id]));
        section(&mut pages, "Different on purpose", &different, |it| {
            let tests = shown.get(&it.id).map(tests).unwrap_or_default();
            format!("\n  **Here:** {}{tests}", differences[&it.id])
        });
        section(&mut pages, "Missing", &missing, |_| String::new());
    }
    let [a, b, c, d] = total;
    format!(
        "# Parity with asyncio\n\n\
         Written by `cargo xtask parity`; do not edit. The behaviours are those of\n\
         [behaviours.md](behaviours.md), the reasons those of [parity-differences.md](parity-differences.md).\n\n\
         Of {} behaviours {a} are covered by a test, {b} differ on purpose, {c} are missing, {d} have no meaning in Rust.\n\n\
         | tier | covered | different on purpose | missing | no meaning here |\n\
         |---|---:|---:|---:|---:|\n{table}{pages}",
        behaviours.len()
    )
}

/// A heading and one bullet a behaviour; nothing at all for no behaviours.
fn section(
    page: &mut String,
    heading: &str,
    behaviours: &[&Behaviour],
    more: impl Fn(&Behaviour) -> String,
) {
    if behaviours.is_empty() {
        return;
    }
    _ = write!(page, "\n### {heading}\n\n");
    for behaviour in behaviours {
        _ = writeln!(page, "- {} {}{}", behaviour.id, behaviour.text, more(behaviour));
    }
}

/// The tests of one id, a line each.
fn tests(tests: &BTreeSet<Test>) -> String {
    tests.iter().map(|test| format!("\n  - `{}` in {}", test.name, test.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# Behaviours\n\n`[ ]` applies.\n\n## 4 task\n\n\
                        - [ ] TSK-29 cancel a sleeping task\n- [~] TSK-30 messages\n\
                        - [N/A] TSK-14 base class\n\n## 6 queue\n\n- [ ] QUE-04 third put blocks\n";
    const REASONS: &str = "| id | here, and why |\n|---|---|\n| TSK-30 | no messages |\n";

    fn tree(test: &str) -> Tree {
        Tree::from([
            (BEHAVIOURS, LIST),
            (DIFFERENCES, REASONS),
            ("crates/task/tests/cancel.rs", test),
        ])
    }

    #[track_caller]
    fn problem(test: &str, expected: &str) {
        let problems = report(&tree(test)).unwrap().1;
        assert_eq!(problems, [format!("crates/task/tests/cancel.rs{expected}")]);
    }

    #[test]
    fn a_comment_above_a_test_covers_its_ids() {
        let test = "//! T.\n\n/// Stops. (See there.)\n/// Behaviour: TSK-29,\n/// QUE-04. More.\n\
                    #[test]\nfn a_sleeping_task_can_be_cancelled() {\n}\n";
        let (page, problems) = report(&tree(test)).unwrap();
        assert_eq!(problems, [""; 0]);
        let line = "- TSK-29 cancel a sleeping task\n  - `a_sleeping_task_can_be_cancelled` in \
                    crates/task/tests/cancel.rs\n";
        assert!(page.contains(&format!("### Covered\n\n{line}")), "{page}");
        assert!(page.contains("- QUE-04 third put blocks\n  - `a_sleeping_task"), "{page}");
        assert!(page.contains("| 4 task | 1 | 1 | 0 | 1 |\n| 6 queue | 1 | 0 | 0 | 0 |"), "{page}");
    }

    #[test]
    fn an_entry_in_the_table_of_a_test_without_harness_covers_its_ids() {
        let table = "[(\n    // Behaviour: TSK-29.\n    \"a_second_ctrl_c_kills\",\n    || {},\n)]";
        let (page, problems) = report(&tree(table)).unwrap();
        assert_eq!(problems, [""; 0]);
        assert!(page.contains("\n  - `a_second_ctrl_c_kills` in crates/task/tests"), "{page}");
    }

    #[test]
    fn a_doc_test_that_must_not_compile_covers_its_ids() {
        let fence = "/// ```compile_fail,E0277\n/// create_task(1);\n/// ```\n";
        let mark = "/// Behaviour: TSK-29.\n";
        for item in ["mod a_number {}", "struct a_number;", "#[rustfmt::skip]\nfn a_number() {}"] {
            for comment in [format!("{mark}///\n{fence}"), format!("{fence}///\n{mark}")] {
                let test = format!("//! T.\n\n{comment}#[cfg(doctest)]\n{item}\n");
                let (page, problems) = report(&tree(&test)).unwrap();
                assert_eq!(problems, [""; 0], "{test}");
                assert!(page.contains("\n  - `a_number` in crates/task/tests"), "{page}");
            }
        }
    }

    #[test]
    fn a_doc_test_without_an_error_code_or_on_an_ordinary_item_is_a_problem() {
        let expected = ":1: what stands below the comment is no test";
        for (fence, attribute) in [
            ("```compile_fail,E0277", "#[cfg(test)]"),
            ("```compile_fail", "#[cfg(doctest)]"),
            ("```", "#[cfg(doctest)]"),
        ] {
            let test = format!(
                "/// Behaviour: TSK-29.\n/// {fence}\n/// f();\n/// ```\n{attribute}\nmod a {{}}"
            );
            problem(&test, expected);
        }
    }

    #[test]
    fn what_no_test_shows_is_missing_unless_it_differs_or_cannot_apply() {
        let (page, problems) = report(&tree("//! T.\n")).unwrap();
        assert_eq!(problems, [""; 0]);
        assert!(page.contains("### Missing\n\n- TSK-29 cancel a sleeping task\n"), "{page}");
        let difference = "### Different on purpose\n\n- TSK-30 messages\n  **Here:** no messages\n";
        assert!(page.contains(difference), "{page}");
        assert!(!page.contains("TSK-14"), "{page}");
        assert!(
            page.contains("Of 4 behaviours 0 are covered by a test, 1 differ on purpose, 2 are")
        );
    }

    #[test]
    fn an_id_that_is_not_listed_is_a_problem() {
        let unknown = "/// Behaviour: TSK-999.\n#[test]\nfn a_b_c() {}";
        problem(unknown, ": docs/behaviours.md has no `TSK-999`");
        let mut tree = tree("//! T.\n");
        tree.files[1].text.push_str("| TSK-998 | why |\n");
        let problems = report(&tree).unwrap().1;
        assert_eq!(problems, ["docs/parity-differences.md: docs/behaviours.md has no `TSK-998`"]);
    }

    #[test]
    fn a_comment_that_cannot_be_read_is_a_problem() {
        problem(
            "/// Behaviour: TSK-29\n#[test]\nfn a_b_c() {}",
            ":1: the list of ids must end with a full stop",
        );
        problem("\n/// Behaviour: TSK 29.\n#[test]\nfn a_b_c() {}", ":2: `TSK 29` is no id");
        problem(
            "/// Behaviour: TSK-29.\nfn helper() {}",
            ":1: what stands below the comment is no test",
        );
        problem(
            "/// Behaviour: TSK-29.\nstruct S { #[test] a: u8 }",
            ":1: what stands below the comment is no test",
        );
    }

    #[test]
    fn comments_outside_the_crates_and_tests_do_not_count() {
        let mut tree = tree("//! T.\n");
        tree.files[2].path = "xtask/src/x.rs".into();
        tree.files[2].text = "/// Behaviour: TSK-29.\n#[test]\nfn a_b_c() {}".into();
        assert!(collect(&tree).0.is_empty());
        tree.files[2].path = "tests/tests/x.rs".into();
        assert!(collect(&tree).0.contains_key("TSK-29"));
    }

    #[test]
    fn a_list_that_contradicts_itself_is_an_error() {
        assert!(behaviours("- [ ] TSK-1 x").is_err(), "no tier");
        assert!(behaviours("## 4 task\n- [x] TSK-1 x").is_err(), "no such flag");
        assert!(behaviours("## 4 task\n- [ ] Tsk-1 x").is_err(), "no id");
        assert!(differences("| TSK-1 | |").is_err(), "no reason");
        assert!(differences("| TSK-1 | a |\n| TSK-1 | b |").is_err(), "twice");
        let mut tree = tree("//! T.\n");
        tree.files[0].text.push_str("- [ ] TSK-29 again\n");
        assert!(report(&tree).is_err(), "an id twice");
    }
}
