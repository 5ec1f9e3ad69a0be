//! What the behaviour tests share.

pub mod net_support;
pub mod source;
pub mod trace;

/// The Rust in the pages, compiled, and run where it is not marked `no_run`.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../runtime/README.md")]
    struct RuntimeReadme;

    #[doc = include_str!("../../docs/WAKEFUL-AND-TOKIO.md")]
    struct WakefulAndTokio;
}
