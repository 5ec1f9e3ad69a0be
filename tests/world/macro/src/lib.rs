//! The attribute that takes the place of `#[test]` in the program `world` of `wakeful-tests`.
//!
//! A program that begins with `#[macro_use] extern crate world_macro;` has this attribute wherever a file says
//! `#[test]`, so the files of `tests/tests` are compiled as they are.

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Makes `fn name() { body }` a test that passes its name and its body to `crate::in_world`.
///
/// The body becomes a closure, so the types of closures in it contain the name of the test, as before. The
/// message that `#[should_panic]` expects is passed as well, because the panic is caught there.
#[proc_macro_attribute]
pub fn test(_options: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens = function.into_iter().peekable();
    let mut out: TokenStream = parse("#[::core::prelude::v1::test]");
    let mut panics = "::core::option::Option::None".to_owned();
    while let Some(TokenTree::Punct(_)) = tokens.peek() {
        let attribute: Vec<TokenTree> = tokens.by_ref().take(2).collect();
        match attribute.get(1).and_then(expected_panic) {
            Some(message) => panics = format!("::core::option::Option::Some({message})"),
            None => out.extend(attribute),
        }
    }
    let mut signature: Vec<TokenTree> = tokens.collect();
    let body = signature.pop();
    let name = signature
        .iter()
        .skip_while(|token| token.to_string() != "fn");
    let name = name.map(ToString::to_string).nth(1).unwrap_or_default();
    // What follows the parameters: nothing, or `-> Type`.
    let is_parameters = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
        _ => false,
    };
    let result = signature.iter().position(is_parameters);
    let result = result.map_or_else(Vec::new, |at| signature.split_off(at + 1));
    out.extend(signature);
    let mut call = parse(&format!(
        "::core::concat!(::core::module_path!(), \"::{name}\"), {panics}, ||"
    ));
    call.extend(result);
    call.extend(body);
    let mut inner = parse("crate::in_world");
    inner.extend([group(Delimiter::Parenthesis, call)]);
    out.extend([group(Delimiter::Brace, inner)]);
    out
}

/// Returns the literal with the message that `#[should_panic]` expects, `""` for any, if `attribute` is one.
fn expected_panic(attribute: &TokenTree) -> Option<String> {
    let text = attribute.to_string();
    let rest = text
        .trim_start_matches(['[', ' '])
        .strip_prefix("should_panic")?;
    let message = rest.find('"').zip(rest.rfind('"'));
    Some(message.map_or("\"\"".to_owned(), |(from, to)| rest[from..=to].to_owned()))
}

fn group(delimiter: Delimiter, tokens: TokenStream) -> TokenTree {
    TokenTree::Group(proc_macro::Group::new(delimiter, tokens))
}

fn parse(text: &str) -> TokenStream {
    match text.parse() {
        Ok(tokens) => tokens,
        Err(error) => panic!("`{text}`: {error}"),
    }
}
