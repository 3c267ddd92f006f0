//! From a directory to an index: a subprocess lists, a bounded queue feeds, a group of workers reads in threads.

use std::{cell::RefCell, io, path::Path, path::PathBuf, process::Stdio, time::Instant};

use anyhow::{Context, Result};
use asyncio::{Queue, TaskGroup, create_subprocess_exec, to_thread, try_finally};
use indicatif::ProgressBar;
use walkdir::{DirEntry, WalkDir};

use crate::service::Service;

/// Indexes every text file in `dir`, and returns some of the words in them.
pub async fn index(service: &Service, dir: &Path) -> Result<Vec<String>> {
    let (start, meters) = (Instant::now(), &service.meters);
    let paths = list(dir).await.with_context(|| format!("cannot list {}", dir.display()))?;
    let bar = ProgressBar::new(paths.len() as u64); // draws on a terminal only
    let (queue, words) = (Queue::new(64), RefCell::new(Vec::new()));
    let unreadable = RefCell::new(Vec::new());
    let read = async || {
        while let Ok(path) = queue.get().await {
            let file = dir.join(&path);
            let read = to_thread(move || std::fs::read(file));
            let bytes = meters.time("5 executor: read a file in a thread", read).await;
            match bytes.map(String::from_utf8) {
                Ok(Ok(text)) => {
                    words.borrow_mut().extend(longest_word(&text));
                    service.database.add(path, text).await?;
                }
                Ok(Err(_)) => {} // not a text
                Err(error) => unreadable.borrow_mut().push(format!("{path}: {error}")),
            }
            bar.inc(1);
        }
        anyhow::Ok(())
    };
    let work = TaskGroup::scope(async |group| {
        for _ in 0..8 {
            group.create_task(read());
        }
        for path in paths {
            meters.time("6 queue: put a path into a bounded queue", queue.put(path)).await?;
        }
        queue.shutdown(false); // workers drain it, then end
        Ok(())
    });
    try_finally(work, async || bar.finish_and_clear()).await?;
    let (files, lost) = (bar.position(), unreadable.take());
    println!("{files} files in {:.1?}, {} of them unreadable", start.elapsed(), lost.len());
    lost.iter().for_each(|error| println!("  {error}"));
    Ok(words.take())
}

/// The paths of the files in `dir`, relative to it: those that git knows of, or else all.
async fn list(dir: &Path) -> io::Result<Vec<String>> {
    let git = create_subprocess_exec("git").args(["ls-files", "-z"]).current_dir(dir);
    if let Ok(mut git) = git.stdout(Stdio::piped()).stderr(Stdio::null()).await {
        let (listed, _) = git.communicate(None).await?;
        if git.wait().await == 0 {
            let listed = String::from_utf8_lossy(listed.as_deref().unwrap_or_default());
            return Ok(listed.split_terminator('\0').map(str::to_owned).collect());
        }
    }
    let root = dir.to_owned();
    let path = |entry: walkdir::Result<DirEntry>| match entry {
        Ok(entry) => Some(entry.into_path()).filter(|path| !path.is_dir()),
        Err(error) => error.path().map(Path::to_owned), // reading it will say why
    };
    let walk = move || WalkDir::new(root).into_iter().filter_map(path).collect::<Vec<_>>();
    let listed = to_thread(walk).await.into_iter();
    let relative = |path: PathBuf| Some(path.strip_prefix(dir).ok()?.to_string_lossy().into());
    Ok(listed.filter_map(relative).collect())
}

/// The longest word that the database's tokenizer leaves as it is.
fn longest_word(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let plain = words.filter(|w| w.len() > 3 && w.bytes().all(|b| b.is_ascii_alphabetic()));
    plain.max_by_key(|word| word.len()).map(str::to_owned)
}
