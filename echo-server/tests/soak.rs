//! Many kinds of clients at once, signals and a shortage of descriptors, for as long as one wants. At the
//! end the server's counters are exactly what the clients did, and it holds what it held at the start.
//!
//! Two seconds in the usual tests. `.ci/soak SECONDS` runs it longer, and prints the report.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use support::*;

/// Descriptors of the server, fewer than the clients of [`Soak::crowd`] want.
const DESCRIPTORS: u32 = 150;

/// Connections that are opened at once, beside those of the other clients.
const CROWD: usize = 200;

/// What the clients have done.
#[derive(Debug, Default)]
struct Totals {
    connections: AtomicU64,
    /// Bytes that were sent and came back.
    bytes: AtomicU64,
    resets: AtomicU64,
    datagrams: AtomicU64,
    signals: AtomicU64,
}

struct Soak {
    tcp: SocketAddr,
    udp: SocketAddr,
    unix: PathBuf,
    until: Instant,
    /// Between two reports.
    pause: Duration,
    totals: Totals,
}

/// The counters that the server writes to its log on SIGUSR1.
#[derive(Debug, PartialEq, Eq)]
struct Counters {
    connections: u64,
    accepted: u64,
    failed: u64,
    bytes: u64,
}

impl Soak {
    fn count(&self, bytes: usize) {
        self.totals.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn connect(&self) -> TcpStream {
        self.totals.connections.fetch_add(1, Relaxed);
        connect_to(self.tcp)
    }

    fn connect_unix(&self) -> UnixStream {
        self.totals.connections.fetch_add(1, Relaxed);
        let client = UnixStream::connect(&self.unix).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
    }

    /// Repeats a client until the time is over.
    fn repeat(&self, client: impl Fn(&Soak, u64)) {
        for round in 0.. {
            client(self, round);
            if Instant::now() >= self.until {
                break;
            }
        }
    }

    /// Small messages, then an orderly end.
    fn talk(&self, round: u64) {
        let mut client = self.connect();
        for number in 0..20 {
            let message = noise(1 + (round + number) as usize % 300, number);
            assert_echo(&mut client, &message);
            self.count(message.len());
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_end(&mut client);
    }

    /// The same on the Unix socket, with an end that the server is not told of before.
    fn talk_unix(&self, round: u64) {
        let mut client = self.connect_unix();
        for number in 0..20 {
            let message = noise(1 + (round + number) as usize % 3000, number);
            assert_echo(&mut client, &message);
            self.count(message.len());
        }
    }

    /// A megabyte in both directions at once.
    fn send_much(&self, round: u64) {
        let message = noise(1 << 20, round);
        assert_half_close_echo(self.connect(), &message);
        self.count(message.len());
    }

    /// Reads nothing until everything is sent: the server has to stop reading.
    fn read_late(&self, round: u64) {
        let mut client = self.connect_unix();
        let message = noise(60_000, round);
        client.write_all(&message).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        client.read_to_end(&mut back).unwrap();
        assert!(back == message, "{} other bytes came back", back.len());
        self.count(message.len());
    }

    /// Ends by a reset.
    fn reset(&self, round: u64) {
        let mut client = self.connect();
        let message = noise(1 + round as usize % 100, round);
        assert_echo(&mut client, &message);
        self.count(message.len());
        reset(client);
        self.totals.resets.fetch_add(1, Relaxed);
        // Not so many that ports run out.
        thread::sleep(Duration::from_millis(5));
    }

    /// More clients at once than the server has descriptors. Who is not accepted yet waits, and is
    /// accepted when others end.
    fn crowd(&self, round: u64) {
        let mut clients: Vec<TcpStream> = (0..CROWD).map(|_| self.connect()).collect();
        let message = noise(10, round);
        for client in &mut clients {
            client.write_all(&message).unwrap();
        }
        for mut client in clients {
            assert_receives(&mut client, &message);
            self.count(message.len());
        }
        thread::sleep(Duration::from_millis(300));
    }

    fn send_datagrams(&self, round: u64) {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(self.udp).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut buf = [0; 2000];
        for number in 0..50 {
            let datagram = noise((round + number) as usize % 1400, number);
            client.send(&datagram).unwrap();
            let length = client.recv(&mut buf).unwrap();
            assert_eq!(&buf[..length], datagram);
            self.totals.datagrams.fetch_add(1, Relaxed);
            self.count(length);
        }
    }

    /// Runs all clients at once, and asks for reports meanwhile.
    fn run_clients(&self, server: &Server) {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| self.repeat(Soak::talk));
            }
            let one_each = [
                Soak::talk_unix,
                Soak::send_much,
                Soak::read_late,
                Soak::reset,
                Soak::crowd,
                Soak::send_datagrams,
            ];
            for client in one_each {
                scope.spawn(move || self.repeat(client));
            }
            while Instant::now() < self.until {
                counters(server);
                self.totals.signals.fetch_add(1, Relaxed);
                thread::sleep(self.pause);
            }
        });
    }

    /// Returns what the server has to have counted, with the round trip at the start.
    fn expected(&self) -> Counters {
        let totals = &self.totals;
        Counters {
            connections: 0,
            accepted: totals.connections.load(Relaxed) + 1,
            failed: totals.resets.load(Relaxed),
            bytes: totals.bytes.load(Relaxed) + b"still there?".len() as u64,
        }
    }
}

