//! A validator for the part of JSON Schema that `docs/dump.schema.json` uses. The crates for it are larger
//! than everything that these tests depend on.

use serde_json::Value;

/// Keywords that say nothing about the value.
const NOTES: [&str; 4] = ["$schema", "$defs", "title", "description"];

/// Returns what of `value` does not fit the schema, one line each.
///
/// # Panics
///
/// When the schema has a keyword that this does not know.
#[must_use]
pub fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let keywords = schema.as_object().expect("a schema is an object");
    for (keyword, rule) in keywords {
        let fits = match &**keyword {
            note if NOTES.contains(&note) => true,
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#'));
                let target = path.and_then(|path| root.pointer(path));
                check(root, target.expect("a definition"), value, at, found);
                true
            }
            "const" => value == rule,
            "enum" => elements(rule).contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_type(value, name)),
                name => is_type(value, name),
            },
            "minimum" => value
                .as_f64()
                .is_none_or(|number| Some(number) >= rule.as_f64()),
            // The one pattern is that of an id.
            "pattern" => value.as_str().is_none_or(is_id),
            "anyOf" => elements(rule).iter().any(|schema| {
                let mut others = Vec::new();
                check(root, schema, value, at, &mut others);
                others.is_empty()
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}/{index}"), found);
                }
                true
            }
            "required" => elements(rule)
                .iter()
                .all(|name| value.get(text(name)).is_some()),
            "additionalProperties" => {
                let known = |name: &String| schema["properties"].get(name).is_some();
                *rule != Value::Bool(false)
                    || value.as_object().is_none_or(|all| all.keys().all(known))
            }
            "properties" => {
                for (name, schema) in rule.as_object().expect("schemas by name") {
                    if let Some(value) = value.get(name) {
                        check(root, schema, value, &format!("{at}/{name}"), found);
                    }
                }
                true
            }
            other => panic!("the keyword {other:?} is not known"),
        };
        if !fits {
            found.push(format!("{at}: {keyword} {rule}: {value}"));
        }
    }
}

fn elements(list: &Value) -> &[Value] {
    list.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn is_type(value: &Value, name: &Value) -> bool {
    match text(name) {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the type {other:?} is not known"),
    }
}

/// Returns whether a text is a row and a generation.
fn is_id(id: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    id.split_once('.')
        .is_some_and(|(row, generation)| is_number(row) && is_number(generation))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_keyword_finds_a_violation() {
        let schema = json!({
            "$ref": "#/$defs/object",
            "$defs": {
                "object": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["one"],
                    "properties": {
                        "one": { "const": 1 },
                        "id": { "type": "string", "pattern": "^[0-9]+\\.[0-9]+$" },
                        "list": { "type": "array", "items": { "type": ["integer", "null"], "minimum": 0 } },
                        "any": { "anyOf": [{ "enum": ["a"] }, { "type": "boolean" }] }
                    }
                }
            }
        });
        let good = json!({ "one": 1, "id": "3.0", "list": [0, null], "any": true });
        assert_eq!(violations(&schema, &good), [""; 0]);
        for bad in [
            json!([]),
            json!({}),
            json!({ "one": 2 }),
            json!({ "one": 1, "more": 1 }),
            json!({ "one": 1, "id": "3" }),
            json!({ "one": 1, "id": 3 }),
            json!({ "one": 1, "list": [-1] }),
            json!({ "one": 1, "list": [1.5] }),
            json!({ "one": 1, "any": "b" }),
        ] {
            assert!(!violations(&schema, &bad).is_empty(), "{bad}");
        }
    }
}
