//! The bodies of requests: all kinds of bodies, and the ways in which they arrive.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use sipher_session::NotInlined;
use tokio::time::{Sleep, sleep};

use crate::script::millis;

/// The longest body that the server reads.
const LIMIT: usize = 1024 * 1024;

/// JSON objects, some of which name defaults themselves.
const OBJECTS: [&str; 8] = [
    "{}",
    r#"{"label":"x"}"#,
    "{ \"chain\" : \"polygon\",\n\"n\":1.0e0 } ",
    r#"{"ch\u0061in":"aptos","label":"y"}"#,
    r#"{"privacyLevel":"maximum"}"#,
    r#"{"a":{"chain":"near"},"b":[{"chain":1}]}"#,
    r#"{"chain":"polygon","privacyLevel":"shielded","rpcProvider":"helius"}"#,
    " {\n} ",
];
/// Bodies that are no JSON object, and bodies that the server refuses.
const OTHERS: [&str; 4] = ["[1]", "no json", r#""x""#, r#"{"a":1} x"#];
/// `{}`, compressed.
const GZIP: [u8; 22] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 171, 174, 5, 0, 67, 191, 166, 163, 2, 0, 0, 0,
];

static JUST_FITS: LazyLock<Bytes> = LazyLock::new(|| object_of(LIMIT));
static TOO_LONG: LazyLock<Bytes> = LazyLock::new(|| object_of(LIMIT + 2));

