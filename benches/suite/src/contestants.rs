//! The contestants: servers, and runtimes of the micro-benchmarks, with their names and plot colors.

use plotters::style::RGBColor;

/// The floor: the cost of the kernel alone.
pub(crate) const FLOOR: &str = "raw epoll";
/// The same program with a larger buffer. The difference between the two shows the noise.
pub(crate) const FLOOR_TWIN: &str = "raw epoll 64K";
/// The rival that most ratios refer to.
pub(crate) const TOKIO: &str = "tokio current-thread";

/// The fastest of the other rivals.
pub(crate) const MONOIO: &str = "monoio epoll";

/// An echo server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// Name of a program of this workspace, or `None` for Wakeful's `echo-server`.
    pub(crate) program: Option<&'static str>,
    pub(crate) arguments: &'static [&'static str],
}

const fn server(name: &'static str, program: &'static str) -> Contestant {
    Contestant {
        name,
        program: Some(program),
        arguments: &[],
    }
}

/// The program `echo-server`.
pub(crate) const ECHO_SERVER: Contestant = Contestant {
    name: "wakeful echo-server",
    program: None,
    arguments: &["127.0.0.1:0"],
};

/// The same program with busy polling: it polls for a while before it sleeps.
pub(crate) const BUSY: Contestant = Contestant {
    name: "echo-server, busy poll",
    program: None,
    arguments: &["127.0.0.1:0", "--busy-poll", "100us"],
};

/// The handler of Wakeful's README.
pub(crate) const MINIMAL: Contestant = server("wakeful minimal", "server-wakeful");

/// All servers. They read at most 16 KiB at once, except `echo-server`, which shares a buffer of
/// 64 KiB. Therefore the floor takes part with both sizes.
pub(crate) const SERVERS: [Contestant; 11] = [
    server(FLOOR, "server-raw-epoll"),
    Contestant {
        name: FLOOR_TWIN,
        program: Some("server-raw-epoll"),
        arguments: &["--buffer", "65535"],
    },
    ECHO_SERVER,
    MINIMAL,
    server(TOKIO, "server-tokio-current-thread"),
    server("tokio LocalSet", "server-tokio-local-set"),
    server("tokio LocalRuntime", "server-tokio-local-runtime"),
    server("smol", "server-smol"),
    server("monoio epoll", "server-monoio"),
    server("compio polling", "server-compio"),
    server("thread per connection", "server-threads"),
];

/// The floor of datagrams: blocking calls, one datagram each.
pub(crate) const RAW_LOOP: &str = "raw loop";

/// The servers of datagrams.
pub(crate) const UDP_SERVERS: [Contestant; 4] = [
    server(RAW_LOOP, "server-udp-raw"),
    Contestant {
        name: "raw loop, segments",
        program: Some("server-udp-raw"),
        arguments: &["--segments"],
    },
    Contestant {
        name: ECHO_SERVER.name,
        program: None,
        arguments: &["udp://127.0.0.1:0"],
    },
    server(TOKIO, "server-udp-tokio"),
];

/// The floor of relays: a loop around epoll(7) and splice(2).
pub(crate) const RAW_SPLICE: &str = "raw splice";

/// The relays.
pub(crate) const RELAYS: [Contestant; 4] = [
    server(RAW_SPLICE, "server-relay-raw"),
    server("wakeful", "server-relay-wakeful"),
    Contestant {
        name: "wakeful, copy",
        program: Some("server-relay-wakeful"),
        arguments: &["--copy"],
    },
    server(TOKIO, "server-relay-tokio"),
];

/// The servers of HTTP: hyper 1 or an axum router, by version and by framework ([`crate::parts`]).
pub(crate) const HTTP_SERVERS: [Contestant; 2] = [
    server(RUNTIMES[0].name, "server-http-wakeful"),
    server(TOKIO, "server-http-tokio"),
];

/// The servers that have other work beside the echo.
pub(crate) const MIXED_SERVERS: [Contestant; 3] = [
    server(RUNTIMES[0].name, "server-mixed-wakeful"),
    server(TOKIO, "server-mixed-tokio"),
    server(MONOIO, "server-mixed-monoio"),
];

/// A runtime in the micro-benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    /// Name on the command line of the micro-benchmarks.
    pub(crate) argument: &'static str,
}

/// All runtimes of the micro-benchmarks.
pub(crate) const RUNTIMES: [Runtime; 8] = [
    Runtime {
        name: "wakeful",
        argument: "wakeful",
    },
    Runtime {
        name: TOKIO,
        argument: "tokio",
    },
    Runtime {
        name: "tokio LocalSet",
        argument: "tokio-local-set",
    },
    Runtime {
        name: "tokio LocalRuntime",
        argument: "tokio-local-runtime",
    },
    Runtime {
        name: "smol",
        argument: "smol",
    },
    Runtime {
        name: "monoio epoll",
        argument: "monoio",
    },
    Runtime {
        name: "glommio io_uring",
        argument: "glommio",
    },
    Runtime {
        name: "compio polling",
        argument: "compio",
    },
];

