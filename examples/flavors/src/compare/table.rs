//! The tables, in Markdown, and what their figures mean.

use std::fmt::Write;

use super::load::Load;
use super::result::{Cell, Comparison, Measured};

/// A load, as a column is called.
pub(crate) fn in_words(load: &Load) -> String {
    words(load.clients, load.slow_reader, load.idle_clients)
}

fn words(clients: usize, slow_reader: bool, idle_clients: usize) -> String {
    let mut words = format!("{} client{}", number(clients as f64), plural(clients));
    if slow_reader {
        words += " + slow reader";
    }
    if idle_clients > 0 {
        let _infallible = write!(words, " + {} silent", number(idle_clients as f64));
    }
    words
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// All of it.
pub(crate) fn table(found: &Comparison) -> String {
    let mut text = String::new();
    let mut say = |paragraph: String| {
        text += &paragraph;
        text += "\n\n";
    };
    say(machine(found));
    if let Some(remark) = &found.remark {
        say(format!("**{remark}**"));
    }
    let plain = |cell: &Cell| !cell.slow_reader && cell.idle_clients == 0;
    say("### Requests per second".to_owned());
    say(grid(found, plain, |cell| number(cell.per_second())));
    say("With a client beside them that asks for 200 MiB and reads none of it:".to_owned());
    say(grid(
        found,
        |cell| cell.slow_reader,
        |cell| number(cell.per_second()),
    ));
    let among = |cell: &Cell| cell.idle_clients > 0;
    if found
        .models
        .iter()
        .any(|model| model.cells.iter().any(among))
    {
        say("Among clients that are connected and say nothing:".to_owned());
        say(grid(found, among, |cell| number(cell.per_second())));
    }
    say("### Time of a request: p50 / p99 / p99.9, in microseconds".to_owned());
    say(grid(found, plain, |cell| {
        [cell.p50_us, cell.p99_us, cell.p999_us]
            .map(|time| time.map_or("-".to_owned(), number))
            .join(" / ")
    }));
    say("### The server's CPU seconds per 100,000 requests".to_owned());
    say(grid(found, plain, |cell| {
        optional(cell.cpu_per_100_000(), 2)
    }));
    say("### Context switches per request".to_owned());
    say(grid(found, plain, |cell| {
        optional(cell.switches_per_request(), 2)
    }));
    say("### Threads, and resident memory in MiB".to_owned());
    say(grid(found, plain, |cell| {
        let mebibytes = cell.resident_kib as f64 / 1024.0;
        format!("{}, {mebibytes:.1}", number(cell.threads as f64))
    }));
    say("### System calls per request".to_owned());
    say(calls(found));
    say("### With clients that say nothing".to_owned());
    say(idle(found));
    say("### What the figures mean".to_owned());
    say(meaning(found));
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn machine(found: &Comparison) -> String {
    let (machine, method) = (&found.machine, &found.method);
    let mut text = format!(
        "Measured on {}: {}, {} core{}, Linux {}, {} build",
        machine.day(),
        machine.processor,
        machine.cores,
        plural(machine.cores),
        machine.kernel,
        if machine.optimised {
            "release"
        } else {
            "**debug**"
        },
    );
    text += if method.pinned {
        ", the server on one core and all clients on another."
    } else {
        ", the server and its clients **on one core**."
    };
    if method.quick {
        text += " **A quick run: the figures mean little.**";
    }
    text
}

/// A table of models by loads. Where not all clients were served, that is the figure.
fn grid(
    found: &Comparison,
    belongs: impl Fn(&Cell) -> bool,
    figure: impl Fn(&Cell) -> String,
) -> String {
    let loads: Vec<(usize, usize)> = found
        .models
        .iter()
        .find(|model| !model.cells.is_empty())
        .map(|model| model.cells.iter().filter(|cell| belongs(cell)))
        .into_iter()
        .flatten()
        .map(|cell| (cell.clients, cell.idle_clients))
        .collect();
    let heads = loads.iter().map(|load| words(load.0, false, load.1));
    rows(found, heads.collect(), |model| {
        let cells = model.cells.iter().filter(|cell| belongs(cell));
        cells
            .map(|cell| {
                if cell.holds() {
                    figure(cell)
                } else if cell.wrong > 0 {
                    format!("*{} wrong*", cell.wrong)
                } else {
                    format!(
                        "*serves {} of {}*",
                        cell.served,
                        number(cell.clients as f64)
                    )
                }
            })
            .collect()
    })
}

fn rows(
    found: &Comparison,
    heads: Vec<String>,
    cells: impl Fn(&Measured) -> Vec<String>,
) -> String {
    let mut lines = vec![
        format!("| model | {} |", heads.join(" | ")),
        format!("|---|{}", "---:|".repeat(heads.len())),
    ];
    for model in &found.models {
        let cells = match &model.skipped {
            Some(_) => vec!["*skipped*".to_owned(); heads.len()],
            None => cells(model),
        };
        lines.push(format!("| `{}` | {} |", model.name, cells.join(" | ")));
    }
    lines.join("\n")
}

fn calls(found: &Comparison) -> String {
    let Some(first) = found.models.iter().find(|model| !model.calls.is_empty()) else {
        return "Not counted: `strace` cannot be used on this machine.".to_owned();
    };
    let heads = first
        .calls
        .iter()
        .map(|calls| words(calls.clients, false, 0));
    rows(found, heads.collect(), |model| {
        let cells = model.calls.iter().map(|calls| {
            let Some(per_request) = &calls.per_request else {
                return "*does not serve them all*".to_owned();
            };
            let mut named: Vec<(&String, &f64)> = per_request.iter().collect();
            named.sort_by(|a, b| b.1.total_cmp(a.1));
            let named: Vec<String> = named
                .iter()
                .map(|(name, calls)| format!("{calls:.2} {name}"))
                .collect();
            format!("{}: {}", optional(calls.total(), 2), named.join(", "))
        });
        cells.collect()
    })
}

fn idle(found: &Comparison) -> String {
    let heads = [
        "silent clients",
        "accepted",
        "CPU, % of a core",
        "context switches per second",
        "threads",
        "memory per client, KiB",
    ];
    rows(found, heads.map(ToOwned::to_owned).into(), |model| {
        model
            .idle
            .iter()
            .flat_map(|idle| {
                [
                    number(idle.clients as f64),
                    number(idle.accepted as f64),
                    format!("{:.1}", idle.cpu_percent()),
                    number(idle.switches as f64 / idle.seconds),
                    number(idle.threads as f64),
                    if idle.accepted == idle.clients {
                        optional(idle.kib_per_client(), 1)
                    } else {
                        "-".to_owned()
                    },
                ]
            })
            .collect()
    })
}

fn meaning(found: &Comparison) -> String {
    let method = &found.method;
    let busy: Vec<f64> = found
        .models
        .iter()
        .flat_map(|model| &model.cells)
        .filter(|cell| cell.holds() && cell.clients >= 100)
        .map(|cell| cell.client_cpu_seconds / cell.seconds * 100.0)
        .collect();
    let most = busy.iter().copied().fold(0.0, f64::max);
    let mut lines = vec![
        format!(
            "**Client**: has one request in flight; puts {} bytes under its own key, gets them back, \
             and so on. Each load meets a fresh server, runs {:.2} s before anything counts and then \
             {:.2} s. All clients run on one thread. With 100 clients or more their core was up to \
             {most:.0} % busy: near 100 %, requests per second say how fast the clients are, and the \
             server's CPU seconds are the better figure.",
            method.value_bytes, method.warm_up_seconds, method.measured_seconds,
        ),
        "**Serves n of m**: the load was tried, and only n of its m clients had any answer while it \
         counted. There is no other figure to give then."
            .to_owned(),
        "**Time of a request**: from before the client's `send` until it has the whole answer; it \
         includes the client's own wait for its turn, which with many clients is most of it."
            .to_owned(),
        "**CPU seconds**: user and system time of the server's process, in steps of 10 ms.".to_owned(),
        "**Context switches**: of all the server's threads, by themselves (to wait) or not."
            .to_owned(),
        "**Memory**: what is resident, at the end of the load. **Per client**: the difference to the \
         same server before they came."
            .to_owned(),
        "**System calls**: counted by `strace`, of 2n requests less those of n. The clients ask all at \
         the same time, and again a little later, when the server has long had nothing to do: one client \
         shows what a single request takes, a hundred show what is shared by those that are ready \
         together. `strace` makes each call many times slower: a server that asks again and again gets \
         to ask far less often than in life."
            .to_owned(),
    ];
    for model in &found.models {
        if let Some(reason) = &model.skipped {
            lines.push(format!("**`{}` skipped**: {reason}.", model.name));
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("- {line}")).collect();
    lines.join("\n")
}

fn optional(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
}

/// A whole number with its thousands apart.
pub(crate) fn number(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0.0, 999.4, 999.5, 1234.0, 1_234_567.0].map(number);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234", "1,234,567"]);
    }
}
