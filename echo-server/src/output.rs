//! Puts lines on stdout and stderr without ever waiting for whoever reads them.
//!
//! Everything the program prints goes through [`put`]: the `listening on` lines, and the log
//! through [`crate::log`]. `println!` and `eprintln!` are not used anywhere, because they panic
//! when the stream is closed and wait when it is a full pipe, and on one thread that wait would
//! stop every client. What cannot be written at once is given up; the caller learns it.
//!
//! How: the streams are shared with other programs (the shell, a supervisor), so they cannot be
//! made non-blocking. poll(2) with a timeout of zero tells whether there is room, and a pipe with
//! room takes [`LONGEST`] bytes in one piece. See pipe(7), `PIPE_BUF`.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// The longest line that is written, with its newline: `PIPE_BUF`, the most that a pipe is sure to
/// take without making the writer wait.
const LONGEST: usize = 4096;

/// What ends a line that was too long.
const CUT: &[u8] = b"...\n";

/// Whether a line arrived.
#[must_use = "a line that was dropped should be counted"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The whole line was taken.
    Written,
    /// Nobody can take it now, or ever: it is gone.
    Dropped,
}

/// Writes one line, or drops it when it cannot be taken at once.
pub(crate) fn put(stream: BorrowedFd<'_>, line: &[u8]) -> Put {
    if line.len() <= LONGEST {
        return put_all(stream, line);
    }
    let mut short = line[..cut_at(line)].to_vec();
    short.extend_from_slice(CUT);
    put_all(stream, &short)
}

/// Where to cut a long line: so that the rest fits, and not inside a UTF-8 sequence.
fn cut_at(line: &[u8]) -> usize {
    let mut end = LONGEST - CUT.len();
    while end > 0 && line[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    end
}

fn put_all(stream: BorrowedFd<'_>, mut rest: &[u8]) -> Put {
    while !rest.is_empty() {
        if !has_room(stream) {
            return Put::Dropped;
        }
        match rustix::io::write(stream, rest) {
            Ok(0) => return Put::Dropped,
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            // EPIPE (the reader left), ENOSPC (the disk is full), EIO (the terminal is gone).
            Err(_) => return Put::Dropped,
        }
    }
    Put::Written
}

fn has_room(stream: BorrowedFd<'_>) -> bool {
    const NOW: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        let mut fds = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
        match poll(&mut fds, Some(&NOW)) {
            Ok(_) => {
                let said = fds[0].revents();
                let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
                return said.contains(PollFlags::OUT) && !said.intersects(gone);
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_line_for_a_full_pipe_is_dropped_instead_of_waited_for() {
        let (reader, writer) = pipe().expect("a pipe");
        let line = [b'x'; 1000];
        let mut written = 0;
        while put(writer.as_fd(), &line) == Put::Written {
            written += 1;
            assert!(written < 100_000, "a pipe nobody reads must fill up");
        }
        assert!(written > 0);
        drop(reader);
        assert_eq!(
            put(writer.as_fd(), &line),
            Put::Dropped,
            "nobody is left to read"
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_still_ends() {
        let (mut reader, writer) = pipe().expect("a pipe");
        let line = format!("x{}\n", "é".repeat(LONGEST));
        assert_eq!(put(writer.as_fd(), line.as_bytes()), Put::Written);
        drop(writer);
        let mut text = String::new();
        reader
            .read_to_string(&mut text)
            .expect("the cut leaves valid UTF-8");
        assert!(
            text.len() <= LONGEST && text.ends_with("é...\n"),
            "{}",
            text.len()
        );
    }
}
