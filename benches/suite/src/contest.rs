//! Who takes part: the servers, and the runtimes of the micro-benchmarks; their names, and the
//! colours by which the plots tell them apart.

use plotters::style::RGBColor;

/// The one that says what the kernel alone costs.
pub(crate) const FLOOR: &str = "raw epoll";
/// The same program with a larger buffer, so that the two together show how much is noise.
pub(crate) const FLOOR_TWIN: &str = "raw epoll 64K";
/// The rival that everybody asks about.
pub(crate) const TOKIO: &str = "tokio current-thread";

/// An echo server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// A program of ours; `None` is Wakeful's own `echo-server`.
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

/// The real program.
pub(crate) const ECHO_SERVER: Contestant = Contestant {
    name: "wakeful echo-server",
    program: None,
    arguments: &["127.0.0.1:0"],
};

/// The same, which looks again for a while before it sleeps.
pub(crate) const BUSY: Contestant = Contestant {
    name: "echo-server, busy poll",
    program: None,
    arguments: &["127.0.0.1:0", "--busy-poll", "100us"],
};

/// Wakeful as its README uses it.
pub(crate) const MINIMAL: Contestant = server("wakeful minimal", "server-wakeful");

/// All of them. Those with a runtime read at most 16 KiB at once; `echo-server` shares a buffer of
/// 64 KiB, which is why the floor takes part with either.
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

/// A runtime in the micro-benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    /// Its name on the command line of the micro-benchmarks.
    pub(crate) argument: &'static str,
}

/// All of them.
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

/// Something with a name, to be selected by it.
pub(crate) trait Named: Copy {
    fn name(&self) -> &'static str;

    /// Whether it takes part in every round, or sitting. The others are variants of somebody who does,
    /// or far from the best: a few rounds place them well enough.
    fn in_every_round(&self) -> bool {
        !SELDOM.contains(&self.name())
    }
}

/// Who takes part in every third round, or sitting, only.
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

/// The colour of a contestant: the same one in all plots.
pub(crate) fn colour(name: &str) -> RGBColor {
    match name {
        "wakeful" | "wakeful echo-server" | "echo-server, 1 thread" => RGBColor(200, 30, 40),
        "wakeful minimal" | "echo-server, 2 threads" => RGBColor(240, 130, 120),
        "echo-server, busy poll" => RGBColor(250, 90, 160),
        FLOOR => RGBColor(30, 30, 30),
        FLOOR_TWIN => RGBColor(140, 140, 140),
        TOKIO => RGBColor(20, 80, 180),
        "tokio LocalSet" => RGBColor(90, 150, 225),
        "tokio LocalRuntime" => RGBColor(150, 200, 240),
        "smol" => RGBColor(40, 140, 60),
        "monoio epoll" => RGBColor(230, 150, 20),
        "glommio io_uring" => RGBColor(150, 90, 40),
        "compio polling" => RGBColor(130, 60, 160),
        "thread per connection" => RGBColor(110, 170, 150),
        _ => RGBColor(90, 90, 90),
    }
}
