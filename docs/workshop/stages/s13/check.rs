//! The check of stage 13: every sequence of six operations, compared with a list of what must be there.

use probe::{Case, Diagnosis, Outcome, Picture, Stage, Trace, expect, fail};
use stage::{Key, Table};

/// Operations of a sequence.
const LENGTH: u32 = 6;

static STAGE: Stage = Stage {
    number: 13,
    diagnoses: &[
        Diagnosis {
            id: "13.1",
            what: "a stale key found the value of another key",
            why: "`get` has to compare the generation of the key with that of the row",
            section: "A number can be stale",
            function: "get",
        },
        Diagnosis {
            id: "13.2",
            what: "a stale key removed the value of another key",
            why: "`remove` has to compare the generation of the key with that of the row",
            section: "A number can be stale",
            function: "remove",
        },
        Diagnosis {
            id: "13.3",
            what: "the table grows although rows are vacant",
            why: "a row that was left has to be given to the next value",
            section: "Rows are used again",
            function: "insert",
        },
        Diagnosis {
            id: "13.4",
            what: "a very old key found a new value",
            why: "the generation went from the last number to the first one; such a row must retire",
            section: "When the generations are used up",
            function: "remove",
        },
        Diagnosis {
            id: "13.5",
            what: "one row was given to two values",
            why: "a second `remove` with the same key has put the row into the list of vacant rows again",
            section: "Rows are used again",
            function: "remove",
        },
        Diagnosis {
            id: "13.6",
            what: "a key changes on its way through a number",
            why: "index and generation need bits of their own, in both directions the same",
            section: "A key is a number",
            function: "to_u64",
        },
        Diagnosis {
            id: "13.7",
            what: "index and generation are in each other's place",
            why: "the low half of the number is the row: a trace and a token of epoll show it there",
            section: "A key is a number",
            function: "to_u64",
        },
    ],
    cases: &[
        Case { name: "a key is the same after a number", run: a_key_is_a_number },
        Case { name: "a stale key finds nothing", run: a_stale_key_finds_nothing },
        Case { name: "a row is given to one value", run: a_row_is_given_once },
        Case { name: "rows are used again", run: rows_are_used_again },
        Case { name: "a used up row retires", run: a_used_up_row_retires },
        Case { name: "the index is the low half", run: the_index_is_the_low_half },
        Case { name: "every sequence of six operations", run: every_sequence },
    ],
    panics: &[("overflow", "13.4")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

fn steps(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|step| (*step).to_owned()).collect()
}

fn a_key_is_a_number() -> Outcome {
    let mut table = Table::new();
    for value in 0..300 {
        let key = table.insert(value);
        let other = Key::from_u64(key.to_u64());
        if other != key {
            let seen = format!("{key:?} became {other:?}");
            return fail("13.6", Vec::new(), format!("{key:?}"), seen);
        }
        if value % 3 > 0 {
            table.remove(key);
        }
    }
    Ok(())
}

fn the_index_is_the_low_half() -> Outcome {
    let mut table = Table::new();
    let (a, b) = (table.insert("a"), table.insert("b"));
    table.remove(b);
    let c = table.insert("c");
    let seen = [a, b, c].map(|key| format!("{:#x}", key.to_u64())).join(", ");
    let expected = "0x0, 0x1, 0x100000001";
    if seen != expected {
        let steps =
            steps(&["insert a", "insert b", "remove b", "insert c", "their keys as numbers"]);
        return fail("13.7", steps, expected, seen);
    }
    Ok(())
}

fn a_stale_key_finds_nothing() -> Outcome {
    let mut table = Table::new();
    let old = table.insert("first");
    table.remove(old);
    let new = table.insert("second");
    let steps = steps(&["insert first", "remove it", "insert second", "use the key of first"]);
    if let Some(seen) = table.get(old) {
        return fail("13.1", steps, "None", format!("{seen:?}"));
    }
    if let Some(seen) = table.remove(old) {
        return fail("13.2", steps, "None", format!("{seen:?} was removed"));
    }
    expect(steps, "Some(\"second\")", &format!("{:?}", table.get(new)))
}

fn a_row_is_given_once() -> Outcome {
    let mut table = Table::new();
    let old = table.insert("first");
    table.remove(old);
    table.remove(old);
    let (second, third) = (table.insert("second"), table.insert("third"));
    let steps = steps(&["insert first", "remove it twice", "insert second", "insert third"]);
    let seen = format!("{:?}, {:?}", table.get(second), table.get(third));
    if second == third || seen != "Some(\"second\"), Some(\"third\")" {
        return fail("13.5", steps, "second, third", seen);
    }
    Ok(())
}

fn rows_are_used_again() -> Outcome {
    let mut table = Table::new();
    for value in 0..100 {
        let key = table.insert(value);
        table.remove(key);
    }
    match table.row_count() {
        1 => Ok(()),
        rows => fail("13.3", Vec::new(), "1 row", format!("{rows} rows for one value at a time")),
    }
}

fn a_used_up_row_retires() -> Outcome {
    let mut table = Table::new();
    let first = table.insert(0);
    table.remove(first);
    for value in 1..1_000 {
        let key = table.insert(value);
        if let Some(seen) = table.get(first) {
            let seen = format!("the key of value 0 found value {seen}");
            return fail("13.4", Vec::new(), "None", seen);
        }
        table.remove(key);
    }
    if table.row_count() > 5 {
        return fail("13.3", Vec::new(), "4 rows", format!("{} rows", table.row_count()));
    }
    Ok(())
}

/// Operation 0 inserts. Operation `n` removes with the key of the `n`-th insert, stale or not.
fn run(sequence: &[u32]) -> Outcome {
    let mut table = Table::new();
    let mut keys: Vec<(Key, u32, bool)> = Vec::new();
    let mut done = Vec::new();
    for &operation in sequence {
        if operation == 0 {
            let value = keys.len() as u32;
            done.push(format!("insert {value}"));
            keys.push((table.insert(value), value, true));
        } else if let Some((key, value, there)) = keys.get_mut(operation as usize - 1) {
            done.push(format!("remove {value}"));
            let removed = table.remove(*key);
            if removed.is_some_and(|removed| removed != *value) {
                return fail("13.2", done, format!("{value}, or None"), format!("{removed:?}"));
            }
            let expected = std::mem::take(there).then_some(*value);
            expect(done.clone(), &format!("{expected:?}"), &format!("{removed:?}"))?;
        }
        for (key, value, there) in &keys {
            let (expected, seen) = (there.then_some(value), table.get(*key));
            if expected != seen {
                let id = if seen.is_some() && !there { "13.1" } else { "" };
                done.push(format!("get {value}"));
                return fail(id, done, format!("{expected:?}"), format!("{seen:?}"));
            }
        }
    }
    Ok(())
}

fn every_sequence() -> Outcome {
    let kinds = LENGTH;
    for number in 0..kinds.pow(LENGTH) {
        let sequence: Vec<u32> =
            (0..LENGTH).map(|place| number / kinds.pow(place) % kinds).collect();
        run(&sequence)?;
    }
    Ok(())
}

const PICTURE: Picture = Picture {
    title: "A key that is stale",
    description: "Value a leaves row 0, and value c comes into it. The key of c has the next generation, so the \
                  key of a finds nothing.",
    lanes: &["program", "row 0", "row 1"],
    run: || {
        let parts = |key: Key| (key.to_u64() & 0xffff_ffff, key.to_u64() >> 32);
        let name = |key: Key| format!("{}.{}", parts(key).0, parts(key).1);
        let row = |key: Key| if parts(key).0 == 0 { "row0" } else { "row1" };
        let (mut table, trace) = (Table::new(), Trace::new());
        let insert = |table: &mut Table<&'static str>, value: &'static str| {
            let key = table.insert(value);
            trace.note(format!("program insert {value}: key {}", name(key)));
            trace.note(format!("{} {value}, generation {}", row(key), parts(key).1));
            key
        };
        let a = insert(&mut table, "a");
        insert(&mut table, "b");
        table.remove(a);
        trace.note(format!("program remove key {}", name(a)));
        trace.note(format!("{} vacant", row(a)));
        let c = insert(&mut table, "c");
        for key in [a, c] {
            trace.note(format!("program get key {}: {:?}", name(key), table.get(key)));
        }
        probe::lanes(&trace.steps(), &["program", "row0", "row1"])
    },
};
