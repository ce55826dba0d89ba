//! `rsp doctor`: what this host can do.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

use crate::outcome::Failure;
use crate::outlet;

/// What was found out.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    good: bool,
    found: String,
    /// What to do about it.
    advice: Option<&'static str>,
}

/// Prints what this host can do. Nothing here has to be good for TCP.
pub(crate) fn run(as_json: bool) -> Result<(), Failure> {
    for finding in [sctp(), io_uring(), multicast(), locked_memory(), open_files(), clock()] {
        if as_json {
            outlet::json(&finding)?;
            continue;
        }
        let mark = if finding.good { "yes" } else { "no " };
        outlet::line(format!("{:<14} {mark}  {}", finding.what, finding.found))?;
        if let Some(advice) = finding.advice {
            outlet::line(format!("{:<19} {advice}", ""))?;
        }
    }
    Ok(())
}

impl Finding {
    fn new(what: &'static str, found: Result<String, String>, advice: &'static str) -> Self {
        match found {
            Ok(found) => Self { what, good: true, found, advice: None },
            Err(found) => Self { what, good: false, found, advice: Some(advice) },
        }
    }
}

fn sctp() -> Finding {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::SCTP));
    let found = socket.map(|_| "the kernel has it".to_owned());
    let found = found.map_err(|error| format!("the kernel has none: {error}"));
    Finding::new("SCTP", found, "load the module sctp, or use SCTP over UDP, or TCP")
}

fn io_uring() -> Finding {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    let found = match disabled.as_deref().map(str::trim) {
        Ok("0") => Ok("the kernel allows it".to_owned()),
        Ok("1") => Err("the kernel allows it to some groups only".to_owned()),
        Ok(_) => Err("the kernel forbids it".to_owned()),
        Err(_) => Ok("the kernel does not forbid it, if it is 5.8 or newer".to_owned()),
    };
    Finding::new("io_uring", found, "the registrar needs it: set kernel.io_uring_disabled to 0")
}

/// Whether a datagram to a multicast group comes back.
fn multicast() -> Finding {
    let group = Ipv4Addr::new(239, 0, 0, 50);
    let comes_back = || -> std::io::Result<bool> {
        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
        receiver.set_read_timeout(Some(Duration::from_millis(500)))?;
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        sender.set_multicast_ttl_v4(0)?;
        let to = SocketAddr::from((group, receiver.local_addr()?.port()));
        sender.send_to(b"rsp doctor", &to.into())?;
        let mut buffer = [0; 16];
        Ok(receiver
            .recv(&mut buffer)
            .is_ok_and(|count| buffer.starts_with(b"rsp doctor") && count == 10))
    };
    let found = match comes_back() {
        Ok(true) => Ok(format!("what is sent to {group} arrives, on loopback")),
        Ok(false) => Err(format!("what is sent to {group} on loopback does not arrive")),
        Err(error) => Err(format!("{group} cannot be joined: {error}")),
    };
    Finding::new("multicast", found, "announces are not heard: name the registrars instead")
}

fn locked_memory() -> Finding {
    const NEEDED: u64 = 512 * 1024;
    let found = match getrlimit(Resource::Memlock).current {
        None => Ok("no limit".to_owned()),
        Some(limit) if limit >= NEEDED => Ok(format!("{} KiB", limit / 1024)),
        Some(limit) => Err(format!("{} KiB", limit / 1024)),
    };
    Finding::new("locked memory", found, "the registrar needs 512 KiB a shard: raise ulimit -l")
}

fn open_files() -> Finding {
    let found = match getrlimit(Resource::Nofile).maximum {
        None => Ok("no limit".to_owned()),
        Some(limit) if limit >= 65_536 => Ok(format!("{limit}")),
        Some(limit) => Err(format!("{limit}")),
    };
    Finding::new("open files", found, "connections are limited to fewer: raise ulimit -Hn")
}

/// Whether the clock that time-outs run on is quick to read.
fn clock() -> Finding {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let found = match std::fs::read_to_string(path).as_deref().map(str::trim) {
        Ok(source @ ("tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page")) => {
            Ok(source.to_owned())
        }
        Ok(source) => Err(source.to_owned()),
        Err(_) => Ok("unknown source".to_owned()),
    };
    Finding::new("clock", found, "reading the time takes a system call: time-outs cost more")
}
