//! `cargo xtask test-matrix`: each library alone, then its tests and doctests, with each feature set.
//!
//! Three commands a feature set. The first is `cargo check --lib -p …`, which builds no
//! dev-dependencies: with the resolver of edition 2021 and later, features that only a dev-dependency
//! asks for are then off, and so are those that another package of the workspace asks for, since only
//! the one named by `-p` is resolved. A feature that the manifest forgot cannot hide behind the
//! tests' needs. (smol and crossbeam pass `--no-dev-deps` to cargo-hack for the same reason.)

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use xshell::Shell;

use crate::command::Command;
use crate::flags::TestMatrix;
use crate::workspace::{Package, Workspace};

/// With more features than this, a crate must declare its matrix: 2⁵ sets are 96 commands.
const MOST_FEATURES: usize = 5;

const STEPS: [&str; 3] = ["check", "tests", "doctests"];

/// One row of the table: a package with one of its feature sets.
#[derive(Debug)]
struct Row {
    package: Package,
    features: Vec<String>,
    /// What came of each of [`STEPS`] so far.
    cells: [Cell; 3],
    took: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cell {
    /// Not run: it does not apply, or something failed fast before it.
    #[default]
    Blank,
    Passed,
    Failed,
}

impl TestMatrix {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        let mut rows = plan(&Workspace::read(sh)?, &self.package, self.features.as_deref())?;
        if self.list {
            for row in &rows {
                println!("{:<20} {}", row.package.name, name_of(&row.features));
            }
            return Ok(());
        }
        'rows: for row in &mut rows {
            let start = Instant::now();
            for (cell, command) in row.commands() {
                row.cells[cell] = match command.run(sh) {
                    Ok(()) => Cell::Passed,
                    Err(error) => {
                        eprintln!("error: {error:#}");
                        Cell::Failed
                    }
                };
                row.took = start.elapsed();
                if self.fail_fast && row.cells[cell] == Cell::Failed {
                    break 'rows;
                }
            }
        }
        println!("\n{}", table(&rows));
        let failed = rows.iter().filter(|row| row.cells.contains(&Cell::Failed)).count();
        ensure!(failed == 0, "{failed} of {} feature sets failed", rows.len());
        Ok(())
    }
}

impl Row {
    fn new(package: &Package, features: Vec<String>) -> Self {
        Self { package: package.clone(), features, cells: Default::default(), took: Duration::ZERO }
    }

    /// The commands of this row, each with its place in [`STEPS`].
    fn commands(&self) -> Vec<(usize, Command)> {
        let cargo = |words: &str| {
            let command = Command::cargo(words)
                .arg("-p")
                .arg(&self.package.name)
                .arg("--no-default-features");
            match self.features.as_slice() {
                [] => command,
                features => command.arg("--features").arg(features.join(",")),
            }
        };
        if self.package.has_lib {
            let words = ["check --lib", "test --tests --examples", "test --doc"];
            words.iter().map(|words| cargo(words)).enumerate().collect()
        } else {
            vec![(0, cargo("check")), (1, cargo("test"))]
        }
    }
}

/// The rows that were asked for.
///
/// `only` is one feature set, with commas between; without `packages` it applies wherever it exists.
fn plan(workspace: &Workspace, packages: &[String], only: Option<&str>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for asked in packages {
        ensure!(
            workspace.packages.iter().any(|package| is_called(package, asked)),
            "there is no package `{asked}`"
        );
    }
    for package in &workspace.packages {
        let asked = packages.iter().any(|name| is_called(package, name));
        // The chores are tested by `cargo xtask ci`: they are not part of what we ship.
        if !asked && (!packages.is_empty() || package.name == "xtask") {
            continue;
        }
        let Some(only) = only else {
            rows.extend(feature_sets(package)?.into_iter().map(|set| Row::new(package, set)));
            continue;
        };
        let set: Vec<String> =
            only.split(',').map(str::trim).filter(|it| !it.is_empty()).map(String::from).collect();
        match unknown_feature(package, &set) {
            None => rows.push(Row::new(package, set)),
            Some(feature) if asked => bail!("`{}` has no feature `{feature}`", package.name),
            Some(_) => {}
        }
    }
    ensure!(!rows.is_empty(), "no package has the features `{}`", only.unwrap_or_default());
    Ok(rows)
}

/// Whether `-p asked` means this package: by its name, or by its tier alone (`queue`).
fn is_called(package: &Package, asked: &str) -> bool {
    package.name == asked || package.name.strip_prefix("asyncio-") == Some(asked)
}

