//! A mistake in the user's code, reported by the compiler at the tokens that it is about.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

pub(crate) struct Error {
    span: Span,
    message: String,
}

impl Error {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Error {
            span,
            message: message.into(),
        }
    }

    /// Returns `::core::compile_error! { "message" }`, whose tokens have the span of the mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let punct = |character, spacing| TokenTree::Punct(Punct::new(character, spacing));
        let name = |name| TokenTree::Ident(Ident::new(name, Span::call_site()));
        let message = TokenTree::Literal(Literal::string(&self.message));
        let message = spanned(message, self.span);
        let group = Group::new(Delimiter::Brace, TokenStream::from(message));
        let tokens = [
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            name("core"),
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            name("compile_error"),
            punct('!', Spacing::Alone),
            TokenTree::Group(group),
        ];
        let tokens = tokens.into_iter();
        tokens.map(|token| spanned(token, self.span)).collect()
    }
}

fn spanned(mut token: TokenTree, span: Span) -> TokenTree {
    token.set_span(span);
    token
}
