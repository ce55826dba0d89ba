//! What a client of the admin server asks for.

use std::io::Read;
use std::net::TcpStream;
use std::time::Instant;

use super::PATIENCE;
use super::answer::Answer;

/// Most bytes of a request, headers included.
const REQUEST_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

/// A request. Its body, if it has one, is not looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Without the query, still percent-encoded.
    pub(super) path: String,
    query: String,
    /// Only the head of the answer is wanted.
    pub(super) head: bool,
}

impl Request {
    /// Reads a request, or says why it is none.
    pub(super) fn read(stream: &TcpStream) -> Result<Self, Answer> {
        let began = Instant::now();
        let mut bytes = Vec::new();
        let mut stream = stream;
        loop {
            if let Some(request) = Self::parse(&bytes)? {
                return Ok(request);
            }
            if bytes.len() >= REQUEST_BYTES_MAX || began.elapsed() > PATIENCE {
                return Err(Answer::refused(431, "the request is too long, or came too slowly"));
            }
            let mut part = [0; 1024];
            match stream.read(&mut part) {
                Ok(length) if length > 0 => {
                    bytes.extend_from_slice(part.get(..length).unwrap_or_default());
                }
                Ok(_) | Err(_) => return Err(Answer::refused(400, "the request is not complete")),
            }
        }
    }

    /// `None`: there has to come more.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Answer> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(bytes);
        let complete = parsed.map_err(|error| Answer::refused(400, &error.to_string()))?;
        if complete.is_partial() {
            return Ok(None);
        }
        let head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(Answer::refused(405, "only GET and HEAD are allowed")),
        };
        let target = request.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Some(Self { path: path.to_owned(), query: query.to_owned(), head }))
    }

    /// The value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back()
    }

    /// A parameter that is a number up to `most`, or what it is without.
    pub(super) fn number<T>(&self, name: &str, without: T, most: T) -> Result<T, Answer>
    where
        T: core::str::FromStr + PartialOrd + core::fmt::Display,
    {
        let Some(text) = self.parameter(name) else { return Ok(without) };
        match text.parse() {
            Ok(number) if number <= most => Ok(number),
            Ok(_) | Err(_) => {
                let why = format!("{name} is a whole number up to {most}, not '{text}'");
                Err(Answer::refused(400, &why))
            }
        }
    }
}

/// The bytes a percent-encoded text stands for.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
            u8::try_from(high? * 16 + low?).ok()?
        } else {
            byte
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_soon_as_it_is_whole() {
        let bytes = b"GET /v1/pools?after=7&limit=20 HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..bytes.len() {
            assert_eq!(Request::parse(&bytes[..length]), Ok(None), "{length}");
        }
        let request = Request::parse(bytes).unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.head), ("/v1/pools", false));
        assert_eq!(request.number("after", 0, 10), Ok(7));
        assert_eq!(request.number("missing", 5, 10), Ok(5));
        assert_eq!(request.number("limit", 5, 10).unwrap_err().status(), 400);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(Request::parse(b"\x01\0\0\x04").unwrap_err().status(), 400);
        assert_eq!(Request::parse(b"POST / HTTP/1.1\r\n\r\n").unwrap_err().status(), 405);
    }

    #[test]
    fn handles_of_any_bytes_can_be_named() {
        assert_eq!(decoded("Echo%50ool"), Some(b"EchoPool".to_vec()));
        assert_eq!(decoded("%00%ff%2F"), Some(vec![0, 255, b'/']));
        for broken in ["%", "%0", "%zz", "%+1"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }
}