/// The feature sets of a package: those it declares, else the powerset of its public features.
///
/// Packages beside the tower (`tests`, example programs) have one set, unless they declare more.
fn feature_sets(package: &Package) -> Result<Vec<Vec<String>>> {
    let name = &package.name;
    if let Some(declared) = &package.matrix {
        for set in declared {
            if let Some(feature) = unknown_feature(package, set) {
                bail!("the matrix of `{name}` names `{feature}`, which is none of its features");
            }
        }
        ensure!(!declared.is_empty(), "the matrix of `{name}` is empty: it would test nothing");
        return Ok(declared.clone());
    }
    if !package.dir.starts_with("crates/") {
        return Ok(vec![Vec::new()]);
    }
    let public: Vec<String> = package
        .features
        .iter()
        .filter(|feature| *feature != "default" && !feature.starts_with("__"))
        .cloned()
        .collect();
    ensure!(
        public.len() <= MOST_FEATURES,
        "`{name}` has {} features, too many for all their sets: declare \
         `[package.metadata.asyncio] matrix = [[], …]` in its manifest",
        public.len()
    );
    Ok(powerset(&public))
}

fn unknown_feature<'a>(package: &Package, set: &'a [String]) -> Option<&'a String> {
    set.iter().find(|feature| !package.features.contains(feature))
}

/// All subsets, from the empty one to the whole.
fn powerset(all: &[String]) -> Vec<Vec<String>> {
    let mut sets = vec![Vec::new()];
    for feature in all {
        let with: Vec<Vec<String>> =
            sets.iter().map(|set| set.iter().chain([feature]).cloned().collect()).collect();
        sets.extend(with);
    }
    sets
}

/// How a feature set is written in lists and tables.
fn name_of(features: &[String]) -> String {
    if features.is_empty() { "(none)".into() } else { features.join(",") }
}

