//! The load: clients in a closed loop, each a task on Wakeful, all on one thread.
//!
//! A client puts its own key, gets it back, and so on; it asks the next when it has the answer. It knows
//! each answer byte for byte beforehand, so that it need not decode, which leaves more of its core to
//! the next request, and so that a wrong answer is seen.
//!
//! Every load is bounded by time: a server that never answers costs no more than one that does.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use wakeful::time::{sleep, sleep_until, timeout_at};

use super::process::{self, Look, Server};
use super::result;
use crate::protocol::{Message, kind};

/// How much a client stores.
pub(crate) const VALUE_BYTES: usize = 64;

/// What the slow reader asks for, and how often.
const LARGE_VALUE: usize = 1 << 20;
const LARGE_GETS: usize = 200;

/// For connecting and for what comes before the load.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked of a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) slow_reader: bool,
    pub(crate) idle_clients: usize,
}

/// How long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// At most so long until every client has had its first answer.
    pub(crate) begin: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What all clients write into.
#[derive(Debug, Default)]
struct Tally {
    counts: Cell<bool>,
    stop: Cell<bool>,
    /// Clients that have had their first answer.
    begun: Cell<usize>,
    /// Clients that have had one while it counted.
    served: Cell<usize>,
    wrong: Cell<u64>,
    /// Nanoseconds, of each request that counts.
    times: RefCell<Vec<u64>>,
}

/// Loads a server for a while.
pub(crate) fn run(server: &Server, load: Load, times: Times) -> io::Result<result::Cell> {
    // First, so that where one client can keep out the others, it does.
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
        // Not before everybody has been accepted: where a thread accepts beside a thousand that are
        // busy, it takes its time, and that is not what is measured here.
        let latest = Instant::now() + times.begin;
        while tally.begun.get() < load.clients && Instant::now() < latest {
            sleep(Duration::from_millis(5)).await;
        }
        sleep(times.warm_up).await;
        let (before, own_before) = (server.look()?, process::cpu(std::process::id())?);
        let begin = Instant::now();
        tally.counts.set(true);
        sleep(times.measured).await;
        tally.counts.set(false);
        let seconds = begin.elapsed().as_secs_f64();
        let own = process::cpu(std::process::id())? - own_before;
        let after = server.look()?;
        tally.stop.set(true);
        for task in tasks {
            // Those that still wait for an answer have waited long enough.
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
    before: Look,
    after: Look,
) -> result::Cell {
    let mut times = tally.times.borrow_mut();
    times.sort_unstable();
    let percentile = |share: f64| {
        let place = ((times.len() as f64 * share).ceil() as usize).max(1) - 1;
        times.get(place).map(|time| *time as f64 / 1000.0)
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

/// Has all clients make a request at once, and again in the next period, for a number of rounds; how
/// many were answered. Bounded by time, too.
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
                // It stays connected, and makes room for nobody.
                client
            }));
        }
        let patience = rounds.period * rounds.number + PATIENCE;
        let mut finished = Vec::new();
        for task in &mut tasks {
            match timeout_at(begin + patience, &mut *task).await {
                Ok(client) => finished.push(client),
                Err(_elapsed) => task.abort(),
            }
        }
        io::Result::Ok(())
    })?;
    Ok(answered.get())
}

/// Requests at a pace, so that the server has nothing to do in between.
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
    let (mut is_cancelled, mut is_first) = (false, true);
    while !tally.stop.get() {
        let begin = Instant::now();
        match client.ask().await {
            Ok(true) => {}
            Ok(false) => {
                tally.wrong.set(tally.wrong.get() + 1);
            }
            Err(_broken) => {
                tally.wrong.set(tally.wrong.get() + 1);
                return;
            }
        }
        if !std::mem::replace(&mut is_cancelled, true) {
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

/// One client, with the bytes of its two requests and their answers.
struct Client {
    stream: wakeful_net::TcpStream,
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

    /// The next request; whether its answer was the right one.
    async fn ask(&mut self) -> io::Result<bool> {
        let (request, expected) = &self.exchanges[self.next];
        self.next = 1 - self.next;
        self.stream.write_all(request).await?;
        let answer = &mut self.buffer[..expected.len()];
        self.stream.read_exact(answer).await?;
        Ok(answer == &expected[..])
    }
}

/// A client that asks for two hundred megabytes and reads none of them.
fn slow_reader(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(address)?;
    let value: String = std::iter::repeat_n('s', LARGE_VALUE).collect();
    stream.write_all(&Message::put("slow", value).to_frame())?;
    stream.write_all(&Message::get("slow").to_frame().repeat(LARGE_GETS))?;
    Ok(stream)
}

/// Connects clients; fewer where the kernel keeps no more for a server that accepts none
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
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
