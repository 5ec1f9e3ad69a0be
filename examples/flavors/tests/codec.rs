//! Tests of the codec: golden bytes, and properties of arbitrary bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flavors::protocol::{Decoder, FOOTER, FRAME_LIMIT, Malformed, Message, Request, Status, kind};
use proptest::collection::vec;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Writes all bytes into the decoder, in pieces of at most `max`.
fn feed(decoder: &mut Decoder, mut bytes: &[u8], max: usize) {
    while !bytes.is_empty() {
        let room = decoder.room();
        let n = bytes.len().min(room.len()).min(max);
        room[..n].copy_from_slice(&bytes[..n]);
        decoder.filled(n);
        bytes = &bytes[n..];
    }
}

fn decoded(bytes: &[u8]) -> Result<Option<Message>, Malformed> {
    let mut decoder = Decoder::new(FRAME_LIMIT);
    feed(&mut decoder, bytes, usize::MAX);
    decoder.next_message()
}

#[test]
fn frames_match_the_golden_bytes() {
    let stored = Message {
        kind: kind::PUT,
        ..Message::default()
    };
    let missed = Message {
        key: "nope".into(),
        kind: kind::GET_RESPONSE,
        status: Status::NotOk.into(),
        ..Message::default()
    };
    let golden = [
        (
            Message::put("DiskType", "NVMe SSD"),
            "1b000000 0a08 4469736b54797065 1208 4e564d6520535344 1803 40454f4640",
        ),
        (
            Message::get("DiskType"),
            "11000000 0a08 4469736b54797065 1801 40454f4640",
        ),
        (stored, "07000000 1803 40454f4640"),
        (missed, "0f000000 0a04 6e6f7065 1802 2001 40454f4640"),
    ];
    for (message, bytes) in golden {
        assert_eq!(message.to_frame(), hex(bytes));
        assert_eq!(decoded(&hex(bytes)), Ok(Some(message)));
    }
}

#[test]
fn an_invalid_length_is_refused_before_the_rest_of_the_frame_arrives() {
    assert_eq!(decoded(&[4, 0, 0, 0]), Err(Malformed::TooShort(4)));
    assert_eq!(decoded(&[0, 0, 0, 0]), Err(Malformed::TooShort(0)));
    assert_eq!(decoded(&[5, 0, 0, 0]), Ok(None));
    let limit = u32::try_from(FRAME_LIMIT).unwrap();
    assert_eq!(decoded(&limit.to_le_bytes()), Ok(None));
    let over = limit + 1;
    let refusal = Malformed::TooLong(over, FRAME_LIMIT);
    assert_eq!(decoded(&over.to_le_bytes()), Err(refusal));
}

#[test]
fn a_length_without_its_frame_takes_no_memory() {
    let mut decoder = Decoder::new(u32::MAX as usize);
    feed(&mut decoder, &[0xff; 4], usize::MAX);
    assert_eq!(decoder.next_message(), Ok(None));
    decoder.room();
    assert!(decoder.capacity() <= 4096, "{}", decoder.capacity());
}

#[test]
fn the_buffer_of_a_large_frame_is_freed() {
    let mut decoder = Decoder::new(FRAME_LIMIT);
    let frame = Message::put("k", "v".repeat(1 << 20)).to_frame();
    feed(&mut decoder, &frame, usize::MAX);
    assert!(decoder.next_message().unwrap().is_some());
    decoder.room();
    assert!(decoder.capacity() <= 4096, "{}", decoder.capacity());
}

#[test]
fn an_empty_payload_is_a_message_of_unknown_kind() {
    let mut frame = vec![5, 0, 0, 0];
    frame.extend(FOOTER);
    assert_eq!(decoded(&frame), Ok(Some(Message::default())));
    let kind = Request::try_from(Message::default());
    assert_eq!(kind, Err(Malformed::UnknownKind(0)));
}

