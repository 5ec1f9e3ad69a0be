//! An echo server with `serve`: a shortage of descriptors ends neither it nor its connections. `start` lays it
//! out beside the stage.

use std::env;

use pocket::serve::{Stop, serve};

fn main() {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    pocket::block_on(async {
        let address = address.parse().expect("an address such as 127.0.0.1:7000");
        let listener = pocket::TcpListener::bind(address).expect("binding the address");
        println!("listening on {}", listener.local_addr().expect("the address of the socket"));
        serve(listener, Stop::default()).await.expect("accepting clients");
    });
}
