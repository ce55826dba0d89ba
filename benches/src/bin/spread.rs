//! Draws how each policy and selection mode spreads requests over unequal
//! servers.

use std::collections::{BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use std::{cmp::Reverse, fs};

use clap::Parser;
use rserpool_benches::random::Random;
use rserpool_engine::{
    Caller, ChannelUse, Config, Handlespace, PeId, Policy, PoolHandle, RegistrarId, Registration,
    RegistrationLife, Resolution, SelectionKey, SelectionMode, Timestamp, TransportKind,
};

/// Simulates eight servers, four with 8 places, two with 16 and two with 32,
/// that are asked for three quarters of what they can do, under each policy
/// and selection mode. Prints a table and draws how busy each server is.
#[derive(Parser)]
struct Options {
    /// The drawing.
    #[arg(long, default_value = "docs/spread.svg")]
    out: PathBuf,
    /// Everything follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const POOL: PoolHandle<'static> = PoolHandle::new(b"pool");
/// Requests that a server works on at the same time.
const PLACES: [u32; 8] = [8, 8, 8, 8, 16, 16, 32, 32];
const ALL: u32 = 128;
/// Of all places, how many are wanted on average.
const OFFERED: f64 = 0.75;
/// In microseconds: mean time of a request, time between reports of load, and
/// how long is simulated after how long a start.
const WORK: f64 = 1e6;
const REPORT: u64 = 500_000;
const START: u64 = 60_000_000;
const END: u64 = 660_000_000;
/// Callers with a key of their own.
const KEYS: u32 = 10_000;

/// What is simulated: its name, its policy by server and load, and its mode.
type Subject = (&'static str, fn(u32, u32) -> Policy, SelectionMode);

/// What came of it.
struct Outcome {
    name: &'static str,
    /// Mean part of the places that are busy, by server.
    busy: [f64; 8],
    /// Milliseconds that a request waits for a place.
    mean: f64,
    p99: f64,
}

const fn per_request(places: u32) -> u32 {
    u32::MAX / places
}

const SUBJECTS: [Subject; 13] = {
    use SelectionMode::{ByPolicy, ConsistentHash, TwoChoices};
    [
        ("Round Robin", |_, _| Policy::RoundRobin, ByPolicy),
        ("Random", |_, _| Policy::Random, ByPolicy),
        ("Weighted Round Robin", |weight, _| Policy::WeightedRoundRobin { weight }, ByPolicy),
        ("Weighted Random", |weight, _| Policy::WeightedRandom { weight }, ByPolicy),
        ("Priority", |priority, _| Policy::Priority { priority }, ByPolicy),
        ("Least Used", |_, load| Policy::LeastUsed { load }, ByPolicy),
        (
            "Least Used with Degradation",
            |places, load| Policy::LeastUsedDegradation { load, degradation: per_request(places) },
            ByPolicy,
        ),
        (
            "Priority Least Used",
            |places, load| Policy::PriorityLeastUsed { load, degradation: per_request(places) },
            ByPolicy,
        ),
        (
            "Priority LU with Degradation",
            |places, load| Policy::PriorityLeastUsedDegradation {
                load,
                degradation: per_request(places),
            },
            ByPolicy,
        ),
        ("Randomized Least Used", |_, load| Policy::RandomizedLeastUsed { load }, ByPolicy),
        ("Least Used, two choices", |_, load| Policy::LeastUsed { load }, TwoChoices),
        (
            "LU with Degr., two choices",
            |places, load| Policy::LeastUsedDegradation { load, degradation: per_request(places) },
            TwoChoices,
        ),
        ("Consistent hash", |_, _| Policy::RoundRobin, ConsistentHash { seed: 1 }),
    ]
};

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Request,
    Done(usize),
    Report(usize),
}

#[derive(Default)]
struct Server {
    busy: u32,
    waiting: VecDeque<u64>,
    /// Place microseconds.
    used: u64,
    since: u64,
}

struct Simulation {
    space: Handlespace,
    random: Random,
    servers: [Server; 8],
    events: BinaryHeap<Reverse<(u64, Event)>>,
    policy: fn(u32, u32) -> Policy,
    waits: Vec<u64>,
}

impl Simulation {
    fn new(&(_, policy, mode): &Subject, seed: u64) -> Result<Self, String> {
        let mut new = Self {
            space: Handlespace::new(Config { seed, ..Config::default() }),
            random: Random::new(seed),
            servers: Default::default(),
            events: BinaryHeap::new(),
            policy,
            waits: Vec::new(),
        };
        for server in 0..PLACES.len() {
            new.report(0, server)?;
            let at = new.random.below_wide(REPORT);
            new.events.push(Reverse((at, Event::Report(server))));
        }
        new.space.select_by(POOL, mode).map_err(|error| error.to_string())?;
        new.events.push(Reverse((0, Event::Request)));
        Ok(new)
    }

    /// A re-registration with the present load.
    fn report(&mut self, now: u64, server: usize) -> Result<(), String> {
        let load = self.servers[server].busy * per_request(PLACES[server]);
        let registration = Registration {
            handle: POOL,
            pe: PeId::new(u32::try_from(server).unwrap_or(0) + 1),
            home: RegistrarId::new(1),
            association: None,
            life: RegistrationLife::For(Duration::from_secs(3600)),
            policy: (self.policy)(PLACES[server], load),
            transport: TransportKind::Tcp,
            channel_use: ChannelUse::Data,
            record: &[],
        };
        let now = Timestamp::from_micros(now);
        self.space.register(now, &registration).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// A time that is exponentially distributed.
    fn after(&mut self, mean: f64) -> u64 {
        let even = (self.random.below(u32::MAX) as f64 + 1.0) / f64::from(u32::MAX);
        Duration::from_secs_f64(-even.ln() * mean / 1e6).as_micros().try_into().unwrap_or(u64::MAX)
    }

    fn run(mut self, name: &'static str) -> Result<Outcome, String> {
        let mut answer = Resolution::default();
        while let Some(Reverse((now, event))) = self.events.pop().filter(|it| it.0.0 < END) {
            match event {
                Event::Report(server) => {
                    self.report(now, server)?;
                    self.events.push(Reverse((now + REPORT, Event::Report(server))));
                }
                Event::Done(server) => {
                    self.account(now, server);
                    self.servers[server].busy -= 1;
                    if let Some(came) = self.servers[server].waiting.pop_front() {
                        self.begin(now, server, came);
                    }
                }
                Event::Request => {
                    let key = SelectionKey(self.random.below(KEYS).into());
                    let caller = Caller { key: Some(key), zone: None };
                    let at = Timestamp::from_micros(now);
                    let asked = self.space.resolve_for(at, POOL, 1, caller, &mut answer);
                    asked.map_err(|error| error.to_string())?;
                    let element = answer.elements.first().and_then(|&it| self.space.get(it));
                    let server = element.map_or(0, |it| it.pe().get() as usize - 1);
                    if self.servers[server].busy < PLACES[server] {
                        self.begin(now, server, now);
                    } else {
                        self.servers[server].waiting.push_back(now);
                    }
                    let next = now + self.after(WORK / (f64::from(ALL) * OFFERED));
                    self.events.push(Reverse((next, Event::Request)));
                }
            }
        }
        // Who still waits has waited at least so long.
        for server in 0..PLACES.len() {
            self.account(END, server);
            let waiting = core::mem::take(&mut self.servers[server].waiting);
            self.waits.extend(waiting.iter().filter(|&&it| it >= START).map(|it| END - it));
        }
        self.waits.sort_unstable();
        let count = self.waits.len();
        let time = (END - START) as f64;
        let busy =
            |server: usize| self.servers[server].used as f64 / time / f64::from(PLACES[server]);
        Ok(Outcome {
            name,
            busy: core::array::from_fn(busy),
            mean: self.waits.iter().sum::<u64>() as f64 / count as f64 / 1e3,
            p99: self.waits[count * 99 / 100] as f64 / 1e3,
        })
    }

    fn begin(&mut self, now: u64, server: usize, came: u64) {
        self.account(now, server);
        self.servers[server].busy += 1;
        if came >= START {
            self.waits.push(now - came);
        }
        let done = now + self.after(WORK);
        self.events.push(Reverse((done, Event::Done(server))));
    }

    fn account(&mut self, now: u64, server: usize) {
        let server = &mut self.servers[server];
        server.used += u64::from(server.busy) * now.saturating_sub(server.since.max(START));
        server.since = now;
    }
}

/// For each subject a row of bars, a bar a server.
fn draw(outcomes: &[Outcome]) -> String {
    const ROW: usize = 46;
    const LEFT: usize = 210;
    let height = 74 + outcomes.len() * ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">How busy each server is, \
         when 75 % of all places are wanted</text>\n"
    );
    for (server, places) in PLACES.iter().enumerate() {
        let x = LEFT + server * 48 + 20;
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"46\" text-anchor=\"middle\" fill=\"#555\">{places}</text>"
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"46\" text-anchor=\"end\" fill=\"#555\">places of the server:</text>\
         <text x=\"745\" y=\"46\" text-anchor=\"end\" fill=\"#555\">wait: mean, 99 %</text>",
        LEFT - 8
    );
    for (row, outcome) in outcomes.iter().enumerate() {
        let bottom = 56 + (row + 1) * ROW;
        let top = bottom - 36;
        let right = LEFT + 8 * 48;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <line x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\" stroke=\"#999\"/>",
            LEFT - 8,
            bottom - 12,
            outcome.name
        );
        for (server, busy) in outcome.busy.iter().enumerate() {
            let tall = busy * 36.0;
            let color = if *busy > 0.97 { "#d55e00" } else { "#0072b2" };
            let _ = writeln!(
                svg,
                "<rect x=\"{}\" y=\"{:.1}\" width=\"40\" height=\"{tall:.1}\" fill=\"{color}\"/>",
                LEFT + server * 48,
                bottom as f64 - tall
            );
        }
        let ideal = bottom as f64 - 36.0 * OFFERED;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{ideal:.1}\" x2=\"{right}\" y2=\"{ideal:.1}\" \
             stroke=\"#000\" stroke-dasharray=\"4 3\"/>\
             <text x=\"745\" y=\"{}\" text-anchor=\"end\">{}, {}</text>",
            top + 24,
            time(outcome.mean),
            time(outcome.p99)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn time(milliseconds: f64) -> String {
    if milliseconds >= 1000.0 {
        format!("{:.1} s", milliseconds / 1e3)
    } else {
        format!("{milliseconds:.0} ms")
    }
}

fn main() -> Result<(), String> {
    let options = Options::parse();
    let outcomes = SUBJECTS
        .iter()
        .map(|subject| Simulation::new(subject, options.seed)?.run(subject.0))
        .collect::<Result<Vec<Outcome>, String>>()?;
    let mut table = String::from(
        "| | busy: 8 places | 16 places | 32 places | mean wait | 99 % wait |\n\
         |---|---:|---:|---:|---:|---:|\n",
    );
    for Outcome { name, busy, mean, p99 } in &outcomes {
        let part = |from: usize, to: usize| {
            busy[from..to].iter().sum::<f64>() / (to - from) as f64 * 100.0
        };
        let _ = writeln!(
            table,
            "| {name} | {:.0} % | {:.0} % | {:.0} % | {} | {} |",
            part(0, 4),
            part(4, 6),
            part(6, 8),
            time(*mean),
            time(*p99)
        );
    }
    fs::write(&options.out, draw(&outcomes)).map_err(|error| error.to_string())?;
    io::stdout().write_all(table.as_bytes()).map_err(|error| error.to_string())
}
