//! Wakeful's [`time`](wakeful::time), with tokio's limit for very long sleeps.

pub use wakeful::time::*;

/// The longest sleep. tokio replaces a deadline that it cannot represent with this one, so that a
/// paused clock can jump to it.
const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Waits until a duration has elapsed, at most 30 years.
///
/// # Cancel safety
///
/// Cancel safe.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    wakeful::time::sleep(duration.min(FAR_FUTURE))
}
