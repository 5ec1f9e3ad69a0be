//! The frames of the key/value server: in whatever pieces they arrive, the same messages and the same
//! error come out, a message that is sent again is the same one, and the buffer stays in proportion.

#![no_main]

use libfuzzer_sys::fuzz_target;

use protocol::{Decoder, FRAME_LIMIT, Malformed, Message};

#[path = "../../../examples/flavors/src/protocol.rs"]
#[allow(dead_code, reason = "the servers use all of it")]
mod protocol;

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, stream)) = bytes.split_first() else {
        return;
    };
    let whole = decode(stream, stream.len().max(1));
    assert_eq!(decode(stream, 1 + usize::from(piece)), whole);
    for message in &whole.0 {
        let again = decode(&message.to_frame(), 7);
        assert_eq!(again, (vec![message.clone()], Ok(())));
    }
});

/// Returns the messages in a stream that arrives in pieces, and how it ends.
fn decode(stream: &[u8], piece: usize) -> (Vec<Message>, Result<(), Malformed>) {
    let mut decoder = Decoder::new(FRAME_LIMIT);
    let mut messages = Vec::new();
    for mut bytes in stream.chunks(piece) {
        while !bytes.is_empty() {
            let room = decoder.room();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            decoder.filled(count);
            bytes = &bytes[count..];
            loop {
                match decoder.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Err(error)),
                }
            }
            assert!(decoder.capacity() <= 4096.max(2 * stream.len()));
        }
    }
    (messages, decoder.finish())
}
