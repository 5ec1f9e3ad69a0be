//! Helpers that the behavior tests share.

pub mod fd;
pub mod net_support;
pub mod programs;
pub mod recording;
pub mod schema;
pub mod source;
pub mod trace;
pub mod waits;

/// Compiles the Rust code in the documentation pages, and runs it unless it is marked `no_run`.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../runtime/README.md")]
    struct RuntimeReadme;

    #[doc = include_str!("../../runtime/macros/README.md")]
    struct MacrosReadme;

    #[doc = include_str!("../../docs/WAKEFUL-AND-TOKIO.md")]
    struct WakefulAndTokio;

    #[doc = include_str!("../../docs/TESTING.md")]
    struct Testing;
}