/// Returns how long the clients go on.
fn duration() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").map_or(2, |text| {
        let seconds = text
            .parse()
            .ok()
            .filter(|seconds| (1..=86_400).contains(seconds));
        seconds.unwrap_or_else(|| panic!("SOAK_SECONDS={text}: allowed is 1 to 86400"))
    });
    Duration::from_secs(seconds)
}

/// Asks the server for its counters.
fn counters(server: &Server) -> Counters {
    let line = server.report_line("counters connections=");
    Counters {
        connections: number_in(&line, "connections"),
        accepted: number_in(&line, "accepted"),
        failed: number_in(&line, "failed"),
        bytes: number_in(&line, "bytes"),
    }
}

#[test]
fn after_all_kinds_of_clients_at_once_the_counters_are_exact_and_nothing_is_left() {
    let directory = Directory::new("soak");
    let (unix, path) = directory.socket("echo.sock");
    // So that accepting fails, rather than being paused in time.
    let more = [
        "udp://127.0.0.1:0",
        unix.as_str(),
        "--max-connections",
        "1000",
    ];
    let mut server = Server::start_with_descriptors(DESCRIPTORS, &more, 2);
    let pid = server.pid();
    server.assert_serves();
    wait_until("the end of that connection", || {
        counters(&server).connections == 0
    });
    let at_start = (descriptors(pid), resident(pid));
    let udp = server.names[1].strip_prefix("udp://").unwrap();
    let duration = duration();
    let soak = Soak {
        tcp: server.address(),
        udp: udp.parse().unwrap(),
        unix: path,
        until: Instant::now() + duration,
        // The log is kept in memory.
        pause: Duration::from_millis(500).max(duration / 200),
        totals: Totals::default(),
    };
    soak.run_clients(&server);
    let expected = soak.expected();
    let mut last = counters(&server);
    wait_until("the end of all connections", || {
        last = counters(&server);
        last.connections == 0 && descriptors(pid) == at_start.0
    });
    assert_eq!(last, expected);
    let shortages = server.log_lines("accept failed").len();
    assert!(shortages > 0, "descriptors were never short");
    println!("{} s, {:#?}", duration.as_secs(), soak.totals);
    println!("{last:#?}, logged shortages: {shortages}");
    let (open, memory) = (descriptors(pid), resident(pid));
    println!(
        "descriptors {} then {open}, resident KiB {} then {}",
        at_start.0,
        at_start.1 >> 10,
        memory >> 10
    );
    server.assert_ends_well();
}
