//! What the behaviour tests share.

pub mod net_support;
