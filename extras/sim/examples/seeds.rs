//! How many seeds of a small test run per second: one connection, 20 echoes of 64 bytes.
//!
//! ```console
//! $ cargo run --release -p wakeful-sim --example seeds            # 20,000 seeds of each kind
//! $ cargo run --release -p wakeful-sim --example seeds -- 1000 lossless
//! ```
//!
//! The figures are of the CPU time of the thread, so they depend little on what else the machine does.

use std::time::{Duration, Instant};
use std::{env, fs};

use wakeful_net::{TcpListener, TcpStream};
use wakeful_sim::{Faults, Options, Sim, run_seed};

const ECHOES: usize = 20;

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    let mut buf = [0; 64];
    while let n @ 1.. = stream.read(&mut buf).await? {
        stream.write_all(&buf[..n]).await?;
    }
    Ok(())
}

async fn echoes(_: Sim) {
    let result = async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        wakeful::spawn(serve(listener));
        let stream = TcpStream::connect(address).await?;
        for number in 0..ECHOES {
            let sent = [number as u8; 64];
            stream.write_all(&sent).await?;
            let mut got = [0; 64];
            stream.read_exact(&mut got).await?;
            assert_eq!(got, sent);
        }
        std::io::Result::Ok(())
    };
    result.await.expect("twenty echoes");
}

/// Returns the CPU time of this thread, or the elapsed time if /proc does not have it.
fn cpu_time(start: Instant) -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
    ns.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn main() {
    let count = env::args().nth(1);
    let count: u64 = count.map_or(20_000, |text| text.parse().expect("a number of seeds"));
    let only = env::args().nth(2);
    let start = Instant::now();
    println!("faults        seeds per second   us per seed   choices");
    let kinds = [
        ("none", Faults::none()),
        ("delays_only", Faults::delays_only()),
        ("lossless", Faults::lossless()),
    ];
    for (name, faults) in kinds {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let before = cpu_time(start);
        let mut choices = 0;
        for seed in 0..count {
            let run = run_seed("echoes", seed, Options::new().faults(faults), echoes);
            assert!(run.panic.is_none(), "seed {seed}");
            choices += run.choices;
        }
        let per_seed = (cpu_time(start) - before).as_secs_f64() / count as f64;
        println!(
            "{name:<13} {:>16.0}   {:>11.1}   {:>7}",
            1.0 / per_seed,
            per_seed * 1e6,
            choices / count
        );
    }
}
