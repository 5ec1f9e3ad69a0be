//! The tables in Markdown, and the explanation of their values.

use std::fmt::Write;

use super::load::Load;
use super::result::{Cell, Comparison, Measured};

/// Returns the label of a load.
pub(crate) fn label(load: &Load) -> String {
    let clients = load.clients;
    let mut label = format!("{} client{}", number(clients as f64), plural(clients));
    if load.slow_reader {
        label += " + slow reader";
    }
    if load.idle_clients > 0 {
        let _infallible = write!(label, " + {} idle", number(load.idle_clients as f64));
    }
    label
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Returns the machine, all tables and their explanation.
pub(crate) fn table(found: &Comparison) -> String {
    let mut paragraphs = vec![machine(found)];
    if let Some(remark) = &found.remark {
        paragraphs.push(format!("**{remark}**"));
    }
    paragraphs.push("### Requests per second".to_owned());
    paragraphs.extend(throughput(found));
    let sections = [
        (
            "Request time: p50 / p99 / p99.9, in microseconds",
            times(found),
        ),
        ("CPU seconds of the server per 100,000 requests", cpu(found)),
        ("Context switches per request", switches(found)),
        ("Threads, and resident memory in MiB", resources(found)),
        ("System calls per request", calls(found)),
        ("Idle clients", idle(found)),
        ("Explanation", explanation(found)),
    ];
    for (heading, section) in sections {
        paragraphs.push(format!("### {heading}"));
        paragraphs.push(section);
    }
    paragraphs.join("\n\n") + "\n"
}

/// Selects the cells without a slow reader and without idle clients.
fn plain(cell: &Cell) -> bool {
    !cell.slow_reader && cell.idle_clients == 0
}

fn throughput(found: &Comparison) -> Vec<String> {
    let rate = |cell: &Cell| number(cell.per_second());
    let mut paragraphs = vec![
        grid(found, plain, rate),
        "With a further client that requests 200 MiB and reads nothing:".to_owned(),
        grid(found, |cell| cell.slow_reader, rate),
    ];
    let with_idle = |cell: &Cell| cell.idle_clients > 0;
    let mut cells = found.models.iter().flat_map(|model| &model.cells);
    if cells.any(with_idle) {
        paragraphs.push("With further clients that are connected and idle:".to_owned());
        paragraphs.push(grid(found, with_idle, rate));
    }
    paragraphs
}

fn times(found: &Comparison) -> String {
    grid(found, plain, |cell| {
        [cell.p50_us, cell.p99_us, cell.p999_us]
            .map(|time| time.map_or("-".to_owned(), number))
            .join(" / ")
    })
}

fn cpu(found: &Comparison) -> String {
    grid(found, plain, |cell| optional(cell.cpu_per_100_000(), 2))
}

fn switches(found: &Comparison) -> String {
    grid(found, plain, |cell| {
        optional(cell.switches_per_request(), 2)
    })
}

fn resources(found: &Comparison) -> String {
    grid(found, plain, |cell| {
        let mebibytes = cell.resident_kib as f64 / 1024.0;
        format!("{}, {mebibytes:.1}", number(cell.threads as f64))
    })
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
        if machine.optimized {
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
        text += " **A quick run: the numbers mean little.**";
    }
    text
}

/// Returns a table of models by loads. A cell without a value has the number of served clients.
fn grid(
    found: &Comparison,
    belongs: impl Fn(&Cell) -> bool,
    value: impl Fn(&Cell) -> String,
) -> String {
    let loads: Vec<Load> = found
        .models
        .iter()
        .find(|model| !model.cells.is_empty())
        .map(|model| model.cells.iter().filter(|cell| belongs(cell)))
        .into_iter()
        .flatten()
        .map(|cell| Load {
            clients: cell.clients,
            // Stated in the text above the table.
            slow_reader: false,
            idle_clients: cell.idle_clients,
        })
        .collect();
    rows(found, loads.iter().map(label).collect(), |model| {
        let cells = model.cells.iter().filter(|cell| belongs(cell));
        cells
            .map(|cell| {
                if cell.all_served() {
                    value(cell)
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
    let heads = first.calls.iter().map(|calls| {
        label(&Load {
            clients: calls.clients,
            ..Load::default()
        })
    });
    rows(found, heads.collect(), |model| {
        let cells = model.calls.iter().map(|calls| {
            let Some(per_request) = &calls.per_request else {
                return "*does not serve all clients*".to_owned();
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
        "idle clients",
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

/// Returns by how many percent measurements of ten clients differ that should be equal: alone, beside a
/// slow reader, and beside idle clients. `None` if no model has two of them.
pub(super) fn repeatability(found: &Comparison) -> Option<f64> {
    let difference = |model: &Measured| {
        let cells = model.cells.iter();
        let cells = cells.filter(|cell| cell.clients == 10 && cell.all_served());
        spread(&cells.map(Cell::per_second).collect::<Vec<_>>())
    };
    found.models.iter().filter_map(difference).reduce(f64::max)
}

/// Returns by how many percent the largest value exceeds the smallest.
fn spread(values: &[f64]) -> Option<f64> {
    let min = values.iter().copied().reduce(f64::min)?;
    let max = values.iter().copied().reduce(f64::max)?;
    (values.len() > 1 && min > 0.0).then(|| (max / min - 1.0) * 100.0)
}

/// Returns the list that explains the values, and why models were skipped.
fn explanation(found: &Comparison) -> String {
    let method = &found.method;
    let busy: Vec<f64> = found
        .models
        .iter()
        .flat_map(|model| &model.cells)
        .filter(|cell| cell.all_served() && cell.clients >= 100)
        .map(|cell| cell.client_cpu_seconds / cell.seconds * 100.0)
        .collect();
    let max = busy.iter().copied().fold(0.0, f64::max);
    let mut lines = vec![
        format!(
            "**Client**: has one request in flight and alternates between a put of {} bytes under \
             its own key and a get of them. Each load has a new server, {:.2} s of warm-up and \
             {:.2} s of measurement. All clients run on one thread. With 100 clients or more, the \
             clients' core was up to {max:.0} % busy. Near 100 %, the clients limit the requests \
             per second; compare the server's CPU seconds instead.",
            method.value_bytes, method.warm_up_seconds, method.measured_seconds,
        ),
        "**Serves n of m**: only n of the m clients had an answer during the measurement, so there \
         is no other value."
            .to_owned(),
        "**Request time**: from before the client's `send` to the end of the answer. It includes \
         the time until the client's task runs, which with many clients is most of it."
            .to_owned(),
        "**CPU seconds**: user and system time of the server process, in steps of 10 ms."
            .to_owned(),
        "**Context switches**: of all threads of the server, voluntary (to wait) and involuntary."
            .to_owned(),
        "**Memory**: resident memory at the end of the load. **Per client**: the difference to the \
         memory before the clients connected."
            .to_owned(),
        "**System calls**: counted by `strace`, as the difference of 2n requests and n requests. \
         All clients send a request at the same time, and again after a pause in which the server \
         is idle. One client shows the calls of a single request; a hundred show the calls that \
         are shared by clients that are ready together. `strace` makes each call many times \
         slower, so a server that retries without waiting makes far fewer calls than otherwise."
            .to_owned(),
    ];
    if let Some(percent) = repeatability(found) {
        lines.push(format!(
            "**Noise**: each cell was measured once. Ten clients alone, ten beside a slow reader and \
             ten beside idle clients should have the same throughput if the server serves all of \
             them. They differ by up to {percent:.0} %, in both directions. So a smaller difference \
             between two cells shows nothing. In particular, no model is faster beside a slow reader: a \
             model either serves the others as before, or does not serve them."
        ));
    }
    for model in &found.models {
        if let Some(reason) = &model.skipped {
            lines.push(format!("**`{}` skipped**: {reason}.", model.name));
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("- {line}")).collect();
    lines.join("\n")
}

/// Formats a value, or a dash if there is none.
fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Formats an integer with commas between the thousands.
pub(crate) fn number(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
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
    fn a_spread_needs_two_values() {
        assert_eq!(spread(&[8.0, 10.0, 9.0]), Some(25.0));
        assert_eq!(spread(&[8.0]), None);
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn thousands_are_separated_by_commas() {
        let numbers = [0.0, 999.4, 999.5, 1234.0, 1_234_567.0].map(number);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234", "1,234,567"]);
    }
}
