//! The function under an attribute: its parts, and the function that replaces it.
//!
//! ```text
//!   #[..] #[..]  pub(crate)  async fn  name  ()  -> Output  { .. }
//!   attributes   visibility            name      output     body
//! ```
//!
//! A fragment of `macro_rules!` (`$vis`, `$body:block`) arrives in a group without delimiters.

use std::iter::Peekable;

use proc_macro::token_stream::IntoIter;
use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::error::Error;
use crate::options::Options;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Main,
    Test,
}

impl Kind {
    fn attribute(self) -> &'static str {
        match self {
            Kind::Main => "wakeful::main",
            Kind::Test => "wakeful::test",
        }
    }

    /// Returns the calls of the builder that the options can replace.
    fn defaults(self) -> &'static str {
        match self {
            Kind::Main => "",
            // A test that waits for nothing fails, and says which task waits where.
            Kind::Test => {
                ".count_wakers(true).deadlock_after(::core::time::Duration::from_secs(10))"
            }
        }
    }
}

pub(crate) struct Function {
    attributes: TokenStream,
    visibility: TokenStream,
    name: Ident,
    /// `-> Output`, or nothing.
    output: TokenStream,
    body: TokenTree,
}

impl Function {
    pub(crate) fn parse(kind: Kind, item: TokenStream) -> Result<Self, Error> {
        let mut tokens = item.into_iter().peekable();
        let attributes = parse_attributes(kind, &mut tokens)?;
        let visibility = parse_visibility(&mut tokens);
        parse_async_fn(kind, &mut tokens)?;
        let name = match tokens.next() {
            Some(TokenTree::Ident(name)) => name,
            other => return Err(unexpected(kind, other.as_ref())),
        };
        let mut signature: Vec<TokenTree> = tokens.collect();
        let body = signature.pop();
        let parameters = (!signature.is_empty()).then(|| signature.remove(0));
        let (Some(parameters), Some(body)) = (parameters, body) else {
            let message = "the function has no body";
            return Err(Error::new(Span::call_site(), message));
        };
        check(kind, &parameters, &signature, &body)?;
        Ok(Function {
            attributes,
            visibility,
            name,
            output: signature.into_iter().collect(),
            body,
        })
    }

    /// Returns a plain function that runs this one on a runtime.
    pub(crate) fn expand(self, kind: Kind, options: &Options) -> TokenStream {
        let name = TokenStream::from(TokenTree::Ident(self.name));
        let call: TokenStream = [name.clone(), tokens("()")].into_iter().collect();
        let inner: [TokenStream; 4] = [
            tokens("async fn"),
            call.clone(),
            self.output.clone(),
            self.body.into(),
        ];
        let run = [
            options.builder(kind.defaults()),
            options
                .seeds
                .as_ref()
                .map(|_| tokens(".rng_seed(seed)"))
                .unwrap_or_default(),
            tokens(".build().expect(\"building the runtime\").block_on"),
            group(Delimiter::Parenthesis, call.clone()),
        ];
        let mut run: TokenStream = run.into_iter().collect();
        let mut output = self.output;
        if let Some(count) = &options.seeds {
            run = run_with_seeds(options, &name, count, run);
            output = TokenStream::new();
        }
        let body = inner.into_iter().chain([run]).collect();
        let test = match kind {
            Kind::Main => TokenStream::new(),
            Kind::Test => tokens("#[::core::prelude::v1::test]"),
        };
        let outer = [
            self.attributes,
            test,
            self.visibility,
            tokens("fn"),
            call,
            output,
            group(Delimiter::Brace, body),
        ];
        outer.into_iter().collect()
    }
}

/// Returns a call of `wakeful::seeds::run`, which runs `run` for each seed.
fn run_with_seeds(
    options: &Options,
    name: &TokenStream,
    count: &TokenStream,
    run: TokenStream,
) -> TokenStream {
    let test_name = format!("::core::concat!(::core::module_path!(), \"::{name}\")");
    let arguments = [
        tokens(&test_name),
        tokens(","),
        count.clone(),
        tokens(", |seed|"),
        run,
    ];
    let call = [
        options.path_to("::seeds::run"),
        group(Delimiter::Parenthesis, arguments.into_iter().collect()),
    ];
    call.into_iter().collect()
}

