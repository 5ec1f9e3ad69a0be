//! The load: clients in a closed loop, each a task on Wakeful, all on one thread.
//!
//! A client alternates between a put of its own key and a get of it. It sends the next request when
//! it has the answer to the last. The expected bytes of each answer are known in advance. So the
//! client detects a wrong answer and does not have to decode, which leaves more CPU time for
//! requests.
//!
//! Every load has a time limit, so a server that never answers takes no longer to measure.
//!
//! Called by `compare`; calls `process` for the statistics of the server.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use wakeful::time::{sleep, sleep_until, timeout_at};

use super::process::{self, Server, Stats};
use super::result;
use crate::protocol::{Message, kind};

/// Size of a client's value.
pub(crate) const VALUE_BYTES: usize = 64;

/// Size of the slow reader's value.
const LARGE_VALUE: usize = 1 << 20;
/// Number of requests of the slow reader.
const LARGE_GETS: usize = 200;

/// Time limit of a connect, and of the writes before a load.
const SETUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Clients of a load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) slow_reader: bool,
    pub(crate) idle_clients: usize,
}

/// Durations of the phases of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Maximum time until every client has its first answer.
    pub(crate) begin: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// Counters shared by all clients.
#[derive(Debug, Default)]
struct Tally {
    counts: Cell<bool>,
    stop: Cell<bool>,
    /// Number of clients with a first answer.
    begun: Cell<usize>,
    /// Number of clients with an answer during the measurement.
    served: Cell<usize>,
    wrong: Cell<u64>,
    /// Nanoseconds of each request in the measurement.
    times: RefCell<Vec<u64>>,
}

/// Puts a server under load and returns the results.
pub(crate) fn run(server: &Server, load: Load, times: Times) -> io::Result<result::Cell> {
    // The slow reader connects first, so that it blocks a model with one client at a time.
    let slow = load.slow_reader.then(|| slow_reader(server.address));
    let slow = slow.transpose()?;
    let idle = connect_many(server.address, load.idle_clients)?;
    let clients = connect_many(server.address, load.clients)?;
    let tally = Rc::new(Tally::default());
    let cell = wakeful::block_on(async {
        let mut tasks = Vec::new();
        for (number, stream) in clients.into_iter().enumerate() {
            let client = Client::new(number, wakeful_net::TcpStream::from_std(stream)?);
            tasks.push(wakeful::spawn(ask_until_stopped(client, Rc::clone(&tally))));
        }
        // The measurement begins after all clients have been accepted. A thread that accepts while
        // a thousand others are busy needs some time for that, which is not measured here.
        let deadline = Instant::now() + times.begin;
        while tally.begun.get() < load.clients && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        sleep(times.warm_up).await;
        let (before, own_before) = (server.stats()?, process::cpu(std::process::id())?);
        let begin = Instant::now();
        tally.counts.set(true);
        sleep(times.measured).await;
        tally.counts.set(false);
        let seconds = begin.elapsed().as_secs_f64();
        let own = process::cpu(std::process::id())? - own_before;
        let after = server.stats()?;
        tally.stop.set(true);
        for task in tasks {
            // Some tasks can still wait for an answer.
            task.abort();
        }
        io::Result::Ok(cell(load, &tally, seconds, own, before, after))
    });
    drop((slow, idle));
    cell
}

fn cell(
    load: Load,
    tally: &Tally,
    seconds: f64,
    own: Duration,
    before: Stats,
    after: Stats,
) -> result::Cell {
    let mut times = tally.times.borrow_mut();
    times.sort_unstable();
    let percentile = |share: f64| {
        let index = ((times.len() as f64 * share).ceil() as usize).max(1) - 1;
        times.get(index).map(|time| *time as f64 / 1000.0)
    };
    result::Cell {
        clients: load.clients,
        slow_reader: load.slow_reader,
        idle_clients: load.idle_clients,
        served: tally.served.get(),
        requests: times.len() as u64,
        wrong: tally.wrong.get(),
        seconds,
        p50_us: percentile(0.5),
        p99_us: percentile(0.99),
        p999_us: percentile(0.999),
        server_cpu_seconds: (after.cpu - before.cpu).as_secs_f64(),
        client_cpu_seconds: own.as_secs_f64(),
        voluntary_switches: after.voluntary.saturating_sub(before.voluntary),
        involuntary_switches: after.involuntary.saturating_sub(before.involuntary),
        threads: after.threads,
        resident_kib: after.resident_kib,
    }
}

