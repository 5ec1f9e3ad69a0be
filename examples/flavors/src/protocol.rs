//! The wire format: frames around protobuf messages, and the buffer that collects their bytes.
//!
//! Called by every model and by the clients. Does no I/O.
//!
//! ```text
//!   length: u32, little-endian    payload: protobuf      footer: 40 45 4f 46 40, "@EOF@"
//! +----------------------------+----------------------+--------------------------------+
//! |    length of the rest      |  length - 5 bytes    |            5 bytes             |
//! +----------------------------+----------------------+--------------------------------+
//! ```
//!
//! A key or a value can contain the footer. The length therefore determines the end of a frame, and
//! the footer only confirms it. Bytes arrive in pieces of any size and stay in the [`Decoder`]
//! until a frame is complete.
//!
//! The server reads directly into the decoder ([`Decoder::room`], then [`Decoder::filled`]). The
//! buffer doubles when it is full of received bytes. The length of a frame does not make it grow: a
//! client that sends a length of four gigabytes costs four kilobytes until the bytes arrive.

use std::fmt;

use prost::Message as _;

/// Last five bytes of each frame.
pub const FOOTER: [u8; 5] = *b"@EOF@";

/// Default maximum length of a frame.
pub const FRAME_LIMIT: usize = 4 << 20;

/// Largest limit that can be set. With it, the length of every answer fits into 32 bits.
pub const LARGEST_FRAME_LIMIT: usize = 1 << 30;

/// Values of [`Message::kind`].
pub mod kind {
    /// Request for the value of a key.
    pub const GET: u32 = 1;
    /// Answer to [`GET`].
    pub const GET_RESPONSE: u32 = 2;
    /// Request to store a value under a key, and its answer.
    pub const PUT: u32 = 3;
}

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    /// Success.
    Ok = 0,
    /// Key not found.
    NotOk = 1,
}

/// The message type of the protocol, for requests and answers. As in proto3, fields with their
/// default value are not sent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// The key. The empty string is a valid key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Type of the request or answer, one of [`kind`].
    #[prost(uint32, tag = "3")]
    pub kind: u32,
    /// Outcome, in answers.
    #[prost(enumeration = "Status", tag = "4")]
    pub status: i32,
}

impl Message {
    /// Returns a request for a value.
    #[must_use]
    pub fn get(key: impl Into<String>) -> Message {
        Message {
            key: key.into(),
            kind: kind::GET,
            ..Message::default()
        }
    }

    /// Returns a request to store a value.
    #[must_use]
    pub fn put(key: impl Into<String>, value: impl Into<String>) -> Message {
        Message {
            key: key.into(),
            value: value.into(),
            kind: kind::PUT,
            ..Message::default()
        }
    }

    /// Returns the complete frame, to be sent with one write.
    ///
    /// # Panics
    ///
    /// If the frame is longer than 4 GiB, the maximum of its length field. Messages within
    /// [`LARGEST_FRAME_LIMIT`] are shorter.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let length = self.encoded_len() + FOOTER.len();
        let announced = u32::try_from(length).expect("a frame below 4 GiB");
        let mut frame = Vec::with_capacity(4 + length);
        frame.extend_from_slice(&announced.to_le_bytes());
        // Encoding into a vector cannot fail, because the vector grows.
        self.encode(&mut frame).expect("a vector grows");
        frame.extend_from_slice(&FOOTER);
        frame
    }
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Request for the value of a key.
    Get {
        /// The key.
        key: String,
    },
    /// Request to store a value under a key, in place of an earlier value.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

impl TryFrom<Message> for Request {
    type Error = Malformed;

    fn try_from(message: Message) -> Result<Request, Malformed> {
        match message.kind {
            kind::GET => Ok(Request::Get { key: message.key }),
            kind::PUT => Ok(Request::Put {
                key: message.key,
                value: message.value,
            }),
            unknown => Err(Malformed::UnknownKind(unknown)),
        }
    }
}