fn object_of(length: usize) -> Bytes {
    let around = r#"{"label":""}"#.len();
    format!(r#"{{"label":"{}"}}"#, "x".repeat(length - around)).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object(usize),
    /// An empty body whose request has `Content-Length: 0`. It counts as `{}`.
    ZeroLength,
    Other(usize),
    NoBody,
    NoType,
    Text,
    Gzip,
    Utf16,
    /// The body is as long as allowed, so no defaults fit in.
    JustFits,
    TooLong,
    /// The body breaks off.
    Fails,
}

/// A request that gets neither a session nor defaults in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    Public,
    /// The request has an id of its own, which is kept.
    Kept,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Carries {
    pub(crate) kind: Kind,
    pub(crate) says_length: bool,
    pub(crate) aside: Option<Aside>,
    pieces: usize,
    /// The pause before each piece.
    pause: Duration,
}

impl Carries {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let kind = match rng.u8(0..64) {
            0..8 => Kind::Other(rng.usize(..OTHERS.len())),
            8..10 => Kind::NoBody,
            10..12 => Kind::NoType,
            12..14 => Kind::Text,
            14..17 => Kind::Gzip,
            17..20 => Kind::Utf16,
            20 => Kind::JustFits,
            21 => Kind::TooLong,
            22..25 => Kind::Fails,
            25..28 => Kind::ZeroLength,
            _ => Kind::Object(rng.usize(..OBJECTS.len())),
        };
        let aside = match rng.u8(0..32) {
            0 => Some(Aside::Public),
            1 => Some(Aside::Kept),
            _ => None,
        };
        let pieces = match kind {
            Kind::NoBody | Kind::ZeroLength => 0,
            Kind::Fails => rng.usize(1..4),
            _ if rng.u8(0..3) > 0 => 1,
            _ => rng.usize(1..5),
        };
        // Some pauses are longer than `hard`, which is 5 to 60 s.
        let longest = *rng.choice(&[1, 1, 500, 4_000, 20_000]).unwrap_or(&1);
        Self {
            kind,
            says_length: kind != Kind::Fails && kind != Kind::NoBody && rng.bool(),
            aside,
            pieces,
            pause: millis(rng, 0..longest),
        }
    }

    /// A body `{}` in one piece.
    pub(crate) fn plain() -> Self {
        Self {
            kind: Kind::Object(0),
            says_length: false,
            aside: None,
            pieces: 1,
            pause: Duration::ZERO,
        }
    }

    pub(crate) fn has_pauses(self) -> bool {
        self.pieces > 0 && !self.pause.is_zero()
    }

    pub(crate) fn bytes(self) -> Bytes {
        match self.kind {
            Kind::Object(which) => OBJECTS[which].into(),
            Kind::Other(which) => OTHERS[which].into(),
            Kind::ZeroLength | Kind::NoBody => Bytes::new(),
            Kind::NoType | Kind::Text => "{}".into(),
            Kind::Gzip => Bytes::from_static(&GZIP),
            Kind::Utf16 => Bytes::from_static(b"{\0}\0"),
            Kind::JustFits => JUST_FITS.clone(),
            Kind::TooLong => TOO_LONG.clone(),
            Kind::Fails => OBJECTS[1].into(),
        }
    }

    /// Why no defaults can be added, if that is so.
    pub(crate) fn not(self) -> Option<NotInlined> {
        match self.kind {
            Kind::Object(_) | Kind::ZeroLength => None,
            Kind::Other(_) => Some(NotInlined::NotAnObject),
            Kind::NoBody => Some(NotInlined::NoBody),
            Kind::NoType => Some(NotInlined::NoType),
            Kind::Text => Some(NotInlined::NotJson),
            Kind::Gzip => Some(NotInlined::Encoded),
            Kind::Utf16 => Some(NotInlined::Charset),
            Kind::JustFits | Kind::TooLong => Some(NotInlined::TooLong),
            Kind::Fails => Some(NotInlined::BodyFailed),
        }
    }

    pub(crate) fn request(self, base: &str, is_elsewhere: bool, n: u64) -> Request<Stream> {
        let path = match self.aside {
            _ if is_elsewhere => format!("/v1/sim/{n}"),
            Some(Aside::Public) => "/v1/errors".to_owned(),
            _ => "/v1/stealth/generate".to_owned(),
        };
        let bytes = self.bytes();
        let mut request =
            Request::post(format!("{base}{path}")).header("x-request-id", format!("sim-{n}"));
        let content_type = match self.kind {
            Kind::NoType => None,
            Kind::Text => Some("text/plain"),
            Kind::Utf16 => Some("application/json; charset=utf-16le"),
            _ => Some("application/json"),
        };
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        if self.kind == Kind::Gzip {
            request = request.header("content-encoding", "gzip");
        }
        if self.says_length || self.kind == Kind::ZeroLength {
            request = request.header("content-length", bytes.len());
        }
        if self.aside == Some(Aside::Kept) {
            request = request.header("x-session-id", format!("sess_{n:064x}"));
        }
        let body = Stream {
            data: bytes,
            pieces: self.pieces,
            pause: self.pause,
            fails: self.kind == Kind::Fails,
            sleep: None,
        };
        request.body(body).expect("a request")
    }
}

/// A body that comes in pieces.
#[derive(Debug)]
pub(crate) struct Stream {
    data: Bytes,
    pieces: usize,
    pause: Duration,
    fails: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    /// A body in one piece.
    pub(crate) fn whole(data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            pieces: 1,
            pause: Duration::ZERO,
            fails: false,
            sleep: None,
        }
    }
}

/// Only a stream that has not been polled yet is cloned.
impl Clone for Stream {
    fn clone(&self) -> Self {
        Self {
            data: self.data.clone(),
            sleep: None,
            ..*self
        }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.pieces == 0 {
            return Poll::Ready(None);
        }
        let pause = self.pause;
        if !pause.is_zero() {
            let pausing = self.sleep.get_or_insert_with(|| Box::pin(sleep(pause)));
            ready!(pausing.as_mut().poll(cx));
            self.sleep = None;
        }
        let length = self.data.len().div_ceil(self.pieces);
        self.pieces -= 1;
        if self.pieces == 0 && self.fails {
            return Poll::Ready(Some(Err(io::Error::other("the body failed"))));
        }
        let piece = self.data.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.pieces == 1 && !self.fails {
            SizeHint::with_exact(self.data.len() as u64)
        } else {
            SizeHint::default()
        }
    }
}
