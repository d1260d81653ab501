//! Request bodies, bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::problem::Problem;

/// A body must have come whole within this time.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Reads a whole body of at most `bytes_max` bytes.
///
/// # Errors
/// Too large, too slow, or broken off.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let whole = tokio::time::timeout(BODY_PATIENCE, Limited::new(body, bytes_max).collect());
    match whole.await {
        Err(_) => Err(Problem::TooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::BodyTooLarge(bytes_max)),
        Ok(Err(error)) => {
            let status = axum::http::StatusCode::BAD_REQUEST;
            Err(Problem::Refused(status, format!("the body broke off: {error}")))
        }
    }
}