/// The crate × features table.
fn table(rows: &[Row]) -> String {
    let width = |texts: &mut dyn Iterator<Item = usize>, title: &str| {
        texts.max().unwrap_or(0).max(title.len())
    };
    let names = width(&mut rows.iter().map(|row| row.package.name.len()), "crate");
    let sets = width(&mut rows.iter().map(|row| name_of(&row.features).len()), "features");
    let [check, tests, doctests] = STEPS;
    let mut text = format!(
        "{:names$}  {:sets$}  {check:8}  {tests:8}  {doctests:8}  seconds",
        "crate", "features"
    );
    for row in rows {
        let [check, tests, doctests] = row.cells.map(|cell| match cell {
            Cell::Blank => "-",
            Cell::Passed => "ok",
            Cell::Failed => "FAILED",
        });
        text.push_str(&format!(
            "\n{:names$}  {:sets$}  {check:8}  {tests:8}  {doctests:8}  {:7.1}",
            row.package.name,
            name_of(&row.features),
            row.took.as_secs_f64()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn package(name: &str, features: &[&str]) -> Package {
        let folder = name.trim_start_matches("asyncio-");
        Package {
            name: name.into(),
            dir: format!("crates/{folder}"),
            has_lib: true,
            features: strings(features),
            ..Package::default()
        }
    }

    fn printed(row: &Row) -> Vec<String> {
        row.commands().iter().map(|(_, command)| command.to_string()).collect()
    }

    #[test]
    fn the_powerset_goes_from_nothing_to_everything() {
        let sets = powerset(&strings(&["a", "b", "c"]));
        let names: Vec<String> = sets.iter().map(|set| set.join("")).collect();
        assert_eq!(names, ["", "a", "b", "ab", "c", "ac", "bc", "abc"]);
        assert_eq!(powerset(&[]), [strings(&[])]);
    }

    #[test]
    fn without_a_declared_matrix_a_crate_gets_the_powerset_of_its_public_features() {
        let sets = feature_sets(&package("asyncio-loop", &["__bench", "default", "signals"]));
        assert_eq!(sets.unwrap(), [strings(&[]), strings(&["signals"])]);
    }

    #[test]
    fn a_declared_matrix_stands_in_for_the_powerset() {
        let mut package = package("asyncio-loop", &["debug", "signals"]);
        package.matrix = Some(vec![strings(&[]), strings(&["debug", "signals"])]);
        assert_eq!(feature_sets(&package).unwrap(), package.matrix.clone().unwrap());
        package.matrix = Some(vec![strings(&["debig"])]);
        assert!(feature_sets(&package).unwrap_err().to_string().contains("`debig`"));
        package.matrix = Some(vec![]);
        assert!(feature_sets(&package).is_err());
    }

    #[test]
    fn too_many_features_ask_for_a_declared_matrix() {
        let error = feature_sets(&package("asyncio", &["a", "b", "c", "d", "e", "f"])).unwrap_err();
        assert!(error.to_string().contains("declare"), "{error}");
    }

    #[test]
    fn the_library_is_checked_alone_before_its_tests_and_doctests_run() {
        let row = Row::new(&package("asyncio-loop", &["debug"]), strings(&["debug"]));
        let ends = "-p asyncio-loop --no-default-features --features debug";
        assert_eq!(
            printed(&row),
            [
                format!("cargo check --lib {ends}"),
                format!("cargo test --tests --examples {ends}"),
                format!("cargo test --doc {ends}"),
            ]
        );
    }

    /// A library that needs feature `deep` of `dep` and does not say so; its tests and its neighbour do.
    #[test]
    fn a_forgotten_feature_hides_from_the_tests_but_not_from_the_check() {
        let root = std::env::temp_dir().join(format!("xtask-matrix-{}", std::process::id()));
        let sh = Shell::new().unwrap();
        let member = |name: &str, manifest: &str, source: &str| {
            let head = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
            sh.write_file(root.join(name).join("Cargo.toml"), head + manifest).unwrap();
            sh.write_file(root.join(name).join("src/lib.rs"), source).unwrap();
        };
        let deep = "dep = { path = \"../dep\", features = [\"deep\"] }\n";
        let workspace =
            "[workspace]\nresolver = \"3\"\nmembers = [\"dep\", \"careless\", \"careful\"]\n";
        sh.write_file(root.join("Cargo.toml"), workspace).unwrap();
        member("dep", "[features]\ndeep = []\n", "#[cfg(feature = \"deep\")]\npub fn deep() {}\n");
        let forgets = format!("[dependencies]\ndep.path = \"../dep\"\n[dev-dependencies]\n{deep}");
        member("careless", &forgets, "pub use dep::deep;\n");
        member("careful", &format!("[dependencies]\n{deep}"), "pub use dep::deep;\n");
        sh.change_dir(&root);

        let verdicts = |name: &str| {
            let commands = Row::new(&package(name, &[]), vec![]).commands();
            let passes = |(_, command): (usize, Command)| {
                let output = command.arg("--offline").process(&sh).output().unwrap();
                output.status.success()
            };
            commands.into_iter().map(passes).collect::<Vec<_>>()
        };
        assert_eq!(verdicts("careless"), [false, true, true]);
        assert_eq!(verdicts("careful"), [true, true, true]);
        sh.remove_path(&root).unwrap();
    }

    #[test]
    fn a_program_has_no_library_to_check_and_no_doctests() {
        let program = Package { has_lib: false, ..package("codesearch", &[]) };
        let ends = "-p codesearch --no-default-features";
        assert_eq!(
            printed(&Row::new(&program, vec![])),
            [format!("cargo check {ends}"), format!("cargo test {ends}")]
        );
    }

    #[test]
    fn packages_are_picked_by_name_or_by_tier_and_features_by_set() {
        let packages = vec![
            package("asyncio-loop", &["debug"]),
            package("asyncio-queue", &[]),
            Package { dir: "xtask".into(), ..package("xtask", &[]) },
        ];
        let workspace = Workspace { packages };
        let names = |packages: &[&str], only| {
            plan(&workspace, &strings(packages), only).map(|rows| {
                let row = |row: &Row| format!("{} {}", row.package.name, name_of(&row.features));
                rows.iter().map(row).collect::<Vec<_>>()
            })
        };
        let all = ["asyncio-loop (none)", "asyncio-loop debug", "asyncio-queue (none)"];
        assert_eq!(names(&[], None).unwrap(), all);
        assert_eq!(names(&["queue"], None).unwrap(), ["asyncio-queue (none)"]);
        assert_eq!(names(&["xtask"], None).unwrap(), ["xtask (none)"]);
        assert_eq!(names(&[], Some("debug")).unwrap(), ["asyncio-loop debug"]);
        assert_eq!(names(&["asyncio-loop"], Some("")).unwrap(), ["asyncio-loop (none)"]);
        assert!(names(&["lop"], None).unwrap_err().to_string().contains("`lop`"));
        assert!(names(&["queue"], Some("debug")).unwrap_err().to_string().contains("`debug`"));
        assert!(names(&[], Some("debig")).is_err());
    }

    #[test]
    fn the_table_shows_what_passed_what_failed_and_what_was_not_run() {
        let mut row = Row::new(&package("asyncio-queue", &[]), vec![]);
        row.cells = [Cell::Passed, Cell::Failed, Cell::Blank];
        row.took = Duration::from_millis(1_250);
        let text = table(&[row]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "crate          features  check     tests     doctests  seconds");
        assert_eq!(lines[1], "asyncio-queue  (none)    ok        FAILED    -             1.2");
    }
}
