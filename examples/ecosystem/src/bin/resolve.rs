//! A DNS client on hickory-resolver: prints the addresses of names.
//!
//! ```text
//! cargo run --bin resolve -- 127.0.0.1:53 example.com www.example.com
//! ```
//!
//! The first argument is a DNS server. All names are looked up at once, without a thread. The adapter,
//! `wakeful-hickory`, is in `extras/hickory`.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use ecosystem_common::describe;
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use wakeful_hickory::WakefulProvider;

/// Time limit of a query, which is sent twice.
const TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [server, names @ ..] = &arguments[..] else {
        eprintln!("usage: resolve SERVER NAME...");
        return ExitCode::FAILURE;
    };
    let Ok(server) = server.parse() else {
        eprintln!("error: {server}: not an address; an example is 127.0.0.1:53");
        return ExitCode::FAILURE;
    };
    match wakeful::block_on(run(server, names.to_vec())) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Looks all names up and prints a line for each; fails if one of them has no address.
async fn run(server: SocketAddr, names: Vec<String>) -> Result<ExitCode, Box<dyn Error>> {
    // UDP first, TCP if an answer does not fit into a datagram.
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = Resolver::builder_with_config(config, WakefulProvider);
    builder.options_mut().timeout = TIMEOUT;
    builder.options_mut().attempts = ATTEMPTS;
    let resolver = Rc::new(builder.build()?);

    let lookups: Vec<_> = names
        .into_iter()
        .map(|name| {
            let resolver = Rc::clone(&resolver);
            wakeful::spawn(async move {
                let addresses = resolver.lookup_ip(&*name).await;
                (name, addresses)
            })
        })
        .collect();
    let mut code = ExitCode::SUCCESS;
    for lookup in lookups {
        let (name, addresses) = lookup.await?;
        match addresses {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses
                    .iter()
                    .map(|address| address.to_string())
                    .collect();
                println!("{name}: {}", addresses.join(" "));
            }
            Err(error) => {
                eprintln!("error: {name}: {}", describe(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
