//! W7. "An empty message is sent and echoed over TCP"
//!
//! From: I. Stage: 1.
//! Input: the messages "" and "a".
//! Bug: received: ["a"]
//! Fix: received: ["", "a"]
//!
//! TCP carries a stream of bytes. A `send` of no bytes adds nothing to it, and the peer cannot notice the call. A
//! message exists only in a protocol above: with a length before it, it can be empty.

mod bug {
    pub fn send(stream: &mut Vec<u8>, message: &str) {
        stream.extend_from_slice(message.as_bytes());
    }

    pub fn receive(stream: &mut Vec<u8>) -> Option<String> {
        // All that is there is one message.
        let bytes = std::mem::take(stream);
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}

mod fix {
    pub fn send(stream: &mut Vec<u8>, message: &str) {
        stream.push(u8::try_from(message.len()).expect("at most 255 bytes"));
        stream.extend_from_slice(message.as_bytes());
    }

    pub fn receive(stream: &mut Vec<u8>) -> Option<String> {
        let end = 1 + usize::from(*stream.first()?);
        if stream.len() < end {
            return None;
        }
        let bytes: Vec<u8> = stream.drain(..end).skip(1).collect();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

type Send = fn(&mut Vec<u8>, &str);
type Receive = fn(&mut Vec<u8>) -> Option<String>;

fn input(send: Send, receive: Receive) -> String {
    let mut stream = Vec::new();
    let mut received = Vec::new();
    for message in ["", "a"] {
        send(&mut stream, message);
        received.extend(receive(&mut stream));
    }
    format!("received: {received:?}")
}

fn main() {
    card::run(&|| input(bug::send, bug::receive), &|| input(fix::send, fix::receive));
}
