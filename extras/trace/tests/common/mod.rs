//! Writes recordings as the runtime does, from a list of events: an encoder of the format that shares nothing
//! with the reader.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each program uses a part of this module"
)]

pub mod hosts;

use std::collections::HashMap;

pub const NO_TASK: u32 = u32::MAX - 1;
pub const ROOT: u32 = u32::MAX;

/// A recording that grows.
pub struct Recorder {
    pub capacity: u64,
    pub clock: u32,
    pub calibration: (u64, u64),
    pub flags: u32,
    pub polled: u64,
    pub place: u32,
    pub parked: u32,
    pub polls: u64,
    pub queue: u64,
    pub now: u64,
    pub wall_clock: u64,
    texts: Vec<u8>,
    numbers: HashMap<String, u32>,
    slots: Vec<u8>,
    head: u64,
}

impl Recorder {
    pub fn new(capacity: u64) -> Self {
        Self {
            capacity,
            clock: 2,
            calibration: (0, 0),
            flags: 0,
            polled: u64::MAX,
            place: 0,
            parked: 0,
            polls: 0,
            queue: 0,
            now: 0,
            wall_clock: 1_764_000_000_000_000_000,
            texts: Vec::new(),
            numbers: HashMap::new(),
            slots: vec![0; capacity as usize * 16],
            head: 0,
        }
    }

    /// Returns the number of a text, which is written if it is new.
    pub fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.extend((text.len() as u32).to_le_bytes());
        self.texts.extend(text.as_bytes());
        self.texts.resize(self.texts.len().next_multiple_of(4), 0);
        let number = self.numbers.len() as u32 + 1;
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// Writes an event at the present time.
    pub fn event(&mut self, kind: u8, a: u8, x: u32, y: u32) {
        let slot = (self.head % self.capacity) as usize * 16;
        let word = self.now & 0xffff_ffff_ffff | u64::from(kind) << 48 | u64::from(a) << 56;
        self.slots[slot..slot + 8].copy_from_slice(&word.to_le_bytes());
        self.slots[slot + 8..slot + 12].copy_from_slice(&x.to_le_bytes());
        self.slots[slot + 12..slot + 16].copy_from_slice(&y.to_le_bytes());
        self.head += 1;
    }

    /// Lets time pass.
    pub fn after(&mut self, ns: u64) -> &mut Self {
        self.now += ns;
        self
    }

    pub fn spawn(&mut self, (row, generation): (u32, u8), place: &str) {
        let place = self.text(place);
        self.event(1, generation, row, place);
    }

    pub fn name(&mut self, (row, generation): (u32, u8), name: &str) {
        let name = self.text(name);
        self.event(2, generation, row, name);
    }

    /// Begins a poll with a cause and its value.
    pub fn begin(&mut self, (row, generation): (u32, u8), cause: u32, value: u32) {
        self.polls += 1;
        self.event(3, generation, row, cause << 24 | value);
    }

    /// Ends a poll: 0 pending, 1 ready, 2 panicked, 3 dropped.
    pub fn end(&mut self, (row, generation): (u32, u8), outcome: u32) {
        self.event(4, generation, row, outcome);
    }

    /// Notes a wait, and ends the poll.
    pub fn wait(&mut self, task: (u32, u8), operation: &str, place: &str, what: u8, value: u32) {
        let (operation, place) = (self.text(operation), self.text(place));
        self.event(5, task.1, task.0, operation);
        self.event(6, what, value, place);
        self.end(task, 0);
    }

    pub fn wake(&mut self, (row, generation): (u32, u8), by: u32) {
        self.event(7, generation, row, by);
    }

    pub fn turn(&mut self, limit: u32, length: u64, events: u32) {
        self.event(8, 0, limit, 0);
        self.now += length;
        self.event(9, 0, events, 0);
    }