/// Wakeful while it records into memory, and while its loop is watched.
pub(crate) const RECORDED: &str = "wakeful, recorded";
pub(crate) const WATCHED: &str = "wakeful, watched";

/// The program `echo-server` while it records into a file.
pub(crate) const RECORDED_SERVER: &str = "echo-server, recorded";

/// Wakeful without and with what shows its work.
pub(crate) const EXPLAINED: [Runtime; 3] = [
    RUNTIMES[0],
    Runtime {
        name: RECORDED,
        argument: "wakeful-recorded",
    },
    Runtime {
        name: WATCHED,
        argument: "wakeful-watched",
    },
];

/// A contestant that is selected by its name.
pub(crate) trait Named: Copy {
    fn name(&self) -> &'static str;

    /// Returns whether the contestant takes part in every round, or run. The others are variants of
    /// one that does, or far slower than the best, so that fewer rounds are enough.
    fn in_every_round(&self) -> bool {
        takes_part_in_every_round(self.name())
    }
}

/// Contestants that take part only in every third round, or run.
const SELDOM: [&str; 5] = [
    "tokio LocalSet",
    "tokio LocalRuntime",
    "smol",
    "compio polling",
    "thread per connection",
];

impl Named for Contestant {
    fn name(&self) -> &'static str {
        self.name
    }
}

impl Named for Runtime {
    fn name(&self) -> &'static str {
        self.name
    }
}

/// Returns whether a contestant of this name takes part in every round, or run.
pub(crate) fn takes_part_in_every_round(name: &str) -> bool {
    !SELDOM.contains(&name)
}

/// Shape of a contestant's symbol in plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Circle,
    Square,
    /// A triangle that points up.
    Up,
    /// A triangle that points down.
    Down,
    Diamond,
    Cross,
    Plus,
}

/// Returns the symbol of a contestant: its shape, and whether it is filled. No two contestants have the
/// same, so that color is not needed to tell them apart.
pub(crate) fn shape(name: &str) -> (Shape, bool) {
    match name {
        FLOOR => (Shape::Square, true),
        FLOOR_TWIN => (Shape::Square, false),
        RAW_LOOP | RAW_SPLICE => (Shape::Square, true),
        "raw loop, segments" => (Shape::Square, false),
        "wakeful minimal" | "wakeful, copy" | "echo-server, 2 threads" => (Shape::Circle, false),
        RECORDED | RECORDED_SERVER => (Shape::Diamond, true),
        WATCHED => (Shape::Square, false),
        TOKIO => (Shape::Up, true),
        "tokio LocalSet" => (Shape::Up, false),
        "tokio LocalRuntime" => (Shape::Down, false),
        "smol" => (Shape::Diamond, true),
        "monoio epoll" => (Shape::Down, true),
        "glommio io_uring" => (Shape::Plus, true),
        "compio polling" => (Shape::Cross, true),
        "thread per connection" => (Shape::Diamond, false),
        _ => (Shape::Circle, true),
    }
}

/// Returns the color of a contestant, which is the same in all plots.
pub(crate) fn color(name: &str) -> RGBColor {
    match name {
        "wakeful" | "wakeful echo-server" | "echo-server, 1 thread" => RGBColor(200, 30, 40),
        "wakeful minimal" | "wakeful, copy" | "echo-server, 2 threads" => RGBColor(240, 130, 120),
        RECORDED | RECORDED_SERVER => RGBColor(230, 150, 20),
        WATCHED => RGBColor(130, 60, 160),
        "echo-server, busy poll" => RGBColor(250, 90, 160),
        FLOOR | RAW_LOOP | RAW_SPLICE => RGBColor(30, 30, 30),
        FLOOR_TWIN | "raw loop, segments" => RGBColor(140, 140, 140),
        TOKIO => RGBColor(20, 80, 180),
        "tokio LocalSet" => RGBColor(70, 130, 215),
        "tokio LocalRuntime" => RGBColor(100, 170, 220),
        "smol" => RGBColor(40, 140, 60),
        "monoio epoll" => RGBColor(230, 150, 20),
        "glommio io_uring" => RGBColor(150, 90, 40),
        "compio polling" => RGBColor(130, 60, 160),
        "thread per connection" => RGBColor(70, 145, 125),
        _ => RGBColor(90, 90, 90),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contestants_of_a_plot_differ_in_their_symbols() {
        let servers: Vec<&str> = SERVERS.iter().map(|one| one.name).collect();
        let runtimes: Vec<&str> = RUNTIMES.iter().map(|one| one.name).collect();
        let udp: Vec<&str> = UDP_SERVERS.iter().map(|one| one.name).collect();
        let relays: Vec<&str> = RELAYS.iter().map(|one| one.name).collect();
        let mixed: Vec<&str> = MIXED_SERVERS.iter().map(|one| one.name).collect();
        let explained: Vec<&str> = EXPLAINED.iter().map(|one| one.name).collect();
        for names in [servers, runtimes, udp, relays, mixed, explained] {
            for (place, name) in names.iter().enumerate() {
                let same = names[..place]
                    .iter()
                    .find(|other| shape(other) == shape(name));
                assert_eq!(same, None, "{name}");
            }
        }
    }
}
