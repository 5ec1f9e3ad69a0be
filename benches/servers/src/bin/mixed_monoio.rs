//! The echo on monoio with its epoll implementation beside other work: see [`bench_servers::mixed`].

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bench_servers::mixed::{Alarm, PAUSE, Random, SPAWNED, TIMERS};
use bench_servers::{Start, log_outcome};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::time::sleep;
use monoio::{LegacyDriver, RuntimeBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new()
        .enable_timer()
        .build()?;
    runtime.block_on(async {
        for number in 0..TIMERS {
            monoio::spawn(timers(Random::new(number)));
        }
        monoio::spawn(spawns());
        monoio::spawn(wakes(Alarm::start()));
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            monoio::spawn(async move { log_outcome(echo(stream, start.buffer).await) });
        }
    })
}

async fn timers(mut random: Random) {
    loop {
        sleep(random.sleep()).await;
    }
}

async fn spawns() {
    loop {
        sleep(PAUSE).await;
        for _ in 0..SPAWNED {
            monoio::spawn(yield_now());
        }
    }
}

/// Yields once; monoio has no such function.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn wakes(alarm: Alarm) {
    loop {
        alarm.wait().await;
    }
}

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(size);
    loop {
        let (outcome, filled) = stream.read(buffer).await;
        if outcome? == 0 {
            return Ok(());
        }
        let (outcome, mut emptied) = stream.write_all(filled).await;
        outcome?;
        emptied.clear();
        buffer = emptied;
    }
}
