//! W3. "The footer marks the end of a message"
//!
//! From: F. Stage: 1.
//! Input: a message with the text "mail me @EOF@ today".
//! Bug: 2 messages: "mail me ", " today"
//! Fix: 1 message: "mail me @EOF@ today"
//!
//! The five bytes can be data, and a search for them ends the message there. The length at the beginning says where
//! the end is. The footer can only confirm it, and has to be compared.

mod bug {
    use super::*;

    pub fn messages(stream: &[u8]) -> Vec<String> {
        let mut messages = Vec::new();
        let mut rest = stream;
        while let Some(at) = find(rest, FOOTER) {
            messages.push(text(rest[..at].strip_prefix(&LENGTH).unwrap_or(&rest[..at])));
            rest = &rest[at + FOOTER.len()..];
        }
        messages
    }
}

mod fix {
    use super::*;

    pub fn messages(stream: &[u8]) -> Vec<String> {
        let mut messages = Vec::new();
        let mut rest = stream;
        while let Some((header, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*header) as usize;
            let Some((body, after)) = after.split_at_checked(length) else { break };
            let Some(payload) = body.strip_suffix(FOOTER) else { break };
            messages.push(text(payload));
            rest = after;
        }
        messages
    }
}

const FOOTER: &[u8] = b"@EOF@";
/// 19 bytes of text, and 5 of the footer.
const LENGTH: [u8; 4] = 24u32.to_le_bytes();

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn input(messages: fn(&[u8]) -> Vec<String>) -> String {
    let stream = [&LENGTH, &b"mail me @EOF@ today"[..], FOOTER].concat();
    let messages = messages(&stream);
    let list: Vec<String> = messages.iter().map(|message| format!("{message:?}")).collect();
    format!("{}: {}", card::count(messages.len(), "message"), list.join(", "))
}

fn main() {
    card::run(&|| input(bug::messages), &|| input(fix::messages));
}
