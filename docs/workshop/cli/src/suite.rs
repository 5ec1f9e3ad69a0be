//! Real clients against the echo server of a pocket runtime, which runs as a process: what the tests of
//! Wakeful's own echo server demand of bytes, half closes, resets, and a shortage of descriptors.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::{Problem, layout};

/// How long a client waits for bytes, at most. None of them needs a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at the number of descriptors, one millisecond apart.
const LOOKS: u32 = 60_000;

/// A case: its name, the limit on descriptors that the server gets, and what clients do.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    descriptors: u32,
    run: fn(&Server) -> io::Result<()>,
}

/// The cases that each echo server has to pass.
pub(crate) const CASES: &[Case] = &[
    Case { name: "bytes", descriptors: 512, run: bytes },
    Case { name: "100 clients at once", descriptors: 512, run: many_clients },
    Case { name: "half closes", descriptors: 512, run: half_closes },
    Case { name: "resets", descriptors: 512, run: resets },
];

/// The case for the echo server of the stage about misbehaving clients.
pub(crate) const SHORTAGE: Case = Case { name: "no descriptor", descriptors: 16, run: shortage };

impl Case {
    /// Runs the case with the program that is compiled at `program`.
    pub(crate) fn run(&self, program: &str) -> Result<(), Problem> {
        let failed = |error| format!("{program}: {}: {error}", self.name);
        let mut server = Server::start(program, self.descriptors).map_err(failed)?;
        (self.run)(&server).map_err(failed)?;
        server.ends_up_as_before().map_err(failed)
    }
}

/// A server process. It is killed when the value is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// Descriptors without a client.
    descriptors: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server on a free port of loopback, and reads its address.
    fn start(program: &str, descriptors: u32) -> io::Result<Server> {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n \"$1\" && exec \"$0\" 127.0.0.1:0"]);
        command.arg(layout::path(program)).arg(descriptors.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let output = child.stdout.take();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on the process is killed when something fails.
        let mut server = Server { child, address, descriptors: 0 };
        let mut line = String::new();
        output.map_or(Ok(0), |output| BufReader::new(output).read_line(&mut line))?;
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default();
        server.address = address.parse().map_err(|_| wrong("it does not print its address"))?;
        server.descriptors = server.count_descriptors();
        Ok(server)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let client = TcpStream::connect(self.address)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        Ok(client)
    }

    fn count_descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Waits until the server has closed the sockets of all clients.
    fn ends_up_as_before(&mut self) -> io::Result<()> {
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait()? {
                return Err(wrong(&format!("the server has ended: {status}")));
            }
            if self.count_descriptors() == self.descriptors {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        let (now, before) = (self.count_descriptors(), self.descriptors);
        Err(wrong(&format!("{now} descriptors, {before} before the first client")))
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}

/// Returns bytes that repeat late, so that a lost or a doubled part is noticed.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Reads as many bytes as were sent, and compares.
fn expect(client: &mut TcpStream, sent: &[u8]) -> io::Result<()> {
    let mut back = vec![0; sent.len()];
    client.read_exact(&mut back)?;
    match back == sent {
        true => Ok(()),
        false => Err(wrong(&format!("other bytes came back than the {} sent", sent.len()))),
    }
}

fn echo(client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes)?;
    expect(client, bytes)
}

/// Each byte comes back at once, also without the rest of its message.
fn bytes(server: &Server) -> io::Result<()> {
    let mut client = server.connect()?;
    for byte in 0..=255 {
        echo(&mut client, &[byte])?;
    }
    let message = noise(60, 1);
    for cut in 0..=message.len() {
        let (first, second) = message.split_at(cut);
        echo(&mut client, first)?;
        echo(&mut client, second)?;
    }
    for length in [4_095, 4_096, 4_097, 65_536, 200_000] {
        echo(&mut client, &noise(length, 2))?;
    }
    Ok(())
}

