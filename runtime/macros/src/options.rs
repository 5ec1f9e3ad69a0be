//! The options of an attribute: `start_paused = true, io_budget = 32`.

use std::iter::Peekable;

use proc_macro::token_stream::IntoIter;
use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

use crate::error::Error;

/// Methods of `Builder` with one argument, in the order of the alphabet.
const METHODS: [&str; 13] = [
    "auto_advance_despite_io",
    "busy_poll",
    "count_wakers",
    "deadlock_after",
    "enable_metrics_poll_time_histogram",
    "event_interval",
    "io_budget",
    "max_blocking_threads",
    "max_io_events_per_tick",
    "on_deadlock",
    "rng_seed",
    "start_paused",
    "unhandled_panic",
];

/// Options of tokio's attributes that choose among its runtimes.
const OF_OTHER_RUNTIMES: [&str; 2] = ["flavor", "worker_threads"];

/// The option of a test that is no method of `Builder`.
const SEEDS: &str = "seeds";

pub(crate) struct Options {
    /// Path of the package `wakeful`.
    path: TokenStream,
    /// Names of methods, and their arguments.
    calls: Vec<(Ident, TokenStream)>,
    /// Number of seeds with which a test runs.
    pub(crate) seeds: Option<TokenStream>,
}

impl Options {
    /// Parses the options of a test, or of a main function.
    pub(crate) fn parse(tokens: TokenStream, is_test: bool) -> Result<Self, Error> {
        let mut tokens = tokens.into_iter().peekable();
        let mut path = None;
        let mut seeds = None;
        let mut calls: Vec<(Ident, TokenStream)> = Vec::new();
        while let Some(token) = tokens.next() {
            let TokenTree::Ident(name) = token else {
                return Err(Error::new(
                    token.span(),
                    format!(
                        "an option has the form `name = value`; {}",
                        allowed(is_test)
                    ),
                ));
            };
            let text = name.to_string();
            check_name(&name, &text, is_test)?;
            let value = parse_value(&name, &mut tokens)?;
            if text == "crate" {
                path = Some(parse_path(&name, value)?);
            } else if text == SEEDS {
                seeds = Some((name, value));
            } else if calls.iter().any(|(other, _)| other.to_string() == text) {
                return Err(Error::new(
                    name.span(),
                    format!("the option `{text}` is there twice"),
                ));
            } else {
                calls.push((name, value));
            }
        }
        if let Some((name, _)) = &seeds
            && calls
                .iter()
                .any(|(method, _)| method.to_string() == "rng_seed")
        {
            let message = "`seeds` sets the seed of each run: remove `rng_seed`";
            return Err(Error::new(name.span(), message));
        }
        let default = || "::wakeful".parse().expect("a path");
        Ok(Options {
            path: path.unwrap_or_else(default),
            calls,
            seeds: seeds.map(|(_, value)| value),
        })
    }

    /// Returns the path of an item of the package `wakeful`.
    pub(crate) fn path_to(&self, item: &str) -> TokenStream {
        let item: TokenStream = item.parse().expect("valid tokens");
        self.path.clone().into_iter().chain(item).collect()
    }

    /// Returns the expression of the builder: `::wakeful::runtime::Builder::new().io_budget(32)`. `defaults`
    /// are calls that come before those of the user.
    pub(crate) fn builder(&self, defaults: &str) -> TokenStream {
        let new = format!("::runtime::Builder::new(){defaults}");
        let mut builder = self.path_to(&new);
        for (method, argument) in &self.calls {
            builder.extend([
                TokenTree::Punct(Punct::new('.', Spacing::Alone)),
                TokenTree::Ident(method.clone()),
                TokenTree::Group(Group::new(Delimiter::Parenthesis, argument.clone())),
            ]);
        }
        builder
    }
}

fn allowed(is_test: bool) -> String {
    let seeds = if is_test { "`, `seeds" } else { "" };
    format!("allowed are `{}{seeds}` and `crate`", METHODS.join("`, `"))
}

fn check_name(name: &Ident, text: &str, is_test: bool) -> Result<(), Error> {
    if text == "crate" || METHODS.contains(&text) || text == SEEDS && is_test {
        return Ok(());
    }
    let message = if OF_OTHER_RUNTIMES.contains(&text) {
        format!("remove `{text}`: a Wakeful runtime always runs on one thread")
    } else if text == SEEDS {
        "`seeds` belongs to `#[wakeful::test]`".to_owned()
    } else {
        format!("the option `{text}` does not exist; {}", allowed(is_test))
    };
    Err(Error::new(name.span(), message))
}

/// Reads `= value` and the comma after it.
fn parse_value(name: &Ident, tokens: &mut Peekable<IntoIter>) -> Result<TokenStream, Error> {
    let is_punct = |token: &TokenTree, character| matches!(token, TokenTree::Punct(punct) if punct.as_char() == character);
    let needs_value = || {
        Error::new(
            name.span(),
            format!("the option needs a value: `{name} = ...`"),
        )
    };
    tokens
        .next_if(|token| is_punct(token, '='))
        .ok_or_else(needs_value)?;
    let mut value = Vec::new();
    for token in tokens.by_ref() {
        if is_punct(&token, ',') {
            break;
        }
        value.push(token);
    }
    if value.is_empty() {
        return Err(needs_value());
    }
    Ok(value.into_iter().collect())
}

/// Reads the path in a string literal. Its tokens have the span of the name, so that an error about
/// the path is shown there.
fn parse_path(name: &Ident, value: TokenStream) -> Result<TokenStream, Error> {
    let text = value.to_string();
    let path = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.parse::<TokenStream>().ok());
    match path {
        Some(path) if !path.is_empty() => Ok(respan(path, name.span())),
        _ => {
            let message = "the option needs a path in quotes: `crate = \"my_crate::wakeful\"`";
            Err(Error::new(name.span(), message))
        }
    }
}

/// Gives tokens the place of `span` and keeps how their names are resolved.
fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    let respanned = tokens.into_iter().map(|mut token| {
        token.set_span(token.span().located_at(span));
        token
    });
    respanned.collect()
}
