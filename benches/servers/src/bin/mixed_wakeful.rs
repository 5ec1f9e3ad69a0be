//! The echo on Wakeful beside other work: see [`bench_servers::mixed`].

use std::error::Error;
use std::io;

use bench_servers::mixed::{Alarm, PAUSE, Random, SPAWNED, TIMERS};
use bench_servers::{Start, log_outcome};
use wakeful::task::yield_now;
use wakeful::time::sleep;
use wakeful_net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    wakeful::block_on(async {
        for number in 0..TIMERS {
            wakeful::spawn(timers(Random::new(number)));
        }
        wakeful::spawn(spawns());
        wakeful::spawn(wakes(Alarm::start()));
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            wakeful::spawn(async move { log_outcome(echo(stream, start.buffer).await) });
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
            wakeful::spawn(yield_now());
        }
    }
}

async fn wakes(alarm: Alarm) {
    loop {
        alarm.wait().await;
    }
}

async fn echo(stream: TcpStream, size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}