/// Returns an empty `fn main` if the item is a function with this name. It is written beside an error,
/// because a `main` that is missing would be a second one.
pub(crate) fn empty_main(item: &TokenStream) -> TokenStream {
    let words: Vec<TokenTree> = item.clone().into_iter().collect();
    let is_main = |pair: &[TokenTree]| is_ident(&pair[0], "fn") && is_ident(&pair[1], "main");
    if words.windows(2).any(is_main) {
        tokens("fn main() {}")
    } else {
        TokenStream::new()
    }
}

/// Parses code of this package. It has the span of the attribute.
fn tokens(code: &str) -> TokenStream {
    code.parse().expect("valid tokens")
}

fn group(delimiter: Delimiter, content: TokenStream) -> TokenStream {
    TokenTree::Group(Group::new(delimiter, content)).into()
}

fn is_ident(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Returns whether the token is a group with one of these delimiters.
fn is_group(token: &TokenTree, delimiters: &[Delimiter]) -> bool {
    matches!(token, TokenTree::Group(group) if delimiters.contains(&group.delimiter()))
}

fn unexpected(kind: Kind, token: Option<&TokenTree>) -> Error {
    let span = token.map_or_else(Span::call_site, TokenTree::span);
    let attribute = kind.attribute();
    Error::new(span, format!("`#[{attribute}]` belongs to an `async fn`"))
}

/// Reads `#[..]` as often as it comes. Documentation has this form, too.
fn parse_attributes(kind: Kind, tokens: &mut Peekable<IntoIter>) -> Result<TokenStream, Error> {
    let mut attributes = Vec::new();
    while let Some(hash) = tokens.next_if(|token| is_punct(token, '#')) {
        attributes.push(hash);
        let Some(TokenTree::Group(content)) = tokens.next() else {
            return Err(unexpected(kind, None));
        };
        let path: Vec<TokenTree> = content.stream().into_iter().collect();
        if kind == Kind::Test && path.len() == 1 && is_ident(&path[0], "test") {
            let message = "`#[wakeful::test]` makes the function a test already: remove `#[test]`";
            return Err(Error::new(path[0].span(), message));
        }
        attributes.push(content.into());
    }
    Ok(attributes.into_iter().collect())
}

/// Reads `pub`, `pub(..)`, a `$vis`, or nothing.
fn parse_visibility(tokens: &mut Peekable<IntoIter>) -> TokenStream {
    let mut visibility = Vec::new();
    visibility.extend(tokens.next_if(|token| is_group(token, &[Delimiter::None])));
    if let Some(word) = tokens.next_if(|token| is_ident(token, "pub")) {
        visibility.push(word);
        visibility.extend(tokens.next_if(|token| is_group(token, &[Delimiter::Parenthesis])));
    }
    visibility.into_iter().collect()
}

/// Reads `async fn`.
fn parse_async_fn(kind: Kind, tokens: &mut Peekable<IntoIter>) -> Result<(), Error> {
    let attribute = kind.attribute();
    match tokens.next() {
        Some(token) if is_ident(&token, "async") => {}
        Some(token) if is_ident(&token, "fn") => {
            let message = format!("`async` is missing: `#[{attribute}]` belongs to an `async fn`");
            return Err(Error::new(token.span(), message));
        }
        other => return Err(unexpected(kind, other.as_ref())),
    }
    match tokens.next() {
        Some(token) if is_ident(&token, "fn") => Ok(()),
        Some(token) if is_ident(&token, "unsafe") || is_ident(&token, "extern") => {
            let message = format!("remove `{token}`: `#[{attribute}]` belongs to an `async fn`");
            Err(Error::new(token.span(), message))
        }
        other => Err(unexpected(kind, other.as_ref())),
    }
}

/// Checks what comes after the name.
fn check(
    kind: Kind,
    parameters: &TokenTree,
    output: &[TokenTree],
    body: &TokenTree,
) -> Result<(), Error> {
    let attribute = kind.attribute();
    if is_punct(parameters, '<') {
        let message = format!("`#[{attribute}]` calls the function: remove its generic parameters");
        return Err(Error::new(parameters.span(), message));
    }
    let is_empty =
        matches!(parameters, TokenTree::Group(parameters) if parameters.stream().is_empty());
    if !is_empty {
        let message = format!("`#[{attribute}]` calls the function: remove its parameters");
        return Err(Error::new(parameters.span(), message));
    }
    if let Some(token) = output.iter().find(|token| is_ident(token, "where")) {
        let message = format!("`#[{attribute}]` calls the function: remove its `where` clause");
        return Err(Error::new(token.span(), message));
    }
    if !is_group(body, &[Delimiter::Brace, Delimiter::None]) {
        return Err(Error::new(body.span(), "the function has no body"));
    }
    Ok(())
}