    /// Returns the file.
    pub fn bytes(&self) -> Vec<u8> {
        let texts = (self.texts.len() + 64).next_multiple_of(4096);
        let mut bytes = vec![0; 4096];
        bytes[..8].copy_from_slice(b"WAKEFUL\0");
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        let (ticks, ns) = self.calibration;
        put(8, &1_u32.to_le_bytes());
        put(12, &4_000_111_u32.to_le_bytes());
        put(16, &1_u64.to_le_bytes());
        put(24, &self.capacity.to_le_bytes());
        put(32, &4096_u64.to_le_bytes());
        put(40, &(texts as u64).to_le_bytes());
        put(48, &(4096 + texts as u64).to_le_bytes());
        put(56, &self.head.to_le_bytes());
        put(64, &(self.texts.len() as u64).to_le_bytes());
        put(72, &self.clock.to_le_bytes());
        put(76, &self.flags.to_le_bytes());
        put(80, &self.wall_clock.to_le_bytes());
        put(96, &ticks.to_le_bytes());
        put(104, &ns.to_le_bytes());
        put(112, &self.polled.to_le_bytes());
        put(120, &self.polls.to_le_bytes());
        put(128, &u64::from(self.place).to_le_bytes());
        put(136, &self.parked.to_le_bytes());
        put(140, &4_000_111_u32.to_le_bytes());
        put(152, &self.queue.to_le_bytes());
        bytes.extend(&self.texts);
        bytes.resize(4096 + texts, 0);
        bytes.extend(&self.slots);
        bytes
    }
}

pub const MAIN: &str = "src/main.rs:30:5";
pub const ECHO: &str = "src/echo.rs:12:14";

/// A recording of three tasks: one accepts, one echoes, one is woken by the second and panics.
pub fn small() -> Recorder {
    let mut r = Recorder::new(64);
    let (root, accept, echo, log) = ((ROOT, 1), (1, 0), (2, 0), (3, 4));
    r.begin(root, 4, 0);
    r.after(2_000).spawn(accept, "src/main.rs:27:5");
    r.name(accept, "accept");
    r.after(1_000).wait(root, "JoinHandle", MAIN, 3, 1);
    r.after(500).begin(accept, 0, 0);
    r.after(3_000).event(16, 0, 5, 1);
    r.wait(accept, "TcpListener::accept", "src/main.rs:28:22", 1, 5);
    r.after(400).turn(u32::MAX, 1_000_000, 1);
    r.after(300).begin(accept, 1, 5);
    r.after(800).event(12, 3, 5, 9);
    r.spawn(echo, "src/main.rs:29:9");
    let peer = r.text("127.0.0.1:40112");
    r.event(26, 0, 9, peer);
    r.spawn(log, "src/log.rs:7:9");
    r.name(log, "log");
    r.after(900)
        .wait(accept, "TcpListener::accept", "src/main.rs:28:22", 1, 5);
    r.after(200).begin(echo, 0, 0);
    r.after(900).event(12, 1, 9, 40);
    let parse = r.text("parse");
    r.event(19, 0, 2, parse);
    r.after(4_500_000).event(20, 0, 2, parse);
    r.event(12, 2, 9, 40);
    r.wake(log, 2);
    r.after(1_000).wait(echo, "TcpStream::read", ECHO, 1, 9);
    r.after(200).begin(log, 3, 2);
    r.after(20_000).end(log, 2);
    r.after(300).event(10, 1, 4, 500);
    r.turn(500, 500_000_000, 0);
    r.after(100).event(11, 0, 2, 2);
    r.event(13, 0, 2, 1);
    r.begin(echo, 2, 0);
    let mark = r.text("closing");
    r.event(18, 0, 2, mark);
    r.after(5_000).end(echo, 1);
    r.after(10_000).event(14, 0, 2, 1);
    r.event(15, 0, 2, 1);
    r.after(200).turn(u32::MAX, 2_000_000, 1);
    r
}

