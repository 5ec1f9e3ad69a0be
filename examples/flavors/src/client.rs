//! `flavors put` and `flavors get`: a minimal client, one request on one connection.

use std::io::{self, IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::protocol::{Decoder, Message, Status};

/// Time limit of each operation: models that serve one client at a time can leave it unanswered.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn put(server: SocketAddr, key: String, value: String) -> io::Result<ExitCode> {
    let answer = ask(server, &Message::put(key, value))?;
    if answer.status() != Status::Ok {
        return Err(io::Error::other(format!("put to {server}: not stored")));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn get(server: SocketAddr, key: String) -> io::Result<ExitCode> {
    let answer = ask(server, &Message::get(key))?;
    if answer.status() != Status::Ok {
        return Ok(ExitCode::FAILURE);
    }
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        // Escaped, because the value can contain terminal control sequences.
        writeln!(stdout, "{}", printable(&answer.value))?;
    } else {
        writeln!(stdout, "{}", answer.value)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(server: SocketAddr, request: &Message) -> io::Result<Message> {
    let context = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            let text = format!(
                "{server}: no answer within {TIMEOUT:?}; the server can be busy with another client"
            );
            io::Error::new(io::ErrorKind::TimedOut, text)
        }
        kind => io::Error::new(kind, format!("{server}: {error}")),
    };
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT).map_err(context)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&request.to_frame()).map_err(context)?;
    // No limit of its own: the server's limit holds for stored values.
    let mut decoder = Decoder::new(u32::MAX as usize);
    loop {
        if let Some(message) = decoder.next_message().map_err(io::Error::other)? {
            return Ok(message);
        }
        match stream.read(decoder.room()).map_err(context)? {
            0 => {
                let text = format!("{server}: connection closed without an answer");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            n => decoder.filled(n),
        }
    }
}

/// Escapes control characters except newline and tab.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escape = c.is_control() && c != '\n' && c != '\t';
            let plain = (!escape).then_some(c);
            plain
                .into_iter()
                .chain(escape.then(|| c.escape_default()).into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_for_a_terminal() {
        assert_eq!(printable("a\tb\n\u{1b}[31mc\r"), "a\tb\n\\u{1b}[31mc\\r");
    }
}
