//! The check of stage 1: frames that are cut at every byte.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use probe::{Case, Diagnosis, Outcome, Picture, Stage, Trace, WakeCount, expect, fail};
use stage::{Broken, Bytes, LONGEST, read_frame};

static STAGE: Stage = Stage {
    number: 1,
    diagnoses: &[
        Diagnosis {
            id: "1.1",
            what: "header bytes were gone on the next poll",
            why: "they were in a local variable of `poll`, and that ends with `return Poll::Pending`",
            section: "What a poll forgets",
            function: "poll",
        },
        Diagnosis {
            id: "1.2",
            what: "body bytes were gone on the next poll",
            why: "they were in a local variable of `poll`, and that ends with `return Poll::Pending`",
            section: "What a poll forgets",
            function: "poll",
        },
        Diagnosis {
            id: "1.3",
            what: "bytes of the next frame were read",
            why: "the read asked for more bytes than are left of this frame",
            section: "Not too much",
            function: "poll",
        },
        Diagnosis {
            id: "1.4",
            what: "memory was allocated for bytes that have not arrived",
            why: "four bytes of a peer that claims a long body are enough to use up the memory",
            section: "Not too much",
            function: "poll",
        },
        Diagnosis {
            id: "1.5",
            what: "Pending was returned although no read was pending",
            why: "no waker is stored then, so the future would never be polled again",
            section: "When to return Pending",
            function: "poll",
        },
        Diagnosis {
            id: "1.6",
            what: "the end of the bytes is not noticed",
            why: "a read of 0 bytes is the end: reading again returns 0 again, without an end",
            section: "Not too much",
            function: "poll",
        },
        Diagnosis {
            id: "1.7",
            what: "a frame that is too long is accepted",
            why: "the length has to be compared with `LONGEST` before the body is read",
            section: "Not too much",
            function: "poll",
        },
        Diagnosis {
            id: "1.8",
            what: "a read is made although the frame is whole",
            why: "a body can have no byte: look whether it is full before each read, not after it",
            section: "Not too much",
            function: "poll",
        },
        Diagnosis {
            id: "1.9",
            what: "the length is not the one that was sent",
            why: "its first byte is the highest one, as in most protocols: `from_be_bytes`",
            section: "Write",
            function: "poll",
        },
        Diagnosis {
            id: "1.10",
            what: "a body of `LONGEST` bytes is refused",
            why: "it is the longest that is allowed: only a longer one is an error",
            section: "Not too much",
            function: "poll",
        },
    ],
    cases: &[
        Case { name: "a frame in one piece is read in one poll", run: one_piece },
        Case { name: "a frame that is cut at any byte is read", run: cut_at_every_byte },
        Case { name: "the next frame is left", run: the_next_frame_is_left },
        Case { name: "a short end is an error", run: a_short_end_is_an_error },
        Case { name: "a frame that is too long is an error", run: a_long_frame_is_an_error },
        Case { name: "no memory before the bytes", run: no_memory_before_the_bytes },
        Case { name: "a frame without a body is read", run: no_body },
    ],
    panics: &[("a read into an empty buffer", "1.8"), ("read after the end", "1.6")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Counts the bytes that are allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), SeqCst);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Pieces of bytes. Between two pieces a read is pending once.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    trace: Trace,
    /// A read was pending since the last look.
    pending: Rc<Cell<bool>>,
    /// The end comes after the last piece; otherwise the bytes pause.
    ends: bool,
    reads_after_the_end: u32,
}

impl Pieces {
    fn new(pieces: &[&[u8]], ends: bool) -> Pieces {
        let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec());
        let pieces = pieces.collect();
        Pieces { pieces, trace: Trace::new(), pending: Rc::default(), ends, reads_after_the_end: 0 }
    }
}

impl Bytes for Pieces {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        assert!(!buffer.is_empty(), "a read into an empty buffer");
        let Some(piece) = self.pieces.front_mut() else {
            if !self.ends {
                self.pending.set(true);
                self.trace.note("  read: Pending");
                return Poll::Pending;
            }
            self.reads_after_the_end += 1;
            assert!(self.reads_after_the_end < 10, "read after the end");
            self.trace.note("  read: 0, the end");
            return Poll::Ready(0);
        };
        if piece.is_empty() {
            self.pieces.pop_front();
            self.pending.set(true);
            self.trace.note("  read: Pending");
            return Poll::Pending;
        }
        let n = piece.len().min(buffer.len());
        buffer[..n].copy_from_slice(&piece[..n]);
        piece.drain(..n);
        if piece.is_empty() && self.pieces.len() == 1 {
            self.pieces.clear();
        }
        self.trace.note(format!("  read: {n} bytes"));
        Poll::Ready(n)
    }
}

/// What came of the polls.
type Read = Option<Result<Vec<u8>, Broken>>;

/// Polls until the future is ready or has been pending once more than there are pieces.
fn read(bytes: &mut Pieces) -> Result<(Read, usize), probe::Failure> {
    let (_count, waker) = WakeCount::new();
    let mut cx = Context::from_waker(&waker);
    let (trace, most) = (bytes.trace.clone(), bytes.pieces.len() + 2);
    let pending = Rc::clone(&bytes.pending);
    let mut frame = pin!(read_frame(bytes));
    for polls in 1..=most {
        trace.note("poll");
        match frame.as_mut().poll(&mut cx) {
            Poll::Ready(result) => return Ok((Some(result), polls)),
            Poll::Pending => {
                trace.note("  Pending");
                if !pending.replace(false) {
                    let seen = "Pending after a read that was ready";
                    return fail("1.5", trace.steps(), "another read", seen);
                }
            }
        }
    }
    Ok((None, most))
}

