//! The gateway's own answer to what it refuses.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode, Version};

use super::Proxy;
use super::access::Exchange;
use super::body::ResponseBody;
use super::error::{Error, Fault};
use super::request_id::RequestId;

impl Proxy {
    /// Our own answer, where the upstream's cannot be had. It never carries a cookie.
    pub(super) fn refuse(
        &self,
        error: &Error,
        id: &RequestId,
        exchange: Exchange,
        version: Version,
    ) -> Response<ResponseBody> {
        match error.fault() {
            Fault::Client => tracing::debug!(request = %id, "{error}"),
            Fault::Server => tracing::warn!(request = %id, "{error}"),
        }
        self.counters.refused.count(error);
        let status = error.status();
        exchange.answered(status);
        let mut response = Response::new(ResponseBody::own(error.page(id), exchange));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if error.closes() && version != Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match error {
            Error::User { login: Some(location) } => drop(headers.insert(LOCATION, location.clone())),
            // A 401 names a scheme (RFC 9110 section 15.5.2); for cookies no registered one exists, and browsers ask
            // nobody for a password where they do not know it.
            _ if status == StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Cookie"));
            }
            Error::Births { seconds } => drop(headers.insert(RETRY_AFTER, HeaderValue::from(*seconds))),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
