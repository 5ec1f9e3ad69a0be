//! The list of tests that do not run in every world: `list.txt`.

use std::collections::BTreeMap;
use std::fmt;

/// Sections of names. A line `without WORDS: REASON` or `exceptions: REASON` begins one; the names are indented.
pub(crate) const LIST: &str = include_str!("list.txt");

/// What worlds are without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Without {
    /// Bytes arrive as they were sent, and no call fails by a fault.
    pub(crate) pieces: bool,
    /// What is sent has arrived when the call returns. Includes `pieces`.
    pub(crate) delays: bool,
    /// Tasks and events come in the order in which they became ready.
    pub(crate) order: bool,
}

impl Without {
    /// Returns the worlds that are most like the kernel on loopback.
    pub(crate) fn everything() -> Self {
        Without {
            pieces: true,
            delays: true,
            order: true,
        }
    }

    /// Returns all kinds of worlds, those with most first.
    pub(crate) fn all() -> Vec<Self> {
        let kind = |pieces, delays, order| Without {
            pieces,
            delays,
            order,
        };
        vec![
            kind(false, false, false),
            kind(true, false, false),
            kind(false, false, true),
            kind(true, false, true),
            kind(true, true, false),
            kind(true, true, true),
        ]
    }

    /// Reads `1`, which is everything a world has, or `without WORDS`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut without = Without::default();
        if text == "1" {
            return Ok(without);
        }
        let words = text.strip_prefix("without ");
        for word in words.ok_or_else(|| unknown(text))?.split(' ') {
            match word {
                "pieces" => without.pieces = true,
                "delays" => (without.pieces, without.delays) = (true, true),
                "order" => without.order = true,
                _ => return Err(unknown(text)),
            }
        }
        Ok(without)
    }

    /// Returns the worlds that have one more of what these are without.
    pub(crate) fn each_with_one_more(&self) -> Vec<Self> {
        let mut more = Vec::new();
        if self.order {
            more.push(Without {
                order: false,
                ..self.clone()
            });
        }
        if self.delays {
            more.push(Without {
                delays: false,
                ..self.clone()
            });
        } else if self.pieces {
            more.push(Without {
                pieces: false,
                ..self.clone()
            });
        }
        more
    }
}

fn unknown(text: &str) -> String {
    format!("`{text}`: expected `1`, or `without` and some of `pieces`, `delays`, `order`")
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Without::default() {
            return f.write_str("1");
        }
        f.write_str("without")?;
        if self.delays {
            f.write_str(" delays")?;
        } else if self.pieces {
            f.write_str(" pieces")?;
        }
        if self.order {
            f.write_str(" order")?;
        }
        Ok(())
    }
}

/// Where a test is on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    Without(Without),
    Exception,
}

/// The list by name.
#[derive(Debug)]
pub(crate) struct List(BTreeMap<String, Place>);

impl List {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut places = BTreeMap::new();
        let mut section = None;
        for line in text.lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(name) = line.strip_prefix("    ") else {
                let (words, reason) = line.split_once(": ").unwrap_or((line, ""));
                if reason.is_empty() {
                    return Err(format!("list.txt: `{line}` has no reason"));
                }
                section = Some(match words {
                    "exceptions" => Place::Exception,
                    words => Place::Without(Without::parse(words)?),
                });
                continue;
            };
            let place = section.clone();
            let place = place.ok_or_else(|| format!("list.txt: `{name}` is in no section"))?;
            if places.insert(name.to_owned(), place).is_some() {
                return Err(format!("list.txt: `{name}` is in two places"));
            }
        }
        Ok(List(places))
    }

    pub(crate) fn place(&self, name: &str) -> Place {
        self.0.get(name).cloned().unwrap_or(Place::Nowhere)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns a line about `all` tests.
    pub(crate) fn summary(&self, all: usize) -> String {
        let places = self.0.values();
        let exceptions = places.filter(|place| **place == Place::Exception).count();
        let (listed, run) = (self.0.len(), all - exceptions);
        format!(
            "tests in the world: {run} of {all}, {exceptions} exceptions; {} of them with all faults",
            all - listed
        )
    }
}

#[::core::prelude::v1::test]
fn a_list_has_sections_with_reasons() {
    let list =
        "# note\nwithout order pieces: they are equal\n    a::b\nexceptions: no world\n    c\n";
    let list = List::parse(list).expect("a list");
    let Place::Without(without) = list.place("a::b") else {
        panic!("{list:?}");
    };
    assert_eq!(without.to_string(), "without pieces order");
    let more: Vec<String> = without
        .each_with_one_more()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(more, ["without pieces", "without order"]);
    assert_eq!(list.place("c"), Place::Exception);
    assert_eq!(list.place("a"), Place::Nowhere);
    assert_eq!(list.names().collect::<Vec<_>>(), ["a::b", "c"]);
    assert_eq!(
        list.summary(5),
        "tests in the world: 4 of 5, 1 exceptions; 3 of them with all faults"
    );
    for (text, error) in [
        ("    a", "`a` is in no section"),
        ("exceptions:\n    a", "`exceptions:` has no reason"),
        ("exceptions: x\n    a\n    a", "`a` is in two places"),
        ("without speed: x", "`without speed`: expected"),
        ("sometimes: x", "`sometimes`: expected"),
    ] {
        let message = List::parse(text).expect_err(text);
        assert!(message.contains(error), "{message}");
    }
}
