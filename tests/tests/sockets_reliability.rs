//! The points of the reliability list that concern sockets, one module for each.
//!
//! Point 45 (paths) is in `unix.rs`, and so is what of 42 concerns Unix sockets only.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests fail as the tests do"
)]

#[path = "sockets_reliability/accepting.rs"]
mod accepting;
#[path = "sockets_reliability/descriptors.rs"]
mod descriptors;
#[path = "sockets_reliability/point_26.rs"]
mod point_26;
#[path = "sockets_reliability/point_31.rs"]
mod point_31;
#[path = "sockets_reliability/point_40.rs"]
mod point_40;
#[path = "sockets_reliability/point_41.rs"]
mod point_41;
#[path = "sockets_reliability/point_42.rs"]
mod point_42;
#[path = "sockets_reliability/point_43.rs"]
mod point_43;
#[path = "sockets_reliability/point_46.rs"]
mod point_46;
#[path = "sockets_reliability/point_47.rs"]
mod point_47;