/// Sends a request from every client at the same time, once per period, for a number of rounds.
///
/// Returns the number of answers. Has a time limit.
pub(crate) fn run_rounds(address: SocketAddr, clients: usize, rounds: Rounds) -> io::Result<usize> {
    let streams = connect_many(address, clients)?;
    let answered = Rc::new(Cell::new(0));
    wakeful::block_on(async {
        let mut tasks = Vec::new();
        let begin = wakeful::time::Instant::now();
        for (number, stream) in streams.into_iter().enumerate() {
            let client = Client::new(number, wakeful_net::TcpStream::from_std(stream)?);
            let answered = Rc::clone(&answered);
            tasks.push(wakeful::spawn(async move {
                let mut client = client;
                for round in 0..rounds.number {
                    sleep_until(begin + rounds.period * round).await;
                    if !client.ask().await.unwrap_or(false) {
                        break;
                    }
                    answered.set(answered.get() + 1);
                }
                // The client stays connected until all others have finished.
                client
            }));
        }
        let limit = rounds.period * rounds.number + SETUP_TIMEOUT;
        let mut finished = Vec::new();
        for task in &mut tasks {
            match timeout_at(begin + limit, &mut *task).await {
                Ok(client) => finished.push(client),
                Err(_elapsed) => task.abort(),
            }
        }
        io::Result::Ok(())
    })?;
    Ok(answered.get())
}

/// Number and period of requests. The server is idle between two rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) number: u32,
    pub(crate) period: Duration,
}

impl Rounds {
    pub(crate) fn new(number: u32, period: Duration) -> Rounds {
        Rounds { number, period }
    }
}

async fn ask_until_stopped(mut client: Client, tally: Rc<Tally>) {
    let (mut has_begun, mut is_first) = (false, true);
    while !tally.stop.get() {
        let begin = Instant::now();
        match client.ask().await {
            Ok(true) => {}
            Ok(false) => {
                tally.wrong.set(tally.wrong.get() + 1);
            }
            Err(_failed) => {
                tally.wrong.set(tally.wrong.get() + 1);
                return;
            }
        }
        if !std::mem::replace(&mut has_begun, true) {
            tally.begun.set(tally.begun.get() + 1);
        }
        if tally.counts.get() {
            let time = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            tally.times.borrow_mut().push(time);
            if std::mem::replace(&mut is_first, false) {
                tally.served.set(tally.served.get() + 1);
            }
        }
    }
}

/// A client of the load.
struct Client {
    stream: wakeful_net::TcpStream,
    /// The bytes of its two requests, each with the expected answer.
    exchanges: [(Vec<u8>, Vec<u8>); 2],
    next: usize,
    buffer: Vec<u8>,
}

impl Client {
    fn new(number: usize, stream: wakeful_net::TcpStream) -> Client {
        let key = format!("client {number}");
        let value: String = std::iter::repeat_n('v', VALUE_BYTES).collect();
        let stored = Message {
            kind: kind::PUT,
            ..Message::default()
        };
        let found = Message {
            kind: kind::GET_RESPONSE,
            ..Message::put(key.clone(), value.clone())
        };
        Client {
            stream,
            exchanges: [
                (
                    Message::put(key.clone(), value).to_frame(),
                    stored.to_frame(),
                ),
                (Message::get(key).to_frame(), found.to_frame()),
            ],
            next: 0,
            buffer: vec![0; VALUE_BYTES + 64],
        }
    }

    /// Sends the next request and returns whether its answer is correct.
    async fn ask(&mut self) -> io::Result<bool> {
        let (request, expected) = &self.exchanges[self.next];
        self.next = 1 - self.next;
        self.stream.write_all(request).await?;
        let answer = &mut self.buffer[..expected.len()];
        self.stream.read_exact(answer).await?;
        Ok(answer == &expected[..])
    }
}

/// Connects a client that requests 200 MiB and reads nothing.
fn slow_reader(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(address)?;
    let value: String = std::iter::repeat_n('s', LARGE_VALUE).collect();
    stream.write_all(&Message::put("slow", value).to_frame())?;
    stream.write_all(&Message::get("slow").to_frame().repeat(LARGE_GETS))?;
    Ok(stream)
}

/// Connects clients. Returns fewer if the server does not accept and its queue is full
/// (net.core.somaxconn).
pub(crate) fn connect_many(address: SocketAddr, clients: usize) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..clients {
        match connect(address) {
            Ok(stream) => streams.push(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
            Err(error) => return Err(error),
        }
    }
    Ok(streams)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SETUP_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SETUP_TIMEOUT))?;
    Ok(stream)
}
