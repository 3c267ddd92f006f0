//! A hundred clients of our own, who check every answer against the database.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncio::{TaskGroup, open_connection, timeout, yield_now};

use crate::service::{Service, as_lines};

pub async fn run(service: &Service, words: &[String], ports: [u16; 2]) -> Result<()> {
    ensure!(!words.is_empty(), "there is no text to search in");
    let clients = TaskGroup::scope(async |group| {
        for client in 0..CLIENTS {
            let words = words.iter().cycle().skip(client * SEARCHES).take(SEARCHES);
            let client = search(service, words.map(String::as_str), ports[0]);
            group.create_task(service.meters.time("4 task: run a client in a group", client));
        }
        anyhow::Ok(())
    });
    clients.await.context("a client was not served")?;
    println!("{CLIENTS} clients made {SEARCHES} searches each, and every answer was right");
    let (mut reader, mut writer) = open_connection("127.0.0.1", ports[1]).await?;
    writer.write(b"GET /stats HTTP/1.1\r\n\r\n");
    let answer = String::from_utf8(reader.read_to_eof().await?)?;
    let all = format!("line\":{}}}", CLIENTS * SEARCHES);
    ensure!(answer.ends_with(&all), "GET /stats gave {answer}");
    Ok(())
}

/// One client: searches for each of `words` and compares.
async fn search(service: &Service, words: impl Iterator<Item = &str>, port: u16) -> Result<()> {
    let (mut reader, mut writer) = open_connection("127.0.0.1", port).await?;
    for word in words {
        let right = service.database.search(word).await?;
        ensure!(!right.is_empty(), "{word} was not found, though a file has it");
        let right = format!("OK {}\n{}", right.len(), as_lines(&right));
        writer.write(format!("SEARCH {word}\n").as_bytes());
        let answer = timeout(Duration::from_secs(10), reader.readexactly(right.len()));
        let answer = answer.await.with_context(|| format!("no answer for {word}"))??;
        ensure!(answer == right.as_bytes(), "the answer for {word} is wrong");
        service.meters.time("2 loop: give everybody else a turn", yield_now()).await;
    }
    writer.write(b"QUIT\n");
    ensure!(reader.read_to_eof().await? == b"BYE\n", "QUIT was not answered by BYE");
    Ok(())
}

const CLIENTS: usize = 100;
const SEARCHES: usize = 5;
