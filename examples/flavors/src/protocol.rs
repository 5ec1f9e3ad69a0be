//! The wire format: frames around protobuf messages, and the buffer in which frames become whole.
//!
//! Used by every model and by the clients; knows nothing of sockets.
//!
//! ```text
//!   length: u32, little-endian    payload: protobuf      footer: 40 45 4f 46 40, "@EOF@"
//! +----------------------------+----------------------+--------------------------------+
//! |    length of what follows  |  length - 5 bytes    |            5 bytes             |
//! +----------------------------+----------------------+--------------------------------+
//! ```
//!
//! The footer may occur inside a key or a value, so a frame ends where its length says, and the footer
//! only confirms it. Bytes come in pieces of any size: what has arrived stays in the [`Decoder`] until
//! a frame is whole.
//!
//! The server reads straight into the decoder ([`Decoder::room`], then [`Decoder::filled`]). The buffer
//! grows with what has arrived, by doubling, and never with what a length promises: whoever announces
//! four gigabytes costs four kilobytes until they come.

use std::fmt;

use prost::Message as _;

/// The five bytes at the end of each frame.
pub const FOOTER: [u8; 5] = *b"@EOF@";

/// The largest length that a frame may announce, unless told.
pub const FRAME_LIMIT: usize = 4 << 20;

/// The largest limit that may be set: with it, the answer to any request still fits the length's 32 bits.
pub const LARGEST_FRAME_LIMIT: usize = 1 << 30;

/// What `kind` says.
pub mod kind {
    /// Asks for the value of a key.
    pub const GET: u32 = 1;
    /// Answers it.
    pub const GET_RESPONSE: u32 = 2;
    /// Stores a value under a key, and answers that.
    pub const PUT: u32 = 3;
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    /// Well.
    Ok = 0,
    /// There is no such key.
    NotOk = 1,
}

/// The one message of the protocol, for requests and answers. proto3: what has its default value is
/// not sent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    /// The key; the empty string is one, too.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
    /// What the message asks or answers, see [`kind`].
    #[prost(uint32, tag = "3")]
    pub kind: u32,
    /// How it went, in answers.
    #[prost(enumeration = "Status", tag = "4")]
    pub status: i32,
}

impl Message {
    /// The request for a value.
    #[must_use]
    pub fn get(key: impl Into<String>) -> Message {
        Message {
            key: key.into(),
            kind: kind::GET,
            ..Message::default()
        }
    }

    /// The request to store a value.
    #[must_use]
    pub fn put(key: impl Into<String>, value: impl Into<String>) -> Message {
        Message {
            key: key.into(),
            value: value.into(),
            kind: kind::PUT,
            ..Message::default()
        }
    }

    /// The whole frame, ready to be sent in one piece.
    ///
    /// # Panics
    ///
    /// When it is longer than its length can say, 4 GiB: keep to [`LARGEST_FRAME_LIMIT`].
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let length = self.encoded_len() + FOOTER.len();
        let announced = u32::try_from(length).expect("a frame below 4 GiB");
        let mut frame = Vec::with_capacity(4 + length);
        frame.extend_from_slice(&announced.to_le_bytes());
        // A vector grows as needed: encoding into it cannot run out of room.
        self.encode(&mut frame).expect("a vector has room");
        frame.extend_from_slice(&FOOTER);
        frame
    }
}

/// What a client asks of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The value of a key.
    Get {
        /// The key.
        key: String,
    },
    /// Store a value under a key, in place of the one before.
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

/// Why a connection cannot go on: what it sent is not the protocol.
///
/// None of these carries bytes of the peer, so that all can be printed anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// The length leaves no room for the footer.
    TooShort(u32),
    /// The length is over the limit.
    TooLong(u32, usize),
    /// The frame does not end in the footer.
    NoFooter,
    /// The payload is not a protobuf message.
    NotProtobuf(prost::DecodeError),
    /// A kind that is neither get nor put.
    UnknownKind(u32),
    /// The connection ended inside a frame, after so many bytes of it.
    CutOff(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooShort(length) => write!(f, "a length of {length}, less than the footer"),
            Malformed::TooLong(length, limit) => {
                write!(f, "a length of {length}, over the limit of {limit}")
            }
            Malformed::NoFooter => f.write_str("a frame without its footer"),
            Malformed::NotProtobuf(error) => write!(f, "not protobuf: {error}"),
            Malformed::UnknownKind(kind) => write!(f, "a message of the unknown kind {kind}"),
            Malformed::CutOff(bytes) => write!(f, "the end after {bytes} bytes of a frame"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Where bytes wait until a frame is whole. One per connection.
#[derive(Debug)]
pub struct Decoder {
    /// All of it initialised; its length is what may be read into.
    buffer: Vec<u8>,
    /// The first byte that belongs to no decoded frame.
    start: usize,
    /// One past the last byte that has arrived.
    end: usize,
    limit: usize,
}

impl Decoder {
    /// The smallest buffer, and so the most that an idle connection keeps.
    const SMALLEST: usize = 4 << 10;
    /// A buffer that grew over this for a large frame shrinks again after it.
    const LARGEST_KEPT: usize = 64 << 10;

    /// A decoder that refuses frames whose length is over the limit.
    #[must_use]
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            limit,
        }
    }

    /// Where the next bytes go; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.buffer[self.end..]
    }

    /// So many bytes have been put into [`room`](Decoder::room).
    ///
    /// # Panics
    ///
    /// When there was less room.
    pub fn filled(&mut self, bytes: usize) {
        assert!(bytes <= self.buffer.len() - self.end, "more than the room");
        self.end += bytes;
    }

    /// The next whole message.
    ///
    /// # Errors
    ///
    /// When what has arrived cannot become a frame; the connection has to end then, because nobody
    /// knows where the next frame begins.
    pub fn next_message(&mut self) -> Result<Option<Message>, Malformed> {
        let arrived = &self.buffer[self.start..self.end];
        let Some((announced, rest)) = arrived.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let announced = u32::from_le_bytes(*announced);
        let length = announced as usize;
        // Before anything of the frame is waited for.
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

    /// The next whole message, as a request.
    ///
    /// # Errors
    ///
    /// As [`next_message`](Decoder::next_message), and when it is none.
    pub fn next_request(&mut self) -> Result<Option<Request>, Malformed> {
        self.next_message()?.map(Request::try_from).transpose()
    }

    /// The peer has finished: fine between two frames.
    ///
    /// # Errors
    ///
    /// When it was inside one.
    pub fn finish(&self) -> Result<(), Malformed> {
        match self.end - self.start {
            0 => Ok(()),
            bytes => Err(Malformed::CutOff(bytes)),
        }
    }

    /// How much memory the decoder holds, for tests.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Gives the buffer away, for somebody who fills it from the returned place on while this decoder
    /// waits: the kernel, in the completion model.
    pub(crate) fn lend(&mut self) -> (Vec<u8>, usize) {
        self.make_room();
        (std::mem::take(&mut self.buffer), self.end)
    }

    /// Takes the buffer back; [`filled`](Decoder::filled) says what has come.
    pub(crate) fn take_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            // Less than one frame is left over, or nothing.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end == 0 && self.buffer.len() > Self::LARGEST_KEPT {
                self.buffer = Vec::new();
            }
        }
        if self.end == self.buffer.len() {
            let size = (self.buffer.len() * 2).max(Self::SMALLEST);
            // Exactly: a vector left to itself may take more.
            self.buffer.reserve_exact(size - self.buffer.len());
            self.buffer.resize(size, 0);
        }
    }
}
