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
    ],
    cases: &[
        Case { name: "lines in one piece are read", run: lines_in_one_piece },
        Case { name: "the last line needs no end", run: the_last_line },
        Case { name: "a line in pieces is read", run: a_line_in_pieces },
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
    fn new(pieces: &[&str], trace: &Trace) -> Pieces {
        let pieces = pieces.iter().filter(|piece| !piece.is_empty());
        let pieces = pieces.map(|piece| piece.as_bytes().to_vec()).collect();
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
    let trace = Trace::new();
    let mut reader = LineReader::new(Pieces::new(pieces, &trace));
    let lines = all(&mut reader, &trace, drops, async |reader: &mut LineReader<Pieces>| {
        reader.next_line().await
    });
    (format!("{lines:?}"), trace.steps())
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
    let expected = r#"[("name", "value"), ("key", "7")]"#;
    for cut in 1..TEXT.len() {
        let trace = Trace::new();
        let pieces = Pieces::new(&[&TEXT[..cut], &TEXT[cut..]], &trace);
        let mut reader = LineReader::new(pieces);
        let pairs = all(&mut reader, &trace, true, async |reader: &mut LineReader<Pieces>| {
            reader.next_pair().await
        });
        let seen = format!("{pairs:?}");
        if seen != expected {
            let seen = format!("{seen}, cut after byte {cut}");
            return fail("10.2", trace.steps(), expected, seen);
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
        let pieces = Pieces::new(&["name\nva", "l", "ue\n"], &trace);
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