#[test]
fn unknown_fields_are_ignored() {
    // A "get" of the key "k", followed by field 5, a number, and field 6, bytes.
    let frame = hex("10000000 0a01 6b 1801 2807 3202 ffff 40454f4640");
    assert_eq!(decoded(&frame), Ok(Some(Message::get("k"))));
}

#[test]
fn the_end_of_the_stream_is_valid_only_between_frames() {
    let frame = Message::get("k").to_frame();
    for split in 0..frame.len() {
        let mut decoder = Decoder::new(FRAME_LIMIT);
        feed(&mut decoder, &frame[..split], usize::MAX);
        assert_eq!(decoder.next_message(), Ok(None), "at {split}");
        let end = match split {
            0 => Ok(()),
            bytes => Err(Malformed::Truncated(bytes)),
        };
        assert_eq!(decoder.finish(), end);
    }
}

fn messages() -> impl Strategy<Value = Message> {
    // Some texts contain the footer.
    let text = || prop_oneof![any::<String>(), "[@EOF]{0,12}", "[a-z]{0,300}"];
    (text(), text(), any::<u32>(), any::<i32>()).prop_map(|(key, value, kind, status)| Message {
        key,
        value,
        kind,
        status,
    })
}

proptest! {
    #[test]
    fn decoding_an_encoded_message_returns_the_message(message in messages()) {
        prop_assert_eq!(decoded(&message.to_frame()), Ok(Some(message)));
    }

    #[test]
    fn messages_are_decoded_from_pieces_of_any_size(
        sent in vec(messages(), 1..6),
        pieces in vec(1usize..40, 1..20),
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(Message::to_frame).collect();
        let mut decoder = Decoder::new(FRAME_LIMIT);
        let mut received = Vec::new();
        let (mut rest, mut piece) = (&bytes[..], pieces.iter().cycle());
        while !rest.is_empty() {
            let n = rest.len().min(*piece.next().unwrap());
            feed(&mut decoder, &rest[..n], usize::MAX);
            rest = &rest[n..];
            while let Some(message) = decoder.next_message().unwrap() {
                received.push(message);
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn a_frame_is_decoded_at_every_split(message in messages()) {
        let frame = message.to_frame();
        for split in 0..=frame.len() {
            let mut decoder = Decoder::new(FRAME_LIMIT);
            feed(&mut decoder, &frame[..split], usize::MAX);
            let early = decoder.next_message();
            prop_assert_eq!(early, Ok((split == frame.len()).then(|| message.clone())));
            if split < frame.len() {
                feed(&mut decoder, &frame[split..], usize::MAX);
                prop_assert_eq!(decoder.next_message(), Ok(Some(message.clone())));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_take_more_than_4_kib(
        bytes in vec(any::<u8>(), 0..2000),
        max in 1usize..500,
    ) {
        let mut decoder = Decoder::new(FRAME_LIMIT);
        feed(&mut decoder, &bytes, max);
        while let Ok(Some(_)) = decoder.next_message() {}
        decoder.finish().ok();
        prop_assert!(decoder.capacity() <= 4096);
    }

    #[test]
    fn arbitrary_payloads_never_panic(payload in vec(any::<u8>(), 0..300)) {
        let mut frame = u32::try_from(payload.len() + FOOTER.len()).unwrap().to_le_bytes().to_vec();
        frame.extend(&payload);
        frame.extend(FOOTER);
        match decoded(&frame) {
            Ok(message) => prop_assert!(message.is_some()),
            Err(error) => {
                prop_assert!(matches!(error, Malformed::NotProtobuf(_)));
                // The logged text is printable ASCII for any input.
                prop_assert!(error.to_string().chars().all(|c| (' '..='~').contains(&c)));
            }
        }
    }

    #[test]
    fn a_wrong_footer_is_detected(message in messages(), index in 0usize..5, bit in 0u8..8) {
        let mut frame = message.to_frame();
        let index = frame.len() - 5 + index;
        frame[index] ^= 1 << bit;
        prop_assert_eq!(decoded(&frame), Err(Malformed::NoFooter));
    }
}
