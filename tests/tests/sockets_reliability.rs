//! Points of the reliability list about sockets, one module for each.
//!
//! Point 45 (paths), and the part of point 42 about Unix sockets only, are in `unix.rs`.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic, as the test may"
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