/// A recording of a server with a number of events: connections that come and go, and one task, `import`, of
/// which one poll takes 37 ms.
pub fn server(events: u64) -> Recorder {
    let capacity = events.next_power_of_two().max(64);
    let mut r = Recorder::new(capacity);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let accept = (1, 0);
    r.begin((ROOT, 1), 4, 0);
    r.after(900).spawn(accept, "src/main.rs:27:5");
    r.name(accept, "accept");
    r.after(800).wait((ROOT, 1), "JoinHandle", MAIN, 3, 1);
    let mut generations = [0_u8; 202];
    let mut open = [false; 202];
    let mut slow = false;
    while r.head + 64 < events {
        r.after(200).turn(u32::MAX, 2_000 + random.below(60_000), 3);
        for _ in 0..3 {
            let row = 2 + random.below(200) as u32;
            let task = (row, generations[row as usize]);
            if !open[row as usize] {
                r.after(150).begin(accept, 1, 5);
                r.after(700).event(12, 3, 5, row + 6);
                r.event(16, 0, row + 6, row);
                r.spawn(task, "src/main.rs:29:9");
                if row == 77 {
                    r.name(task, "import");
                }
                r.after(300)
                    .wait(accept, "TcpListener::accept", "src/main.rs:28:22", 1, 5);
                r.after(100).begin(task, 0, 0);
                open[row as usize] = true;
            } else {
                r.after(150).begin(task, 1, row + 6);
                r.event(12, 1, row + 6, 40 + random.below(1000) as u32);
            }
            r.after(600 + random.below(4_000));
            if row == 77 && !slow && r.head > events / 2 {
                slow = true;
                r.now += 37_000_000;
            }
            let other = 2 + random.below(200) as u32;
            if other != row && open[other as usize] && random.below(4) == 0 {
                r.wake((other, generations[other as usize]), row);
                finish(&mut r, task, &mut open, &mut generations, &mut random);
                let other = (other, generations[other as usize]);
                r.after(80).begin(other, 3, row);
                r.after(900)
                    .wait(other, "Receiver::recv", "src/channel.rs:41:20", 4, 0);
            } else {
                finish(&mut r, task, &mut open, &mut generations, &mut random);
            }
        }
    }
    r.turn(u32::MAX, 1_000_000, 0);
    r
}

/// Ends the poll of a connection, and sometimes the connection.
fn finish(
    r: &mut Recorder,
    task: (u32, u8),
    open: &mut [bool],
    generations: &mut [u8],
    random: &mut Random,
) {
    let row = task.0 as usize;
    if task.0 != 77 && random.below(60) == 0 {
        r.event(17, 0, task.0 + 6, task.0);
        r.after(200).end(task, 1);
        open[row] = false;
        generations[row] = generations[row].wrapping_add(1);
    } else {
        r.after(200)
            .wait(task, "TcpStream::read", ECHO, 1, task.0 + 6);
    }
}

/// A recording whose names and places are markup, control characters and other surprises.
pub fn hostile() -> Recorder {
    let mut r = Recorder::new(256);
    let names = [
        "</script><img src=x onerror=\"document.title='owned'\">",
        "{{SCRIPT}}",
        "<b>bold</b> & \"quoted\" 'single'",
        "\u{1b}[31mred\u{7}",
        "\u{202e}txet sdrawkcab\u{2028}",
        "-->]]><![CDATA[",
    ];
    for (index, name) in names.iter().enumerate() {
        let task = (index as u32 + 1, 0);
        r.after(1_000).spawn(task, &format!("{name}.rs:1:1"));
        r.name(task, name);
        r.after(100).begin(task, 0, 0);
        r.after(5_000)
            .wait(task, name, &format!("src/{name}.rs:{index}:1"), 1, 9);
    }
    let peer = r.text(names[0]);
    r.event(26, 0, 9, peer);
    r.after(100).turn(u32::MAX, 10_000, 0);
    r
}

/// Numbers that are the same in each run (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
