//! The check of stage 10: each read is dropped whenever it is pending, and begun again.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use probe::{Case, Diagnosis, Outcome, Picture, Stage, Trace, WakeCount, expect, fail, poll_once};
use stage::{Bytes, LineReader};

static STAGE: Stage = Stage {
    number: 10,
    diagnoses: &[
        Diagnosis {
            id: "10.1",
            what: "bytes are gone with a dropped read of a line",
            why: "they were in a variable of the future, and the future was dropped at its `.await`",
            section: "What a drop takes with it",
            function: "next_line",
        },
        Diagnosis {
            id: "10.2",
            what: "the first line is gone with a dropped read of a pair",
            why: "it was in a variable of the future while the second line was awaited",
            section: "Two safe steps",
            function: "next_pair",
        },
        Diagnosis {
            id: "10.3",
            what: "bytes behind a line are lost",
            why: "a read can return more than a line: the rest belongs to the next one",
            section: "What a drop takes with it",
            function: "next_line",
        },
        Diagnosis {
            id: "10.4",
            what: "the last line is lost",
            why: "the bytes can end without `\\n`, and what is left is a line, too",
            section: "Write",
            function: "next_line",
        },
        Diagnosis {
            id: "10.5",
            what: "a piece of a line is returned as a line",
            why: "a read returns what is there, and only `\\n` or the end of the bytes ends a line",
            section: "Write",
            function: "next_line",
        },
        Diagnosis {
            id: "10.6",
            what: "an empty line is taken for the end",
            why: "a `\\n` ends a line, also one without a byte; only a read of 0 bytes is the end",
            section: "Write",
            function: "next_line",
        },
        Diagnosis {
            id: "10.7",
            what: "a pair begins with a line of the pair before",
            why: "the line that was stored has to leave its place with its pair: `take`, not `clone`",
            section: "Two safe steps",
            function: "next_pair",
        },
        Diagnosis {
            id: "10.8",
            what: "a character that comes in two pieces is not the same",
            why: "a read can end inside of a character: store bytes, and make a `String` of a whole line",
            section: "Write",
            function: "next_line",
        },
    ],
    cases: &[
        Case { name: "a line can be empty", run: an_empty_line },
        Case { name: "lines in one piece are read", run: lines_in_one_piece },
        Case { name: "the last line needs no end", run: the_last_line },
        Case { name: "a line in pieces is read", run: a_line_in_pieces },
        Case { name: "a character in pieces is read", run: a_character_in_pieces },
        Case { name: "pairs in one piece are read", run: pairs_in_one_piece },
        Case { name: "a dropped read of a line loses nothing", run: dropped_lines },
        Case { name: "a dropped read of a pair loses nothing", run: dropped_pairs },
    ],
    panics: &[],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Pieces of bytes. Between two pieces a read is pending once.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    trace: Trace,
}

impl Pieces {
    fn new(pieces: &[&[u8]], trace: &Trace) -> Pieces {
        let pieces = pieces.iter().filter(|piece| !piece.is_empty());
        let pieces = pieces.map(|piece| piece.to_vec()).collect();
        Pieces { pieces, trace: trace.clone() }
    }
}

impl Bytes for Pieces {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        let Some(piece) = self.pieces.front_mut() else { return Poll::Ready(0) };
        if piece.is_empty() {
            self.pieces.pop_front();
            self.trace.note("read: Pending");
            return Poll::Pending;
        }
        let n = piece.len().min(buffer.len());
        buffer[..n].copy_from_slice(&piece[..n]);
        self.trace.note(format!("read: {:?}", String::from_utf8_lossy(&piece[..n])));
        piece.drain(..n);
        if piece.is_empty() && self.pieces.len() == 1 {
            self.pieces.clear();
        }
        Poll::Ready(n)
    }
}

/// Calls `next` until it returns `None`. Polls each future until it is ready, or drops it when it is
/// pending.
fn all<T>(
    reader: &mut LineReader<Pieces>,
    trace: &Trace,
    drops: bool,
    next: impl AsyncFn(&mut LineReader<Pieces>) -> Option<T>,
) -> Vec<T> {
    let (_count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    let mut all = Vec::new();
    // No input of this check needs more.
    for _ in 0..100 {
        let mut future = pin!(next(reader));
        let result = loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(result) => break Some(result),
                Poll::Pending if drops => break None,
                Poll::Pending => {}
            }
        };
        match result {
            Some(Some(value)) => all.push(value),
            Some(None) => return all,
            None => trace.note("the future is dropped"),
        }
    }
    all
}

/// Reads the pieces as lines.
fn lines(pieces: &[&str], drops: bool) -> (String, Vec<String>) {
    let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    lines_of_bytes(&pieces, drops)
}

