//! The files of the workspace, as plain data, so that rules can be tried on doctored trees.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A text file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/` between.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The text files of the workspace, in the order of their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads all text files below `root`, but those of git and of cargo's target folders.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// The file at `path`.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        // Cargo marks its target folders, whatever they are called.
        if folder.join("CACHEDIR.TAG").exists() {
            return Ok(());
        }
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list {prefix:?}"))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() && name != ".git" && name != "target" {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let bytes =
                    fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
                // What is not UTF-8 is no text, and no rule of ours speaks of it.
                if let Ok(text) = String::from_utf8(bytes) {
                    self.files.push(File { path, text });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        let file = |(path, text): (&str, &str)| File { path: path.into(), text: text.into() };
        Self { files: files.into_iter().map(file).collect() }
    }
}
