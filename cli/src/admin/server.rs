//! The admin address of a registrar.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::outcome::Failure;

/// Longest answer taken, in bytes.
const ANSWER_MAX: u64 = 64 << 20;
/// Where our registrar has it.
const PORT: u16 = 8363;

/// Where it is: `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminUrl {
    /// With the port, as it is said to the server.
    host: String,
}

impl FromStr for AdminUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no admin address: say http://HOST:PORT");
        let host = match text.split_once("://") {
            Some(("http", host)) => host,
            Some(_) => return Err(wrong()),
            None => text,
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]%".contains(c);
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(wrong());
        }
        let named = match host.rsplit_once(':') {
            // The last colon is one of an IPv6 address.
            Some((before, _)) if before.contains(':') && !before.ends_with(']') => None,
            Some((before, port)) => Some((before, port)),
            None => None,
        };
        match named {
            Some((before, port)) => {
                let fits = port.parse::<u16>().is_ok_and(|port| port != 0);
                if before.is_empty() || !fits {
                    Err(wrong())
                } else {
                    Ok(Self { host: host.to_owned() })
                }
            }
            None if host.contains(':') && !host.starts_with('[') => {
                Ok(Self { host: format!("[{host}]:{PORT}") })
            }
            None => Ok(Self { host: format!("{host}:{PORT}") }),
        }
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.host)
    }
}

impl AdminUrl {
    /// Gets a JSON document.
    pub(crate) async fn get(&self, path: &str, patience: Duration) -> Result<Value, Failure> {
        let host = self.host.as_str();
        let exchange = async {
            let mut stream = TcpStream::connect(host).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            Ok::<Vec<u8>, std::io::Error>(answer)
        };
        let answer = match tokio::time::timeout(patience, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Failure::no_registrar(format!("{host}: {error}"))),
            Err(_) => return Err(Failure::no_registrar(format!("{host} does not answer"))),
        };
        let (status, body) =
            understand(&answer).ok_or_else(|| Failure::failed(format!("{host} speaks no HTTP")))?;
        let document: Value = serde_json::from_slice(body)
            .map_err(|error| Failure::failed(format!("{host} answers no JSON: {error}")))?;
        if status == 200 {
            return Ok(document);
        }
        Err(Failure::failed(document["error"].as_str().unwrap_or("the registrar refuses")))
    }
}

/// The path of a pool.
pub(crate) fn pool_path(handle: &[u8]) -> String {
    format!("/v1/pools/{}", encode(handle))
}

/// The status and the body of an HTTP answer.
fn understand(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end);
    let head = std::str::from_utf8(head).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.get(4..)?))
}

/// A path segment that stands for any bytes.
fn encode(bytes: &[u8]) -> String {
    let encoded = bytes.iter().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(*byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// Bytes as two digits each.
pub(crate) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    pairs.chunks(2).map(|pair| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_any_bytes_becomes_a_path() {
        assert_eq!(encode(b"Echo-Pool"), "Echo-Pool");
        assert_eq!(encode(b"a/b ?\xff"), "a%2Fb%20%3F%FF");
        assert_eq!(decode_hex("00ff41"), Some(vec![0, 255, 65]));
        assert_eq!(decode_hex("0"), None);
        assert_eq!(decode_hex("xx"), None);
    }

    #[test]
    fn admin_addresses_are_read() {
        for (text, url) in [
            ("http://127.0.0.1:8363", "http://127.0.0.1:8363"),
            ("registrar.example/", "http://registrar.example:8363"),
            ("http://[::1]:80/", "http://[::1]:80"),
            ("[::1]", "http://[::1]:8363"),
            ("::1", "http://[::1]:8363"),
        ] {
            assert_eq!(text.parse::<AdminUrl>().unwrap().to_string(), url);
        }
        for wrong in
            ["", "https://a:1", "http://", "a:0", "a:x", ":1", "a b", "http://a/b", "a:99999"]
        {
            assert!(wrong.parse::<AdminUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_are_understood() {
        let good = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(understand(good), Some((404, b"{}".as_slice())));
        assert_eq!(understand(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(understand(b"SSH-2.0\r\n\r\n"), None);
    }
}
