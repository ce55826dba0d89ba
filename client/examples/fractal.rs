//! A fractal renderer that survives the death of its servers: start a
//! registrar, two or more servers, and draw; kill a server meanwhile.
//!
//! ```sh
//! cargo run -p rserpool-client --example fractal -- serve 127.0.0.1:3863
//! cargo run -p rserpool-client --example fractal -- draw 127.0.0.1:3863 fractal.png
//! ```
//!
//! The client says once what it wants. The server sends row after row, and
//! now and then leaves with the client, as a cookie, how far it is: the next
//! server goes on from there without being asked.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use rserpool_client::session::{
    self, CookieKey, Event, ServerEvent, ServerSession, SessionListener,
};
use rserpool_client::{Endpoint, Policy, RegistrarUrl, Service};

const POOL: &str = "FractalPool";
const ROW: u32 = 1;
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// All servers of a pool share a secret. This one is for show.
const KEY: CookieKey = CookieKey::new([0x42; 32]);
const COOKIE_LIFE: Duration = Duration::from_secs(600);

/// What is drawn, and from which row on: the request and the cookie.
struct Work {
    width: u32,
    height: u32,
    next: u32,
}

impl Work {
    fn to_bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (place, number) in bytes.chunks_mut(4).zip([self.width, self.height, self.next]) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 12] = bytes.try_into().ok()?;
        let number = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let work = Self { width: number(0), height: number(4), next: number(8) };
        ((1..=10_000).contains(&work.width) && work.height <= 10_000).then_some(work)
    }

    /// One row: its number, and a shade for each point.
    fn row(&self) -> Vec<u8> {
        let scale = 3.0 / f64::from(self.width);
        let y = (f64::from(self.next) - f64::from(self.height) / 2.0) * scale;
        let shade = |column| {
            let x = f64::from(column) * scale - 2.2;
            let (mut a, mut b, mut steps) = (0.0, 0.0, 0_u8);
            while a * a + b * b < 4.0 && steps < 255 {
                (a, b) = (a * a - b * b + x, 2.0 * a * b + y);
                steps += 1;
            }
            255 - steps
        };
        self.next.to_be_bytes().into_iter().chain((0..self.width).map(shade)).collect()
    }
}

async fn serve(endpoint: Endpoint) -> Result<(), Box<dyn Error>> {
    let listener = SessionListener::bind("127.0.0.1:0", session::Config::default()).await?;
    let service = Service::tcp(POOL, listener.local_addr()?, Policy::LeastUsed { load: 0 });
    let element = endpoint.register(service).await?;
    println!("{} serves {POOL}", element.pe());
    loop {
        tokio::spawn(render(listener.accept().await?));
    }
}

async fn render(mut session: ServerSession) -> std::io::Result<()> {
    while let Some(event) = session.receive().await? {
        let work = match &event {
            ServerEvent::Message { data, .. } => Work::from_bytes(data),
            ServerEvent::CookieEcho(cookie) => KEY.open(cookie).ok().and_then(Work::from_bytes),
        };
        let Some(mut work) = work else { continue };
        while work.next < work.height {
            session.send(ROW, &work.row()).await?;
            work.next += 1;
            if work.next % 8 == 0 {
                session.send_cookie(&KEY.seal(&work.to_bytes(), COOKIE_LIFE)).await?;
            }
            // So that there is time to kill it.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

async fn draw(endpoint: Endpoint, file: &str) -> Result<(), Box<dyn Error>> {
    let mut rows = vec![None; HEIGHT as usize];
    let mut missing = HEIGHT;
    let request = Work { width: WIDTH, height: HEIGHT, next: 0 }.to_bytes();
    let mut session = endpoint.session(POOL, session::Config::default()).await?;
    println!("{} draws", session.peer());
    session.send(ROW, request).await?;
    while missing > 0 {
        match session.receive().await? {
            Event::Message { data, .. } => {
                let (number, shades) = data.split_first_chunk().ok_or("a row without number")?;
                let number = u32::from_be_bytes(*number) as usize;
                let row = rows.get_mut(number).ok_or("a row that was not asked for")?;
                // After a failover, some come again.
                missing -= u32::from(row.is_none());
                *row = Some(shades.to_vec());
            }
            Event::FailedOver { from, to, cookie, took } => {
                println!("{from} is gone; {to} goes on after {took:?}, {missing} rows to go");
                if !cookie {
                    session.send(ROW, request).await?;
                }
            }
            Event::FailingOver { .. } | _ => {}
        }
    }
    session.close().await;
    let rows: Vec<Vec<u8>> = rows.into_iter().flatten().collect();
    std::fs::write(file, png(WIDTH, HEIGHT, &rows))?;
    println!("{file} is drawn");
    Ok(())
}

/// A grayscale PNG, not compressed.
fn png(width: u32, height: u32, rows: &[Vec<u8>]) -> Vec<u8> {
    let raw: Vec<u8> = rows.iter().flat_map(|row| [0].into_iter().chain(row.clone())).collect();
    let mut data = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = raw.chunks(0xffff).collect();
    for (number, block) in blocks.iter().enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        data.push(u8::from(number + 1 == blocks.len()));
        data.extend(length.to_le_bytes());
        data.extend((!length).to_le_bytes());
        data.extend(*block);
    }
    let sum = raw.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    data.extend((sum.1 << 16 | sum.0).to_be_bytes());
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    for (name, data) in [(b"IHDR", header), (b"IDAT", data), (b"IEND", Vec::new())] {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        file.extend(length.to_be_bytes());
        let chunk: Vec<u8> = name.iter().copied().chain(data).collect();
        file.extend(&chunk);
        file.extend(crc(&chunk).to_be_bytes());
    }
    file
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (role, registrar) = (words.first(), words.get(1).unwrap_or(&"127.0.0.1:3863"));
    let endpoint = Endpoint::connect([registrar.parse::<RegistrarUrl>()?]).await?;
    match role {
        Some(&"serve") => serve(endpoint).await,
        Some(&"draw") => draw(endpoint, words.get(2).unwrap_or(&"fractal.png")).await,
        _ => Err("say `serve REGISTRAR` or `draw REGISTRAR FILE`".into()),
    }
}
