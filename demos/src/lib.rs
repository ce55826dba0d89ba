//! Services and clients to try Reliable Server Pooling with. Over SCTP they
//! speak with those of rsplib, each with the other's client.
//!
//! | module | pool | what it does | its cookie |
//! |---|---|---|---|
//! | [`echo`] | EchoPool | sends back what it gets | none |
//! | [`discard`] | DiscardPool | throws away what it gets | none |
//! | [`daytime`] | DaytimePool | tells the time and ends the session | none |
//! | [`chargen`] | CharGenPool | sends characters until the session ends | none |
//! | [`ping_pong`] | PingPongPool | numbers its replies | the next number |
//! | [`calc_app`] | CalcAppPool | calculates, as slowly as it shall | the job, and how much of it is done |
//! | [`fractal`] | FractalGeneratorPool | draws a part of the Mandelbrot set | the image, and the next point |
//!
//! A module has the service's side, one function a session, and the client's.
//! The client takes up a session that was failed over where it was: it sends
//! again what was not answered, unless a cookie said it.

pub mod calc_app;
pub mod chargen;
pub mod daytime;
pub mod discard;
pub mod echo;
pub mod fractal;
mod lines;
mod octets;
pub mod ping_pong;

use std::fmt;

/// Why a client of a service cannot go on.
#[derive(Debug)]
pub enum Error {
    /// The session is over.
    Session(rserpool_client::Error),
    /// The service does not keep to its protocol: what it did.
    Service(String),
    /// Input or output failed.
    Io(std::io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Service(what) => write!(f, "the service does not keep to its protocol: {what}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Session(error) => Some(error),
            Self::Service(_) => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<rserpool_client::Error> for Error {
    fn from(error: rserpool_client::Error) -> Self {
        Self::Session(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
