//! `cargo xtask tiers`: a crate depends on lower tiers only.
//!
//! The order is [`TOWER`]. Dev-dependencies obey it too: a crate is tested with what lies below it,
//! and a story that needs more belongs in `tests/`, which stands beside the tower, as `xtask` and
//! the example programs do. These may depend on any tier, and no tier on them. The one exception
//! are [`TOOLS`], which tiers are tested with.

use anyhow::{Result, bail};
use xshell::Shell;

use crate::flags::Tiers;
use crate::workspace::{Kind, Package, Workspace};

/// The tower, bottom up: tier 1 first, the facade last.
pub(crate) const TOWER: [&str; 10] = [
    "asyncio-coro",
    "asyncio-loop",
    "asyncio-future",
    "asyncio-task",
    "asyncio-executor",
    "asyncio-queue",
    "asyncio-transport",
    "asyncio-protocol",
    "asyncio-stream",
    "asyncio",
];

/// What every tier may be tested with. They depend on the two lowest tiers at most, so that only
/// these are tested with something that depends on them.
pub(crate) const TOOLS: [&str; 2] = ["asyncio-cancel-everywhere", "asyncio-counting-allocator"];

impl Tiers {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        let problems = check(&Workspace::read(sh)?);
        if !problems.is_empty() {
            bail!("the tower leans:\n  {}", problems.join("\n  "));
        }
        println!("tiers: every crate depends on lower tiers only");
        Ok(())
    }
}

/// The tier of a package of the tower, from 1; the facade is 10.
pub(crate) fn tier(package: &str) -> Option<usize> {
    TOWER.iter().position(|&name| name == package).map(|at| at + 1)
}

/// What breaks the order, one sentence each.
fn check(workspace: &Workspace) -> Vec<String> {
    let members: Vec<&str> = workspace.packages.iter().map(|it| it.name.as_str()).collect();
    let absent = TOWER.iter().filter(|name| !members.contains(name));
    let mut problems: Vec<String> =
        absent.map(|name| format!("{name} is in the tower but not in the workspace")).collect();
    for package in &workspace.packages {
        let in_crates = package.dir.strip_prefix("crates/").is_some_and(|it| !it.contains('/'));
        match tier(&package.name) {
            Some(own) => problems.extend(upward(package, own, &members)),
            None if TOOLS.contains(&package.name.as_str()) => {
                problems.extend(upward(package, TOOLS_STAND_ON + 1, &members));
            }
            None if in_crates => {
                problems.push(format!("{} lies in crates/ but has no tier", package.name));
            }
            None => {}
        }
    }
    problems
}

/// The highest tier that [`TOOLS`] may depend on.
const TOOLS_STAND_ON: usize = 2;