/// Violation of the protocol, which ends the connection.
///
/// Contains no bytes of the peer, so that it can be printed to any log or terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// Length less than that of the footer.
    TooShort(u32),
    /// Length over the limit, and the limit.
    TooLong(u32, usize),
    /// Frame that does not end with the footer.
    NoFooter,
    /// Payload that is not a protobuf message.
    NotProtobuf(prost::DecodeError),
    /// Kind that is neither get nor put.
    UnknownKind(u32),
    /// End of the stream after this many bytes of a frame.
    Truncated(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooShort(length) => {
                write!(f, "decode frame: length {length} is less than the footer")
            }
            Malformed::TooLong(length, limit) => {
                write!(f, "decode frame: length {length} is over the limit {limit}")
            }
            Malformed::NoFooter => f.write_str("decode frame: footer not found"),
            Malformed::NotProtobuf(error) => write!(f, "decode message: not protobuf: {error}"),
            Malformed::UnknownKind(kind) => write!(f, "decode message: unknown kind {kind}"),
            Malformed::Truncated(bytes) => {
                write!(f, "decode frame: end of stream after {bytes} bytes")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// Buffer that collects received bytes and decodes frames from them. One per connection.
#[derive(Debug)]
pub struct Decoder {
    /// Buffer, initialized up to its length. Bytes are received only up to its length.
    buffer: Vec<u8>,
    /// Index of the first byte that has not been decoded.
    start: usize,
    /// Index after the last received byte.
    end: usize,
    limit: usize,
}

impl Decoder {
    /// Initial size of the buffer.
    const MIN_SIZE: usize = 4 << 10;
    /// Size over which an empty buffer is freed after a large frame.
    const MAX_KEPT_SIZE: usize = 64 << 10;

    /// Returns an empty decoder that refuses frames whose length is over the limit.
    #[must_use]
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            limit,
        }
    }

    /// Returns the spare room for the next bytes, which is never empty.
    pub fn room(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.buffer[self.end..]
    }

    /// Records that this many bytes were written into [`room`](Decoder::room).
    ///
    /// # Panics
    ///
    /// If the room is smaller.
    pub fn filled(&mut self, bytes: usize) {
        assert!(
            bytes <= self.buffer.len() - self.end,
            "more bytes than the room"
        );
        self.end += bytes;
    }

    /// Decodes the next message. Returns `None` if its frame is incomplete.
    ///
    /// # Errors
    ///
    /// If the received bytes are not a valid frame. The connection has to end then, because the
    /// beginning of the next frame is unknown.
    pub fn next_message(&mut self) -> Result<Option<Message>, Malformed> {
        let arrived = &self.buffer[self.start..self.end];
        let Some((announced, rest)) = arrived.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let announced = u32::from_le_bytes(*announced);
        let length = announced as usize;
        // An invalid length is refused before the rest of the frame has arrived.
        let Some(payload_length) = length.checked_sub(FOOTER.len()) else {
            return Err(Malformed::TooShort(announced));
        };
        if length > self.limit {
            return Err(Malformed::TooLong(announced, self.limit));
        }
        let Some((frame, _)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let (payload, footer) = frame.split_at(payload_length);
        if footer != FOOTER {
            return Err(Malformed::NoFooter);
        }
        let message = Message::decode(payload).map_err(Malformed::NotProtobuf)?;
        self.start += 4 + length;
        Ok(Some(message))
    }

    /// Decodes the next message as a request. Returns `None` if its frame is incomplete.
    ///
    /// # Errors
    ///
    /// As [`next_message`](Decoder::next_message), and if the message is not a request.
    pub fn next_request(&mut self) -> Result<Option<Request>, Malformed> {
        self.next_message()?.map(Request::try_from).transpose()
    }

    /// Checks that the stream ended between two frames.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if it ended inside a frame.
    pub fn finish(&self) -> Result<(), Malformed> {
        match self.end - self.start {
            0 => Ok(()),
            bytes => Err(Malformed::Truncated(bytes)),
        }
    }

    /// Returns the size of the buffer, for tests.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Moves the buffer out, to be filled from the returned index on. The completion model passes
    /// it to the kernel.
    pub(crate) fn lend(&mut self) -> (Vec<u8>, usize) {
        self.make_room();
        (std::mem::take(&mut self.buffer), self.end)
    }

    /// Takes the buffer back. [`filled`](Decoder::filled) records how many bytes were received.
    pub(crate) fn take_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Moves undecoded bytes to the front, then grows the buffer if it is full.
    fn make_room(&mut self) {
        if self.start > 0 {
            // At most an incomplete frame is moved.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end == 0 && self.buffer.len() > Self::MAX_KEPT_SIZE {
                self.buffer = Vec::new();
            }
        }
        if self.end == self.buffer.len() {
            let size = (self.buffer.len() * 2).max(Self::MIN_SIZE);
            // `resize` alone can reserve more than the new size.
            self.buffer.reserve_exact(size - self.buffer.len());
            self.buffer.resize(size, 0);
        }
    }
}
