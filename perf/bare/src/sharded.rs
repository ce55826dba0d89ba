//! A registrar of several shards in this process, and which of its shards has
//! a connection or a pool. Its own counts tell, so nothing is guessed of how
//! the kernel deals connections or how the registrar places pools.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rserpool_registrar::{Host, Running, Stats};

use crate::registrar::{POOLS, fill, message, request, running};
use crate::server::Sizes;

/// Connections that are tried until each shard has enough.
const TRIES: usize = 10_000;
/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the threads of shards are called, whichever host they have.
const SHARD: &str = "rserpool-shard";

/// A registrar whose pools and connections are sorted by shard.
pub(crate) struct Sharded {
    running: Running,
    address: SocketAddr,
    /// The pools of each shard.
    pools: Vec<Vec<u32>>,
    pub(crate) sizes: Sizes,
    /// The elements' association.
    _elements: TcpStream,
}

impl Sharded {
    /// With `moves`, connections do not stay on the shard that accepted them
    /// if they are for pools of another one only.
    pub(crate) fn start(host: Host, shards: u16, moves: bool) -> io::Result<Self> {
        let (running, address) = running(host, shards, moves)?;
        let (elements, sizes) = fill(address)?;
        let pools = vec![Vec::new(); usize::from(shards)];
        let mut sharded = Self { running, address, pools, sizes, _elements: elements };
        for pool in 0..POOLS {
            let before = sharded.running.stats();
            sharded.ask(&TcpStream::connect(address)?, pool, 1)?;
            let after = sharded.running.stats();
            let shard = changed(&before, &after, |shard| shard.protocol.resolutions)?;
            sharded.pools[shard].push(pool);
        }
        if sharded.pools.iter().any(Vec::is_empty) {
            return Err(io::Error::other("a shard without a pool: too few pools"));
        }
        Ok(sharded)
    }

    /// Asks for a pool and waits; gives the length of the answer.
    pub(crate) fn ask(&self, mut stream: &TcpStream, pool: u32, items: u32) -> io::Result<usize> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&request(pool, items))?;
        Ok(message(stream)?.len())
    }

    /// So many connections of each shard.
    pub(crate) fn connect(&self, each: usize) -> io::Result<Vec<Vec<TcpStream>>> {
        let mut found: Vec<Vec<TcpStream>> = self.pools.iter().map(|_| Vec::new()).collect();
        for _ in 0..TRIES {
            if found.iter().all(|streams| streams.len() == each) {
                return Ok(found);
            }
            let before = self.running.stats();
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            let deadline = Instant::now() + PATIENCE;
            let shard = loop {
                match changed(&before, &self.running.stats(), |it| it.traffic.accepted) {
                    Err(_) if Instant::now() < deadline => thread::yield_now(),
                    shard => break shard?,
                }
            };
            if found[shard].len() < each {
                found[shard].push(stream);
            }
        }
        Err(io::Error::other("a shard gets no connections"))
    }

    /// How many shards there are.
    pub(crate) const fn shards(&self) -> usize {
        self.pools.len()
    }

    /// The pools of a shard.
    pub(crate) fn pools_of(&self, shard: usize) -> &[u32] {
        &self.pools[shard]
    }

    /// Requests answered so far, and those of them that crossed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.running.stats().shards.iter().fold((0, 0), |(all, crossed), shard| {
            (all + shard.protocol.resolutions, crossed + shard.protocol.mesh_sent)
        })
    }
}

fn changed<F>(before: &Stats, after: &Stats, count: F) -> io::Result<usize>
where
    F: Fn(&rserpool_registrar::ShardStats) -> u64,
{
    let pairs = before.shards.iter().zip(&after.shards);
    let mut changed = pairs.enumerate().filter(|(_, (a, b))| count(a) != count(b));
    match (changed.next(), changed.next()) {
        (Some((shard, _)), None) => Ok(shard),
        _ => Err(io::Error::other("the registrar's counts do not tell which shard it was")),
    }
}

/// The processor time of each of this process's shards, to the nanosecond, in
/// the order in which they were started.
pub(crate) fn shard_time() -> io::Result<Vec<Duration>> {
    let mut tasks = Vec::new();
    for task in fs::read_dir("/proc/self/task")?.flatten() {
        // A thread that ended just now has nothing to read.
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else { continue };
        if !name.starts_with(SHARD) {
            continue;
        }
        let number: u32 = task.file_name().to_string_lossy().parse().unwrap_or(0);
        let text = fs::read_to_string(task.path().join("schedstat"))?;
        let spent = text.split(' ').next().and_then(|spent| spent.parse().ok()).unwrap_or(0);
        tasks.push((number, Duration::from_nanos(spent)));
    }
    tasks.sort_unstable();
    Ok(tasks.into_iter().map(|(_, spent)| spent).collect())
}
