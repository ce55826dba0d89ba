//! An echo server as a pool element, and a client that finds it: start a
//! registrar, this with `serve`, and again with `ask`.
//!
//! ```sh
//! cargo run -p rserpool-client --example echo_pool -- serve 127.0.0.1:3863
//! cargo run -p rserpool-client --example echo_pool -- ask 127.0.0.1:3863
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use rserpool_client::{Endpoint, Policy, RegistrarUrl, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

async fn serve(endpoint: Endpoint) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let service = Service::tcp("EchoPool", listener.local_addr()?, Policy::RoundRobin);
    let element = endpoint.register(service).await?;
    println!("{} serves EchoPool at {}", element.pe(), listener.local_addr()?);
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut from, mut to) = client.split();
            copy(&mut from, &mut to).await
        });
    }
}

async fn ask(endpoint: Endpoint) -> Result<(), Box<dyn Error>> {
    let resolution = endpoint.resolve("EchoPool", 1).await?;
    let element = resolution.elements.first().ok_or("the pool is empty")?;
    let Ok(mut server) = TcpStream::connect(&element.addresses[..]).await else {
        endpoint.report_unreachable("EchoPool", element.pe);
        endpoint.shutdown().await;
        return Err(format!("{} does not answer; reported", element.pe).into());
    };
    server.write_all(b"hello").await?;
    let mut answer = [0; 5];
    server.read_exact(&mut answer).await?;
    println!("{} says {}", element.pe, answer.escape_ascii());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let registrar = arguments.next().unwrap_or_else(|| "127.0.0.1:3863".to_owned());
    let endpoint = Endpoint::connect([registrar.parse::<RegistrarUrl>()?]).await?;
    match role.as_str() {
        "serve" => serve(endpoint).await,
        "ask" => ask(endpoint).await,
        _ => Err("say `serve` or `ask`, and the registrar's address".into()),
    }
}