/// Each of many clients gets its own bytes.
fn many_clients(server: &Server) -> io::Result<()> {
    let mut clients = (0..100).map(|_| server.connect()).collect::<io::Result<Vec<_>>>()?;
    for round in 0..5 {
        let message = |client: usize| noise(50 + client, round * 1_000 + client as u32);
        for (number, client) in clients.iter_mut().enumerate() {
            client.write_all(&message(number))?;
        }
        for (number, client) in clients.iter_mut().enumerate() {
            expect(client, &message(number))?;
        }
    }
    Ok(())
}

/// After the end of a client's bytes all of them come back, and then the server's end.
fn half_closes(server: &Server) -> io::Result<()> {
    for length in [0, 1, 65_535, 65_536, 200_000, 8 << 20] {
        let message = noise(length, 3);
        let mut client = server.connect()?;
        let mut writer = client.try_clone()?;
        let mut back = Vec::new();
        thread::scope(|scope| {
            let writes = scope.spawn(|| {
                writer.write_all(&message)?;
                writer.shutdown(Shutdown::Write)
            });
            client.read_to_end(&mut back)?;
            writes.join().unwrap_or_else(|_| Err(wrong("a client panicked")))
        })?;
        if back != message {
            return Err(wrong(&format!("{} of {length} bytes came back", back.len())));
        }
    }
    Ok(())
}

/// A reset ends its own connection and no other one.
fn resets(server: &Server) -> io::Result<()> {
    let mut other = server.connect()?;
    for _ in 0..50 {
        let mut client = server.connect()?;
        client.write_all(b"hello")?;
        client.peek(&mut [0; 1])?;
        // Closing a socket that has bytes to read resets the connection.
        drop(client);
        echo(&mut other, b"other")?;
    }
    Ok(())
}

/// Without a descriptor for more clients the server serves those it has, and the others when some have left.
fn shortage(server: &Server) -> io::Result<()> {
    let mut clients = (0..30).map(|_| server.connect()).collect::<io::Result<Vec<_>>>()?;
    echo(&mut clients[0], b"first")?;
    let mut last = clients.split_off(29);
    last[0].write_all(b"last")?;
    echo(&mut clients[0], b"first")?;
    drop(clients);
    expect(&mut last[0], b"last")?;
    echo(&mut last[0], b"again")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;
    use std::thread;

    use super::{Server, bytes, half_closes, many_clients, resets};

    /// Starts a server with a thread per client. The process stands for that of a real one.
    fn serve(echo: fn(TcpStream) -> io::Result<()>) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        Server { child, address, descriptors: 0 }
    }

    #[test]
    fn a_right_server_passes() {
        let server = serve(|stream| io::copy(&mut &stream, &mut &stream).map(drop));
        for case in [bytes, many_clients, half_closes, resets] {
            case(&server).unwrap();
        }
    }

    #[test]
    fn a_wrong_byte_is_found() {
        let server = serve(|mut stream| {
            let (mut buffer, mut count) = ([0; 4096], 0);
            loop {
                let n = stream.read(&mut buffer)?;
                if n == 0 {
                    return Ok(());
                }
                count += n;
                if count > 100_000 {
                    buffer[0] ^= 1;
                }
                stream.write_all(&buffer[..n])?;
            }
        });
        assert!(bytes(&server).is_err());
    }

    #[test]
    fn bytes_that_are_lost_at_the_end_are_found() {
        let server = serve(|mut stream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes)?;
            bytes.truncate(65_536);
            stream.write_all(&bytes)
        });
        assert!(half_closes(&server).is_err());
    }

    #[test]
    fn a_server_that_gives_all_clients_the_same_bytes_is_found() {
        let server = serve(|mut stream| {
            while stream.read(&mut [0; 4096])? > 0 {
                stream.write_all(&[7; 256])?;
            }
            Ok(())
        });
        assert!(many_clients(&server).is_err());
    }
}
