//! B40. A test that cannot fail
//!
//! From: F. Stage: 16.
//! Input: a server that loses what one read does not complete.
//! Bug: the wrong server passes
//! Fix: the wrong server fails, split at byte 1
//!
//! The test sends each frame whole, and short: it arrives in one read. So it passes with a server that works only
//! then. Choose the splits, all of them, and let the test decide when the rest comes.

mod bug {
    use super::*;

    pub fn test(server: Server) -> Result<(), String> {
        // A pause between the frames: each one arrives by itself.
        match server(&[b"put\n", b"get\n"])[..] {
            [ref first, ref second] if first == "put" && second == "get" => Ok(()),
            ref other => Err(format!("answers: {other:?}")),
        }
    }
}

mod fix {
    use super::*;

    pub fn test(server: Server) -> Result<(), String> {
        const SENT: &[u8] = b"put\nget\n";
        for at in 0..=SENT.len() {
            let (first, second) = SENT.split_at(at);
            let requests = server(&[first, second]);
            if requests != ["put", "get"] {
                return Err(format!("split at byte {at}"));
            }
        }
        Ok(())
    }
}

/// Handles reads; returns the requests that it has understood.
type Server = fn(&[&[u8]]) -> Vec<String>;

fn wrong(reads: &[&[u8]]) -> Vec<String> {
    // Right only if each read ends at the end of a request.
    let texts = reads.iter().map(|read| String::from_utf8_lossy(read).into_owned());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn input(test: fn(Server) -> Result<(), String>) -> String {
    match test(wrong) {
        Ok(()) => "the wrong server passes".to_owned(),
        Err(why) => format!("the wrong server fails, {why}"),
    }
}

fn main() {
    card::run(&|| input(bug::test), &|| input(fix::test));
}