/// The dependencies of a package of tier `own` that do not point down.
fn upward(package: &Package, own: usize, members: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        if !members.contains(&dependency.name.as_str()) {
            continue; // third-party
        }
        let how = match dependency.kind {
            Kind::Normal => "depends",
            Kind::Build => "build-depends",
            Kind::Dev => "dev-depends",
        };
        let name = &package.name;
        if dependency.kind == Kind::Dev && TOOLS.contains(&dependency.name.as_str()) {
            continue;
        }
        match tier(&dependency.name) {
            Some(other) if other < own => {}
            Some(other) => problems
                .push(format!("{name} (tier {own}) {how} on {} (tier {other})", dependency.name)),
            None => problems
                .push(format!("{name} (tier {own}) {how} on {}, no tier at all", dependency.name)),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The tower as cargo describes it, each crate on all tiers below it, `tests` beside it.
    fn metadata() -> Value {
        let package = |name: &str, dir: &str, below: &[&str]| {
            json!({
                "name": name, "manifest_path": format!("/w/{dir}/Cargo.toml"),
                "features": {}, "metadata": null, "targets": [],
                "dependencies": below.iter().map(|name| json!({ "name": name, "kind": null })).collect::<Vec<_>>(),
            })
        };
        let mut packages: Vec<Value> = (0..TOWER.len())
            .map(|at| {
                let folder = TOWER[at].trim_start_matches("asyncio-");
                package(TOWER[at], &format!("crates/{folder}"), &TOWER[..at])
            })
            .collect();
        packages.push(package("tests", "tests", &["asyncio"]));
        packages.push(package(TOOLS[1], "tests/counting-allocator", &[]));
        packages.push(package(TOOLS[0], "tests/cancel-everywhere", &TOWER[..2]));
        json!({ "workspace_root": "/w", "packages": packages })
    }

    /// Adds a dependency to tier `own` of the sound tower and says what `check` finds.
    fn with_dependency(own: usize, name: &str, kind: Value) -> Vec<String> {
        let mut metadata = metadata();
        metadata["packages"][own - 1]["dependencies"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": name, "kind": kind }));
        check(&Workspace::parse(&metadata.to_string()).unwrap())
    }

    #[test]
    fn a_tower_that_points_down_has_no_problems() {
        assert_eq!(check(&Workspace::parse(&metadata().to_string()).unwrap()), [""; 0]);
        assert_eq!(with_dependency(6, "event-listener", Value::Null), [""; 0]);
    }

    #[test]
    fn a_dependency_on_a_higher_tier_is_found() {
        let found = with_dependency(2, "asyncio-task", Value::Null);
        assert_eq!(found, ["asyncio-loop (tier 2) depends on asyncio-task (tier 4)"]);
    }

    #[test]
    fn a_dependency_on_the_own_tier_is_found() {
        let found = with_dependency(6, "asyncio-queue", json!("dev"));
        assert_eq!(found, ["asyncio-queue (tier 6) dev-depends on asyncio-queue (tier 6)"]);
    }

    #[test]
    fn build_and_dev_dependencies_obey_the_order_too() {
        let found = with_dependency(1, "asyncio", json!("build"));
        assert_eq!(found, ["asyncio-coro (tier 1) build-depends on asyncio (tier 10)"]);
        let found = with_dependency(3, "asyncio-task", json!("dev"));
        assert_eq!(found, ["asyncio-future (tier 3) dev-depends on asyncio-task (tier 4)"]);
    }

    #[test]
    fn a_tier_that_depends_on_a_package_beside_the_tower_is_found() {
        let found = with_dependency(5, "tests", json!("dev"));
        assert_eq!(found, ["asyncio-executor (tier 5) dev-depends on tests, no tier at all"]);
    }

    #[test]
    fn a_tier_may_be_tested_with_a_tool_but_not_depend_on_it() {
        assert_eq!(with_dependency(1, TOOLS[0], json!("dev")), [""; 0]);
        let found = with_dependency(6, TOOLS[0], Value::Null);
        let problem = "asyncio-queue (tier 6) depends on asyncio-cancel-everywhere, no tier at all";
        assert_eq!(found, [problem]);
    }

    #[test]
    fn a_tool_that_depends_on_more_than_the_two_lowest_tiers_is_found() {
        let mut metadata = metadata();
        let tool = metadata["packages"].as_array_mut().unwrap().last_mut().unwrap();
        tool["dependencies"][0]["name"] = json!("asyncio-task");
        let found = check(&Workspace::parse(&metadata.to_string()).unwrap());
        let problem = "asyncio-cancel-everywhere (tier 3) depends on asyncio-task (tier 4)";
        assert_eq!(found, [problem]);
    }

    #[test]
    fn a_crate_without_a_tier_and_a_tier_without_a_crate_are_found() {
        let mut metadata = metadata();
        metadata["packages"][0]["name"] = json!("asyncio-extra");
        let found = check(&Workspace::parse(&metadata.to_string()).unwrap());
        assert_eq!(found[0], "asyncio-coro is in the tower but not in the workspace");
        assert_eq!(found[1], "asyncio-extra lies in crates/ but has no tier");
    }
}
