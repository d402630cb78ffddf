//! How much one gateway takes on, and how long it waits.

use std::time::Duration;

use crate::GatewayError;

/// The least that hyper accepts for its buffer.
const LEAST_HEADER_BYTES: usize = 8 * 1024;

/// Limits on connections, requests and waits.
///
/// ```
/// use sipher_session_gateway::Limits;
///
/// let mut limits = Limits::default();
/// limits.max_connections = 64;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections may be open at once. Defaults to 1,024, which fits the usual limit of open files. A further
    /// connection is answered with 503 and closed. Raise it together with `ulimit -n`.
    pub max_connections: usize,
    /// How many requests one HTTP/2 connection may have in flight. Defaults to 128. Further ones wait at the caller.
    pub max_streams: u32,
    /// How many headers a request may have. Defaults to 100. A request with more is answered with 431.
    pub max_headers: usize,
    /// How many bytes the head of a request may have, at least 8,192. Defaults to 32 KiB. A longer one is answered with
    /// 431. HTTP/2 counts 32 more for each header.
    pub max_header_bytes: usize,
    /// How many bytes the body of a request may have. Defaults to 16 MiB: Sipher takes JSON of 1 MB. A longer one is
    /// answered with 413. Bodies are streamed, so a higher limit costs no memory.
    pub max_body_bytes: u64,
    /// How long a caller may take to send the head of a request, counted from its first byte. For the first request it
    /// is counted from the connection. Defaults to 10 s. After that, the connection is closed.
    pub header_timeout: Duration,
    /// How long nothing may happen. Defaults to 60 s. It ends a connection without a request, a request whose body stalls
    /// (with 408), and an answer that the caller does not read.
    pub idle_timeout: Duration,
    /// How long it may take to connect to Sipher. Defaults to 10 s. After that, the request is answered with 504.
    pub connect_timeout: Duration,
    /// How long Sipher may take to begin its answer, counted from the last piece of the request, and how long it may
    /// pause within the answer. Defaults to 100 s: some of its calls take 90 s. After that, the request is answered with
    /// 504.
    pub upstream_timeout: Duration,
    /// How long requests in flight may go on after a signal to stop. Defaults to 20 s. Together with the deletes of the
    /// sessions that is less than the 30 s that Kubernetes allows.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_streams: 128,
            max_headers: 100,
            max_header_bytes: 32 * 1024,
            max_body_bytes: 16 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            upstream_timeout: Duration::from_secs(100),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// Returns everything that is wrong with these limits.
    pub(crate) fn problems(&self) -> Vec<GatewayError> {
        let mut problems = Vec::new();
        let mut at_least = |setting, value: u64, least: u64| {
            if value < least {
                let problem = format!("is {value}; expected {least} at least");
                problems.push(GatewayError::new(setting, problem));
            }
        };
        at_least("gateway.max_connections", self.max_connections as u64, 1);
        at_least("gateway.max_streams", u64::from(self.max_streams), 1);
        at_least("gateway.max_headers", self.max_headers as u64, 1);
        at_least(
            "gateway.max_header_bytes",
            self.max_header_bytes as u64,
            LEAST_HEADER_BYTES as u64,
        );
        // hyper counts the bytes of HTTP/2 headers in 32 bits.
        if u32::try_from(self.max_header_bytes).is_err() {
            let problem = format!("is {}; expected less than 4 GiB", self.max_header_bytes);
            problems.push(GatewayError::new("gateway.max_header_bytes", problem));
        }
        for (setting, time) in [
            ("gateway.header_timeout", self.header_timeout),
            ("gateway.idle_timeout", self.idle_timeout),
            ("gateway.connect_timeout", self.connect_timeout),
            ("gateway.upstream_timeout", self.upstream_timeout),
            ("gateway.drain_timeout", self.drain_timeout),
        ] {
            if time.is_zero() || time > DAY {
                let time = humantime::format_duration(time);
                let problem = format!("is `{time}`; expected more than `0s` and at most `1day`");
                problems.push(GatewayError::new(setting, problem));
            }
        }
        problems
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
