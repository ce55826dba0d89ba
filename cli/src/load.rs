//! How much a server has to do.

use std::str::FromStr;

use crate::health;

/// Where the load of a server is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Its open TCP connections, of so many it can take.
    Connections(u32),
    /// The load average of the system, of as many as there are processors.
    System,
    /// What this command prints: 0 to 100.
    Command(String),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "system" => Ok(Self::System),
            Some(("connections", max)) => match max.parse() {
                Ok(max) if max > 0 => Ok(Self::Connections(max)),
                _ => Err(format!("{max:?} is not a number of connections")),
            },
            Some(("command", command)) if !command.is_empty() => {
                Ok(Self::Command(command.to_owned()))
            }
            _ => Err("allowed: connections:MAX, system and command:CMD".to_owned()),
        }
    }
}

impl Source {
    /// The load, from 0 to 1.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub(crate) async fn look(&self, port: u16) -> Result<f64, String> {
        match self {
            Self::Connections(max) => Ok(f64::from(connections(port)?) / f64::from(*max)),
            Self::System => {
                let text = std::fs::read_to_string("/proc/loadavg")
                    .map_err(|error| format!("/proc/loadavg: {error}"))?;
                let average: Option<f64> =
                    text.split(' ').next().and_then(|number| number.parse().ok());
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let cores = u32::try_from(cores).unwrap_or(u32::MAX);
                Ok(average.ok_or("/proc/loadavg is odd")? / f64::from(cores))
            }
            Self::Command(command) => {
                let printed = health::run(command).await?;
                match printed.trim().trim_end_matches('%').parse::<f64>() {
                    Ok(percent @ 0.0..=100.0) => Ok(percent / 100.0),
                    _ => Err(format!("the command prints {printed:?}, not 0 to 100")),
                }
            }
        }
    }
}

/// How many TCP connections to a local port there are.
///
/// # Errors
/// The system does not say.
pub(crate) fn connections(port: u16) -> Result<u32, String> {
    let read =
        |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    // A kernel without IPv6 has no second table.
    Ok(established(&read("/proc/net/tcp")?, port)
        + read("/proc/net/tcp6").map_or(0, |table| established(&table, port)))
}

/// The established connections of a local port in a table of the kernel.
fn established(table: &str, port: u16) -> u32 {
    let ours = format!(":{port:04X}");
    let lines = table.lines().skip(1).filter(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next().unwrap_or_default();
        local.ends_with(&ours) && columns.nth(1) == Some("01")
    });
    u32::try_from(lines.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        assert_eq!("connections:10".parse(), Ok(Source::Connections(10)));
        assert_eq!("system".parse(), Ok(Source::System));
        for wrong in ["", "connections", "connections:0", "connections:x", "cpu", "command:"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn established_connections_of_the_port_are_counted() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000
   3: 0100007F:1F90 0100007F:C351 06 00000000:00000000
";
        assert_eq!(established(table, 8080), 1);
        assert_eq!(established(table, 80), 0);
    }

    #[test]
    fn an_open_connection_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(connections(address.port()), Ok(0));
        let _client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(connections(address.port()), Ok(1));
    }
}
