//! The only randomness of a world: choices in named streams.
//!
//! Each stream has a generator of its own, seeded by a hash of the seed and the stream's name. So a
//! new kind of choice leaves those of other streams as they were, and a choice that is taken out of a
//! [`Tape`] leaves the others in their places.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use super::events::mix;
use super::tape::{Made, Tape};

/// Makes the choices of a run.
#[derive(Debug)]
pub(crate) struct Choices {
    source: Source,
    test: String,
    seed: Option<u64>,
    /// By the keys of their names.
    streams: HashMap<u64, Stream, BuildHasherDefault<Hashed>>,
    count: u64,
}

#[derive(Debug)]
enum Source {
    Seed(u64),
    /// What is not on the tape is plain.
    Tape(Tape),
}

#[derive(Debug)]
struct Stream {
    name: String,
    random: u64,
    /// Number of choices so far.
    index: u64,
    /// Those that were not plain.
    made: Vec<Made>,
}

impl Stream {
    #[cold]
    fn new(name: Name<'_>, source: &Source) -> Self {
        let seed = match source {
            Source::Seed(seed) => *seed,
            Source::Tape(_) => 0,
        };
        Self {
            name: name.to_string(),
            random: name.hash(seed),
            index: 0,
            // Most streams make dozens, and each doubling is a call of realloc.
            made: Vec::with_capacity(16),
        }
    }
}

impl Choices {
    pub(crate) fn from_seed(test: &str, seed: u64) -> Self {
        Self::new(Source::Seed(seed), test.to_owned(), Some(seed))
    }

    pub(crate) fn from_tape(tape: Tape) -> Self {
        let (test, seed) = (tape.test().to_owned(), tape.seed());
        Self::new(Source::Tape(tape), test, seed)
    }

    fn new(source: Source, test: String, seed: Option<u64>) -> Self {
        Self {
            source,
            test,
            seed,
            streams: HashMap::default(),
            count: 0,
        }
    }

    /// Chooses one of `of` possibilities. 0 is the plain one.
    #[inline]
    pub(crate) fn choose<'a>(&mut self, stream: impl Into<Name<'a>>, of: u32) -> u32 {
        self.choose_with(stream.into(), of, |random| {
            (random % u64::from(of.max(1))) as u32
        })
    }

    /// Chooses 1 once in `one_in` times, otherwise 0.
    #[inline]
    pub(crate) fn chance<'a>(&mut self, stream: impl Into<Name<'a>>, one_in: u32) -> bool {
        let once = |random: u64| u32::from(random.is_multiple_of(u64::from(one_in.max(1))));
        self.choose_with(stream.into(), 2, once) == 1
    }

    fn choose_with(&mut self, name: Name<'_>, of: u32, draw: impl FnOnce(u64) -> u32) -> u32 {
        let stream = self.streams.entry(name.key);
        let stream = stream.or_insert_with(|| Stream::new(name, &self.source));
        stream.index += 1;
        self.count += 1;
        let chosen = match &self.source {
            Source::Seed(_) => draw(next(&mut stream.random)),
            Source::Tape(tape) => tape
                .get(&stream.name, stream.index)
                .min(of.saturating_sub(1)),
        };
        if chosen != 0 {
            stream.made.push(Made {
                index: stream.index,
                value: chosen,
                of,
            });
        }
        chosen
    }

    /// Returns the number of choices so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the choices that were not plain.
    pub(crate) fn tape(&self) -> Tape {
        let mut tape = Tape::new(&self.test, self.seed);
        for stream in self.streams.values() {
            tape.push_all(&stream.name, &stream.made);
        }
        tape
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a, which begins with `start`.
#[inline]
fn hash(start: u64, bytes: &[u8]) -> u64 {
    extend(start ^ 0xcbf2_9ce4_8422_2325, bytes)
}

#[inline]
fn extend(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The name of a stream: a text, or a text and a number. It becomes a text only with the first choice, because a run
/// makes hundreds of choices in a few streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    text: &'a str,
    number: Option<u64>,
    /// A number that no other name has.
    key: u64,
}

impl<'a> Name<'a> {
    /// Inlined, because the compiler knows the hash of most texts then. It would be a fifth of a choice.
    #[inline]
    fn new(text: &'a str, number: Option<u64>) -> Self {
        let of_number = number.map_or(0, |number| number.wrapping_add(1));
        let key = mix(hash(0, text.as_bytes()), of_number);
        Self { text, number, key }
    }

    /// Returns the hash of the name as text.
    fn hash(self, start: u64) -> u64 {
        let hashed = hash(start, self.text.as_bytes());
        let Some(mut number) = self.number else {
            return hashed;
        };
        // A space and the digits, from the end.
        let mut text = [b' '; 21];
        let mut from = text.len();
        loop {
            from -= 1;
            text[from] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        extend(hashed, &text[from - 1..])
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{} {number}", self.text),
            None => f.write_str(self.text),
        }
    }
}

impl<'a> From<&'a str> for Name<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Name::new(text, None)
    }
}

impl<'a> From<&'a String> for Name<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        text.as_str().into()
    }
}

impl<'a> From<(&'a str, u64)> for Name<'a> {
    #[inline]
    fn from((text, number): (&'a str, u64)) -> Self {
        Name::new(text, Some(number))
    }
}

/// The hasher of a map whose keys are those of names.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = extend(self.0, bytes);
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(choices: &mut Choices, stream: &str) -> Vec<u32> {
        (0..20).map(|_| choices.choose(stream, 5)).collect()
    }

    #[test]
    fn a_stream_does_not_depend_on_other_streams() {
        let mut alone = Choices::from_seed("test", 7);
        let expected = draw(&mut alone, "recv");
        let mut both = Choices::from_seed("test", 7);
        let other = draw(&mut both, "send");
        assert_eq!(draw(&mut both, "recv"), expected);
        assert_ne!(other, expected);
        assert_ne!(draw(&mut Choices::from_seed("test", 8), "recv"), expected);
    }

    #[test]
    fn a_name_of_two_parts_is_the_stream_of_its_text() {
        for number in [0, 7, 10, 1_234, u64::MAX] {
            let name = Name::from(("recv", number));
            let text = name.to_string();
            assert_eq!(name.hash(3), Name::from(&text).hash(3), "{text}");
            assert_eq!(text, format!("recv {number}"));
        }
        let mut choices = Choices::from_seed("test", 7);
        let by_parts: Vec<_> = (0..9).map(|_| choices.choose(("a", 12), 5)).collect();
        let mut choices = Choices::from_seed("test", 7);
        let by_text: Vec<_> = (0..9).map(|_| choices.choose("a 12", 5)).collect();
        assert_eq!(by_parts, by_text);
    }

    #[test]
    fn a_tape_repeats_the_choices_and_what_it_lacks_is_plain() {
        let mut first = Choices::from_seed("test", 7);
        let expected = draw(&mut first, "recv");
        let tape = first.tape();
        let mut again = Choices::from_tape(tape.clone());
        assert_eq!(draw(&mut again, "recv"), expected);
        assert_eq!(again.tape(), tape);
        assert_eq!(draw(&mut again, "send"), [0; 20]);
        assert_eq!(again.count(), 40);
    }
}
