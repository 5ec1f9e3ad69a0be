//! A relay on tokio's current-thread runtime, with its `copy_bidirectional`.

use std::error::Error;

use bench_servers::{Start, log_outcome};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(start.listener)?;
        loop {
            let (mut a, _) = listener.accept().await?;
            let (mut b, _) = listener.accept().await?;
            a.set_nodelay(true)?;
            b.set_nodelay(true)?;
            tokio::spawn(async move {
                let size = start.buffer;
                let copied = copy_bidirectional_with_sizes(&mut a, &mut b, size, size).await;
                log_outcome(copied.map(drop));
            });
        }
    })
}
