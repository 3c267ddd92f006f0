//! The one thread that owns SQLite. Everybody else sends it a question and awaits the answer.

use std::{path::PathBuf, sync::mpsc, thread};

use anyhow::{Context, Result, ensure};
use asyncio::future::concurrent::promise;
use rusqlite::Connection;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A handle on the database's thread, which ends when the handle is dropped.
pub struct Database(mpsc::Sender<Question>);

impl Database {
    /// Opens an empty index in `file`, or in memory.
    pub fn open(file: Option<PathBuf>) -> Result<Database> {
        let path = file.unwrap_or(":memory:".into());
        let open = Connection::open(&path).and_then(|db| db.execute_batch(SCHEMA).map(|()| db));
        let db = open.with_context(|| format!("cannot use {} as a database", path.display()))?;
        let (questions, inbox) = mpsc::channel::<Question>();
        thread::Builder::new().spawn(move || inbox.into_iter().for_each(|ask| ask(&db)))?;
        Ok(Database(questions))
    }

    pub async fn add(&self, path: String, text: String) -> Result<()> {
        let insert = "INSERT INTO codesearch VALUES (?1, ?2)";
        self.ask(move |db| db.execute(insert, [path, text]).map(drop)).await
    }

    /// The paths of at most ten files that hold every one of `words`, the best first.
    pub async fn search(&self, words: &str) -> Result<Vec<String>> {
        let quoted =
            words.split_whitespace().map(|w| format!("\"{}\" ", w.replace(['"', '\0'], " ")));
        let query: String = quoted.collect();
        ensure!(!query.is_empty(), "SEARCH needs at least one word");
        self.ask(move |db| {
            let mut select = db.prepare_cached(SELECT)?;
            select.query_map([query], |row| row.get(0))?.collect()
        })
        .await
    }

    /// Has the database's thread answer `question`.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (promise, answer) = promise();
        let question: Question = Box::new(move |db| drop(promise.set_result(question(db))));
        self.0.send(question).ok().context("the database has stopped")?;
        Ok(answer.await??)
    }
}

/// Every run makes the index anew, so that it need not survive a crash.
const SCHEMA: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    DROP TABLE IF EXISTS codesearch;
    CREATE VIRTUAL TABLE codesearch USING fts5(path UNINDEXED, text);";
const SELECT: &str = "SELECT path FROM codesearch(?1) ORDER BY rank, path LIMIT 10";
