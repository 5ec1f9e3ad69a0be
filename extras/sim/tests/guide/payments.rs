//! A program with its own `main` on a host, and a client on another: crashes, partitions, and an hour of both.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::io::{AsyncBufReadExt, BufReader};
use futures_lite::stream::StreamExt;
use wakeful::runtime::Runtime;
use wakeful::time::{sleep, timeout};
use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Faults, Hosts};

/// How often each payment is booked. Stands for the disk of the server, so it outlives a crash.
#[derive(Clone, Default)]
struct Books(Arc<Mutex<BTreeMap<u32, u32>>>);

impl Books {
    fn book(&self, payment: u32) {
        *self.0.lock().unwrap().entry(payment).or_default() += 1;
    }

    fn book_once(&self, payment: u32) {
        self.0.lock().unwrap().insert(payment, 1);
    }

    fn assert_booked_once(&self) {
        for (payment, times) in &*self.0.lock().unwrap() {
            assert_eq!(*times, 1, "payment {payment} is booked {times} times");
        }
    }
}

/// The server's `main`.
fn server(books: &Books, book: fn(&Books, u32)) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            wakeful::spawn(answer(stream, books.clone(), book));
        }
    });
}

/// Books the payment in each line, and acknowledges it.
async fn answer(stream: TcpStream, books: Books, book: fn(&Books, u32)) -> io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    while let Some(line) = lines.next().await {
        let payment = line?.parse().map_err(io::Error::other)?;
        book(&books, payment);
        stream.write_all(b"booked\n").await?;
    }
    Ok(())
}

async fn try_to_pay(payment: u32) -> io::Result<()> {
    let stream = TcpStream::connect("server:7000").await?;
    stream.write_all(format!("{payment}\n").as_bytes()).await?;
    stream.read_exact(&mut [0; 7]).await?;
    Ok(())
}

/// Sends a payment until it is acknowledged.
async fn pay(payment: u32) {
    let limit = Duration::from_secs(5);
    while !matches!(timeout(limit, try_to_pay(payment)).await, Ok(Ok(()))) {
        sleep(Duration::from_secs(1)).await;
    }
}

/// A payment per minute, for an hour.
async fn client() {
    for payment in 1..=60 {
        pay(payment).await;
        sleep(Duration::from_secs(60)).await;
    }
}

/// Lets a partition begin in some minutes, and the server crash twice.
fn disturb(sim: &Hosts) {
    for minute in (5..60).step_by(5) {
        let drawn = Duration::from_micros(10) * sim.choose(400);
        let begin = Duration::from_secs(60 * minute) + drawn;
        let end = begin + Duration::from_secs(7);
        sim.between(begin, end, |sim| sim.partition("client", "server"));
    }
    for minute in [10, 40] {
        let begin = Duration::from_secs(60 * minute + 30);
        let end = begin + Duration::from_secs(40);
        sim.between(begin, end, |sim| sim.crash("server"));
    }
    sim.calm_at(Duration::from_secs(3_600));
}

wakeful_sim::test! {
    seeds = 200;
    faults = Faults::none();
    #[should_panic(expected = "booked 2 times")]
    fn every_payment_is_booked_once(sim: &Hosts) {
        let books = Books::default();
        let of_server = books.clone();
        sim.host("server", move || server(&of_server, Books::book));
        sim.client("client", client);
        disturb(sim);
        sim.always(move |_| books.assert_booked_once());
    }
}

wakeful_sim::test! {
    seeds = 50;
    faults = Faults::lossless();
    fn every_payment_is_booked_once_with_the_correction(sim: &Hosts) {
        let books = Books::default();
        let of_server = books.clone();
        sim.host("server", move || server(&of_server, Books::book_once));
        sim.client("client", client);
        disturb(sim);
        sim.always(move |_| books.assert_booked_once());
    }
}
