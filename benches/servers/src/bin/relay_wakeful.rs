//! A relay on Wakeful: with `copy_bidirectional` of `wakeful-net`, or with `--copy` that of `wakeful`, which
//! copies through a buffer of 16 KiB.

use std::error::Error;

use bench_servers::{listen, log_outcome};
use wakeful_net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let copies = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--copy") => true,
        Some(_) => return Err("the only option is --copy".into()),
    };
    let listener = listen()?;
    wakeful::block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut a, _) = listener.accept().await?;
            let (mut b, _) = listener.accept().await?;
            a.set_nodelay(true)?;
            b.set_nodelay(true)?;
            wakeful::spawn(async move {
                let copied = if copies {
                    wakeful::io::copy_bidirectional(&mut a, &mut b).await
                } else {
                    wakeful_net::io::copy_bidirectional(&a, &b).await
                };
                log_outcome(copied.map(drop));
            });
        }
    })
}
