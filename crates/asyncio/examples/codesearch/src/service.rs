//! What is served: a line protocol on streams, and `GET /stats` on a protocol.

use std::{cell::OnceCell, cell::RefCell, io, rc::Rc, time::Instant};

use asyncio::protocol::{Protocol, Transport};
use asyncio::stream::{ReadlineError::TooLong, StreamReader, StreamWriter};
use asyncio::with;

use crate::{database::Database, meters::Meters};

/// What all connections share.
pub struct Service {
    pub database: Database,
    pub meters: Meters,
}

impl Service {
    /// Serves the line protocol to one client; says goodbye however that ends.
    pub async fn talk(&self, reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
        let goodbye = async |mut writer: StreamWriter| {
            writer.close();
            self.meters.time("1 coro: run a cleanup that awaits", writer.wait_closed()).await.ok();
        };
        with(writer, async |writer| self.chat(reader, writer).await, goodbye).await
    }

    async fn chat(&self, mut reader: StreamReader, writer: &mut StreamWriter) -> io::Result<()> {
        loop {
            let answer = match reader.readline().await {
                Ok(line) if line.is_empty() => break,
                Ok(line) if line.trim_ascii() == b"QUIT" => break writer.write(b"BYE\n"),
                Ok(line) => self.meters.time("9 stream: answer a line", self.answer(&line)).await,
                Err(TooLong(mut cut)) => {
                    while !cut.found {
                        let Err(TooLong(rest)) = reader.readline().await else { break };
                        cut = rest;
                    }
                    "ERR a line has at most 64 KiB\n".into()
                }
                Err(error) => return Err(error.into()),
            };
            writer.write(answer.as_bytes());
            writer.drain().await?;
        }
        Ok(())
    }

    async fn answer(&self, line: &[u8]) -> String {
        let line = String::from_utf8_lossy(line);
        let found = match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
            ("SEARCH", words) => self.database.search(words),
            ("STATS", "") => return format!("OK {}\n", self.meters.json()),
            _ => return "ERR say SEARCH words, STATS or QUIT\n".into(),
        };
        match self.meters.time("3 future: await the database's thread", found).await {
            Ok(paths) => format!("OK {}\n{}", paths.len(), as_lines(&paths)),
            Err(error) => format!("ERR {error}\n"),
        }
    }
}

pub fn as_lines(paths: &[String]) -> String {
    paths.iter().flat_map(|path| [path, "\n"]).collect()
}

pub struct GetStats {
    service: Rc<Service>,
    made: Instant,
    transport: OnceCell<Transport>,
    request: RefCell<Vec<u8>>,
}

pub fn get_stats(service: Rc<Service>) -> GetStats {
    let (transport, request) = Default::default();
    GetStats { service, made: Instant::now(), transport, request }
}

impl Protocol for GetStats {
    fn connection_made(&self, transport: &Transport) {
        let _ = self.transport.set(transport.clone());
    }

    fn data_received(&self, data: &[u8]) {
        let mut request = self.request.borrow_mut();
        request.extend_from_slice(data);
        let (status, body) = match () {
            () if request.len() > 8 * 1024 => ("431 Too Large", String::new()),
            () if !request.windows(4).any(|end| end == b"\r\n\r\n") => return,
            () if request.starts_with(b"GET /stats ") => ("200 OK", self.service.meters.json()),
            () => ("404 Not Found", "ask for GET /stats".into()),
        };
        let transport = self.transport.get().expect("connection_made comes first");
        let headers = format!("Content-Length: {}\r\nConnection: close", body.len());
        transport.write(format!("HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}").as_bytes());
        transport.close();
        self.service.meters.count("8 protocol: answer a request", self.made.elapsed());
    }

    fn connection_lost(&self, _: Option<io::Error>) {
        self.service.meters.count("7 transport: carry a connection", self.made.elapsed());
    }
}