/// The same for pieces that end anywhere.
fn lines_of_bytes(pieces: &[&[u8]], drops: bool) -> (String, Vec<String>) {
    let trace = Trace::new();
    let mut reader = LineReader::new(Pieces::new(pieces, &trace));
    let lines = all(&mut reader, &trace, drops, async |reader: &mut LineReader<Pieces>| {
        reader.next_line().await
    });
    (format!("{lines:?}"), trace.steps())
}

fn an_empty_line() -> Outcome {
    let (seen, steps) = lines(&["\n"], false);
    if seen == "[]" {
        return fail("10.6", steps, r#"[""]"#, seen);
    }
    expect(steps, r#"[""]"#, &seen)
}

fn lines_in_one_piece() -> Outcome {
    let expected = r#"["one", "", "three"]"#;
    let (seen, steps) = lines(&["one\n\nthree\n"], false);
    if seen == r#"["one"]"# {
        return fail("10.3", steps, expected, seen);
    }
    expect(steps, expected, &seen)
}

fn the_last_line() -> Outcome {
    let (seen, steps) = lines(&["one\ntwo"], false);
    if seen == r#"["one"]"# {
        return fail("10.4", steps, r#"["one", "two"]"#, seen);
    }
    expect(steps, r#"["one", "two"]"#, &seen)
}

fn a_line_in_pieces() -> Outcome {
    let (seen, steps) = lines(&["o", "n", "e\n"], false);
    if seen == r#"["o", "n", "e"]"# {
        return fail("10.5", steps, r#"["one"]"#, seen);
    }
    expect(steps, r#"["one"]"#, &seen)
}

fn a_character_in_pieces() -> Outcome {
    let (seen, steps) = lines_of_bytes(&[b"\xc3", b"\xa4\n"], false);
    if seen != r#"["ä"]"# {
        return fail("10.8", steps, r#"["ä"]"#, seen);
    }
    Ok(())
}

/// Reads the pieces as pairs.
fn pairs(pieces: &[&[u8]], drops: bool) -> (String, Vec<String>) {
    let trace = Trace::new();
    let mut reader = LineReader::new(Pieces::new(pieces, &trace));
    let pairs = all(&mut reader, &trace, drops, async |reader: &mut LineReader<Pieces>| {
        reader.next_pair().await
    });
    (format!("{pairs:?}"), trace.steps())
}

const PAIRS: &str = r#"[("name", "value"), ("key", "7")]"#;

fn pairs_in_one_piece() -> Outcome {
    let (seen, steps) = pairs(&[TEXT.as_bytes()], false);
    if seen.matches("name").count() > 1 {
        return fail("10.7", steps, PAIRS, seen);
    }
    expect(steps, PAIRS, &seen)
}

const TEXT: &str = "name\nvalue\nkey\n7\n";

fn dropped_lines() -> Outcome {
    let expected = r#"["name", "value", "key", "7"]"#;
    for cut in 1..TEXT.len() {
        let (seen, steps) = lines(&[&TEXT[..cut], &TEXT[cut..]], true);
        if seen != expected {
            let seen = format!("{seen}, cut after byte {cut}");
            return fail("10.1", steps, expected, seen);
        }
    }
    Ok(())
}

fn dropped_pairs() -> Outcome {
    let text = TEXT.as_bytes();
    // Cut once and twice: the same future can be dropped, begun again and dropped again.
    for first in 1..text.len() {
        for second in first..text.len() {
            let pieces = [&text[..first], &text[first..second], &text[second..]];
            let (seen, steps) = pairs(&pieces, true);
            if seen != PAIRS {
                let seen = format!("{seen}, cut after the bytes {first} and {second}");
                return fail("10.2", steps, PAIRS, seen);
            }
        }
    }
    Ok(())
}

const PICTURE: Picture = Picture {
    title: "Two dropped futures, no lost byte",
    description: "Three calls of next_pair read a name and a value that come in three pieces. The first two \
                  futures are dropped while they wait. The third one returns the pair.",
    lanes: &["caller", "bytes"],
    run: || {
        let trace = Trace::new();
        let pieces = Pieces::new(&[b"name\nval", b"u", b"e\n"], &trace);
        let mut reader = LineReader::new(pieces);
        for _ in 0..4 {
            trace.note("calls next_pair");
            // Polled once, then dropped.
            match poll_once(reader.next_pair(), Waker::noop()) {
                Poll::Pending => trace.note("drops the future"),
                Poll::Ready(pair) => {
                    trace.note(format!("gets {pair:?}"));
                    break;
                }
            }
        }
        let place = |step: String| match step.strip_prefix("read: ") {
            Some("Pending") => (1, "Pending".to_owned()),
            Some(bytes) => (1, format!("read {bytes}")),
            None => (0, step),
        };
        trace.steps().into_iter().map(place).collect()
    },
};
