//! What `cargo metadata` says about this workspace, as plain data.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xshell::{Shell, cmd};

/// The packages of the workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// In the order of their names.
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, relative to the root, with `/` between.
    pub(crate) dir: String,
    /// Whether it has a library, and so may have doctests.
    pub(crate) has_lib: bool,
    /// Its features, `default` included.
    pub(crate) features: Vec<String>,
    /// `[package.metadata.asyncio] matrix`, where it is declared.
    pub(crate) matrix: Option<Vec<Vec<String>>>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency of a package, on whatever it may be.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The name of the package, also where the manifest renames it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Which table of the manifest a dependency stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read(sh: &Shell) -> Result<Self> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let text = cmd!(sh, "{cargo} metadata --format-version 1 --no-deps").quiet().read()?;
        Self::parse(&text)
    }

    /// Reads the answer of `cargo metadata --no-deps`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(text)?;
        let root = string(&metadata, "workspace_root")?;
        let mut packages = array(&metadata, "packages")?
            .iter()
            .map(|package| Package::parse(package, &root))
            .collect::<Result<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { packages })
    }
}

impl Package {
    fn parse(package: &Value, root: &str) -> Result<Self> {
        let name = string(package, "name")?;
        let manifest = string(package, "manifest_path")?.replace('\\', "/");
        let dir = manifest
            .strip_prefix(&root.replace('\\', "/"))
            .and_then(|path| path.strip_suffix("/Cargo.toml"))
            .with_context(|| format!("`{name}` does not lie in the workspace"))?;
        let has_lib = array(package, "targets")?
            .iter()
            .any(|target| target["kind"].as_array().is_some_and(|it| it.contains(&"lib".into())));
        let features = package["features"].as_object().context("`features` is no object")?;
        let matrix = match &package["metadata"]["asyncio"]["matrix"] {
            Value::Null => None,
            sets => Some(
                serde_json::from_value(sets.clone())
                    .with_context(|| format!("matrix of `{name}` is no list of lists"))?,
            ),
        };
        Ok(Self {
            dir: dir.trim_start_matches('/').into(),
            has_lib,
            features: features.keys().cloned().collect(),
            matrix,
            dependencies: array(package, "dependencies")?
                .iter()
                .map(Dependency::parse)
                .collect::<Result<_>>()?,
            name,
        })
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> Result<Self> {
        let kind = match &dependency["kind"] {
            Value::Null => Kind::Normal,
            Value::String(kind) if kind == "build" => Kind::Build,
            Value::String(kind) if kind == "dev" => Kind::Dev,
            other => bail!("unknown kind of dependency: {other}"),
        };
        Ok(Self { name: string(dependency, "name")?, kind })
    }
}

fn string(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(String::from).with_context(|| format!("`{key}` is no string"))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("`{key}` is no list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_packages_with_their_folder_features_and_matrix() {
        let workspace = Workspace::parse(
            r#"{ "workspace_root": "/w", "packages": [{
                "name": "asyncio-queue", "manifest_path": "/w/crates/queue/Cargo.toml",
                "features": { "default": [], "sync": [] },
                "metadata": { "asyncio": { "matrix": [[], ["sync"]] } },
                "targets": [{ "kind": ["test"] }, { "kind": ["lib"] }],
                "dependencies": [
                    { "name": "log", "kind": null }, { "name": "cc", "kind": "build" },
                    { "name": "tempfile", "kind": "dev" }
                ]
            }] }"#,
        )
        .unwrap();
        let queue = &workspace.packages[0];
        assert_eq!((queue.name.as_str(), queue.dir.as_str()), ("asyncio-queue", "crates/queue"));
        assert!(queue.has_lib);
        assert_eq!(queue.features, ["default", "sync"]);
        assert_eq!(queue.matrix, Some(vec![vec![], vec!["sync".to_owned()]]));
        let kinds: Vec<Kind> = queue.dependencies.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, [Kind::Normal, Kind::Build, Kind::Dev]);
    }

    #[test]
    fn a_matrix_of_the_wrong_shape_is_an_error_that_names_the_package() {
        let error = Workspace::parse(
            r#"{ "workspace_root": "/w", "packages": [{
                "name": "asyncio-queue", "manifest_path": "/w/crates/queue/Cargo.toml",
                "features": {}, "targets": [], "dependencies": [],
                "metadata": { "asyncio": { "matrix": "sync" } }
            }] }"#,
        )
        .unwrap_err();
        assert!(error.to_string().contains("asyncio-queue"), "{error}");
    }
}