const FRAME: &[u8] = b"\0\0\0\x05hello";

fn one_piece() -> Outcome {
    let mut bytes = Pieces::new(&[FRAME], false);
    let (result, polls) = read(&mut bytes)?;
    let seen = format!("{result:?} in {polls} poll");
    if result == Some(Err(Broken::TooLong)) {
        return fail("1.9", bytes.trace.steps(), "a body of 5 bytes", seen);
    }
    expect(bytes.trace.steps(), &format!("{:?} in 1 poll", Some(Ok::<_, Broken>(b"hello"))), &seen)
}

fn no_body() -> Outcome {
    let mut bytes = Pieces::new(&[b"\0\0\0\0"], false);
    let (result, polls) = read(&mut bytes)?;
    let seen = format!("{:?} in {polls} poll", result.as_ref().map(|frame| frame.is_ok()));
    if seen == "Some(true) in 1 poll" {
        return Ok(());
    }
    fail("1.8", bytes.trace.steps(), "an empty frame in 1 poll", format!("{result:?}"))
}

fn cut_at_every_byte() -> Outcome {
    for cut in 1..FRAME.len() {
        let (first, second) = FRAME.split_at(cut);
        let mut bytes = Pieces::new(&[first, second], true);
        let (result, _) = read(&mut bytes)?;
        if result == Some(Ok(b"hello".to_vec())) {
            continue;
        }
        let id = if cut < 5 { "1.1" } else { "1.2" };
        let expected = format!("{:?}", Ok::<_, Broken>("hello"));
        return fail(
            id,
            bytes.trace.steps(),
            expected,
            format!("{result:?}, cut after byte {cut}"),
        );
    }
    Ok(())
}

fn the_next_frame_is_left() -> Outcome {
    let two = [FRAME, b"\0\0\0\x03abc"].concat();
    let mut bytes = Pieces::new(&[&two], true);
    let (first, _) = read(&mut bytes)?;
    let (second, _) = read(&mut bytes)?;
    let seen = format!("{:?}, {:?}", first.map(text), second.map(text));
    if seen == r#"Some("hello"), Some("abc")"# {
        return Ok(());
    }
    fail("1.3", bytes.trace.steps(), "hello, abc", seen)
}

fn text(result: Result<Vec<u8>, Broken>) -> String {
    match result {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(broken) => format!("{broken:?}"),
    }
}

fn a_short_end_is_an_error() -> Outcome {
    for length in [0, 3, 4, 8] {
        let mut bytes = Pieces::new(&[&FRAME[..length]], true);
        let (result, _) = read(&mut bytes)?;
        let seen = format!("{result:?} after {length} bytes");
        expect(bytes.trace.steps(), &format!("Some(Err(Ended)) after {length} bytes"), &seen)?;
    }
    Ok(())
}

fn a_long_frame_is_an_error() -> Outcome {
    let length = (LONGEST as u32 + 1).to_be_bytes();
    let mut bytes = Pieces::new(&[&length, b"hello"], true);
    let (result, _) = read(&mut bytes)?;
    match result {
        Some(Err(Broken::TooLong)) => Ok(()),
        other => fail("1.7", bytes.trace.steps(), "Err(TooLong)", format!("{other:?}")),
    }
}

fn no_memory_before_the_bytes() -> Outcome {
    let length = (LONGEST as u32).to_be_bytes();
    let mut bytes = Pieces::new(&[&length], false);
    let before = ALLOCATED.load(SeqCst);
    let (result, _) = read(&mut bytes)?;
    let allocated = ALLOCATED.load(SeqCst) - before;
    if allocated > 16 * 1024 {
        let seen = format!("{allocated} bytes allocated for 4 bytes that arrived");
        return fail("1.4", bytes.trace.steps(), "no more than arrived", seen);
    }
    if result == Some(Err(Broken::TooLong)) {
        return fail("1.10", bytes.trace.steps(), "a wait for the body", format!("{result:?}"));
    }
    expect(bytes.trace.steps(), "None", &format!("{result:?}"))
}

const PICTURE: Picture = Picture {
    title: "A header in two pieces",
    description: "The first poll reads three of four header bytes, and returns Pending. What it has read is in \
                  the future, so the second poll reads one more byte, and then the body.",
    lanes: &["caller", "future", "bytes"],
    run: || {
        let mut bytes = Pieces::new(&[&FRAME[..3], &FRAME[3..]], true);
        let result = read(&mut bytes);
        let place = |step: String| match step.trim().strip_prefix("read: ") {
            Some("Pending") => (2, "Pending".to_owned()),
            Some("1 bytes") => (2, "read 1 byte".to_owned()),
            Some(what) => (2, format!("read {what}")),
            None => (1, step),
        };
        let mut steps = vec![(0, "makes the future".to_owned())];
        steps.extend(bytes.trace.steps().into_iter().map(place));
        if let Ok((Some(result), _)) = result {
            steps.push((1, "Ready".to_owned()));
            steps.push((0, format!("gets {:?}", text(result))));
        }
        steps
    },
};
