//! An echo server on the pocket runtime. `start` lays it out beside the stages that have sockets.

use std::env;

fn main() {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    pocket::block_on(async {
        let address = address.parse().expect("an address such as 127.0.0.1:7000");
        let listener = pocket::TcpListener::bind(address).expect("binding the address");
        println!("listening on {}", listener.local_addr().expect("the address of the socket"));
        while let Ok((stream, _)) = listener.accept().await {
            drop(pocket::spawn(echo(stream)));
        }
    });
}

/// Echoes until the peer has closed its side.
async fn echo(stream: pocket::TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
