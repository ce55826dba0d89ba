//! Whether a server is healthy.

use std::net::SocketAddr;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes read of an HTTP answer.
const ANSWER_MAX: u64 = 1024;

/// How it is found out whether a server is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// It always is.
    None,
    /// It accepts a TCP connection.
    Tcp,
    /// It answers GET of this path with a status of 200 to 399.
    Http(String),
    /// This command exits with status 0.
    Command(String),
}

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "tcp" => Ok(Self::Tcp),
            None if text == "http" => Ok(Self::Http("/".to_owned())),
            Some(("http", path))
                if path.starts_with('/') && !path.contains(|c: char| c.is_whitespace()) =>
            {
                Ok(Self::Http(path.to_owned()))
            }
            Some(("command", command)) if !command.is_empty() => {
                Ok(Self::Command(command.to_owned()))
            }
            _ => Err("allowed: tcp, http:/PATH, command:CMD and none".to_owned()),
        }
    }
}

impl Check {
    /// Looks once.
    ///
    /// # Errors
    /// Why it is not healthy.
    pub(crate) async fn look(&self, server: SocketAddr) -> Result<(), String> {
        let look = async {
            match self {
                Self::None => Ok(()),
                Self::Tcp => connect(server).await.map(drop),
                Self::Http(path) => http(server, path).await,
                Self::Command(command) => run(command).await.map(drop),
            }
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        }
    }
}

async fn connect(server: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(server).await.map_err(|error| error.to_string())
}

async fn http(server: SocketAddr, path: &str) -> Result<(), String> {
    let mut stream = connect(server).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    // The status line is enough, also of an answer that is cut.
    let _ = stream.take(ANSWER_MAX).read_to_end(&mut answer).await;
    status(&answer)
}

/// Whether an HTTP answer says that all is well.
fn status(answer: &[u8]) -> Result<(), String> {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let code: Option<u16> = words.next().and_then(|code| code.parse().ok());
    match code {
        Some(200..=399) if is_http => Ok(()),
        _ => Err(format!("it answers {line:?}")),
    }
}

/// Runs a command of the shell and gives what it prints.
pub(crate) async fn run(command: &str) -> Result<String, String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("the command ends with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read() {
        assert_eq!("http".parse(), Ok(Check::Http("/".to_owned())));
        assert_eq!("http:/a?b".parse(), Ok(Check::Http("/a?b".to_owned())));
        assert_eq!("command:a:b".parse(), Ok(Check::Command("a:b".to_owned())));
        for wrong in ["", "https", "http:a", "http:/a b", "command:", "tcp:80", "http:/a\r\nb"] {
            assert!(wrong.parse::<Check>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_good_status_is_healthy() {
        assert!(status(b"HTTP/1.1 200 OK\r\nServer: x\r\n").is_ok());
        assert!(status(b"HTTP/1.0 302 Found\r\n").is_ok());
        for bad in [b"HTTP/1.1 503 No\r\n".as_slice(), b"", b"SSH-2.0", b"HTTP/1.1", b"X 200 OK"] {
            assert!(status(bad).is_err());
        }
    }
}
