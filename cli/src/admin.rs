//! `rsp pools`, `rsp pool` and `rsp dump`: what a registrar holds, as its admin
//! address tells it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::command_line::{Admin, Line, OnePool};
use crate::outcome::Failure;
use crate::outlet;

/// Longest answer taken, in bytes.
const ANSWER_MAX: u64 = 64 << 20;

pub(crate) async fn pools(line: &Line, options: &Admin) -> Result<(), Failure> {
    each_pool(line, options, async |pool| {
        if line.json {
            return outlet::json(&pool);
        }
        let text = |name: &str| pool[name].as_str().unwrap_or_default().to_owned();
        let elements = &pool["elements"];
        outlet::line(format!(
            "{:<24}  {elements:>8} elements  {}  {}",
            text("handle"),
            text("policy"),
            text("transport")
        ))
    })
    .await
}

pub(crate) async fn pool(line: &Line, options: &OnePool) -> Result<(), Failure> {
    let path = format!("/v1/pools/{}", encode(options.handle.as_bytes()));
    each_element(line, &options.admin, &path, |element| tell_element(line, element)).await
}

/// Everything, one pool with its elements a line.
pub(crate) async fn dump(line: &Line, options: &Admin) -> Result<(), Failure> {
    each_pool(line, options, async |pool| {
        // Handles need not be text.
        let handle = pool["handle_hex"].as_str().and_then(decode_hex).unwrap_or_default();
        let path = format!("/v1/pools/{}", encode(&handle));
        let mut list = Vec::new();
        let all = each_element(line, options, &path, |element| {
            list.push(element.clone());
            Ok(())
        });
        match all.await {
            Ok(()) => outlet::json(&json!({ "pool": pool, "elements": list })),
            // It is gone meanwhile.
            Err(failure) if failure.is_no() => Ok(()),
            Err(failure) => Err(failure),
        }
    })
    .await
}

fn tell_element(line: &Line, element: &Value) -> Result<(), Failure> {
    if line.json {
        return outlet::json(element);
    }
    let text = |name: &str| element[name].as_str().unwrap_or_default().to_owned();
    let addresses: Vec<&str> =
        element["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let drained = if element["drained"] == true { "  drained" } else { "" };
    let reports = match element["reports"].as_u64() {
        Some(1..) => format!("  {} reports", element["reports"]),
        _ => String::new(),
    };
    outlet::line(format!(
        "{}  {}  {}  home {}{drained}{reports}",
        text("id"),
        addresses.join(" "),
        text("policy"),
        text("home")
    ))
}

async fn each_pool(
    line: &Line,
    options: &Admin,
    mut tell: impl AsyncFnMut(Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let mut page = get(line, options, &format!("/v1/pools?after={after}")).await?;
        let pools = page["pools"].take();
        let Value::Array(pools) = pools else { return Err(strange("pools")) };
        for pool in pools {
            tell(pool).await?;
        }
        match page["next"].as_u64() {
            Some(next) if next > after => after = next,
            _ => return Ok(()),
        }
    }
}

async fn each_element(
    line: &Line,
    options: &Admin,
    path: &str,
    mut tell: impl FnMut(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = get(line, options, &format!("{path}?after={after}")).await?;
        let list = page["list"].as_array().ok_or_else(|| strange("list"))?;
        list.iter().try_for_each(&mut tell)?;
        match page["next"].as_u64() {
            Some(next) if next > after => after = next,
            _ => return Ok(()),
        }
    }
}

fn strange(what: &str) -> Failure {
    Failure::failed(format!("the admin address answers without {what:?}"))
}

/// Gets a JSON document.
async fn get(line: &Line, options: &Admin, path: &str) -> Result<Value, Failure> {
    let host = options.admin.strip_prefix("http://").unwrap_or(&options.admin);
    let host = host.trim_end_matches('/');
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        Ok::<Vec<u8>, std::io::Error>(answer)
    };
    let answer = match tokio::time::timeout(line.timeout, exchange).await {
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

fn decode_hex(text: &str) -> Option<Vec<u8>> {
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
    fn answers_are_understood() {
        let good = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(understand(good), Some((404, b"{}".as_slice())));
        assert_eq!(understand(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(understand(b"SSH-2.0\r\n\r\n"), None);
    }
}
