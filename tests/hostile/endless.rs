//! Answers that do not end.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use sipher_session::{
    BoxError, ErrorKind, SessionDefaults, SessionsApi,
    api::{CreateSession, Transport},
};
use tower::service_fn;

/// A body that never ends. It comes in pieces.
struct Endless {
    piece: Bytes,
    /// How many bytes were read.
    read: Arc<AtomicU64>,
    /// The pause between two pieces.
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_secs(1))));
        }
        self.read
            .fetch_add(self.piece.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

async fn create(piece: Bytes, drips: bool) -> (sipher_session::Error, u64) {
    let read = Arc::new(AtomicU64::new(0));
    let counted = read.clone();
    let transport = Transport::new(service_fn(move |_: Request<Full<Bytes>>| {
        let pause = drips.then(|| Box::pin(tokio::time::sleep(Duration::from_secs(1))));
        let (piece, read) = (piece.clone(), counted.clone());
        let body = Endless { piece, read, pause };
        let response = Response::builder().status(201).body(body);
        async move { Ok::<_, BoxError>(response?) }
    }));
    let api = SessionsApi::new(transport, "https://host", "sk_pro_1").unwrap();
    let request = CreateSession::new(SessionDefaults::new());
    let error = api.create_session(&request).await.unwrap_err();
    (error, read.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_is_given_up_at_its_limit() {
    for length in [1, 100, 8 * 1024, 64 * 1024, 1024 * 1024] {
        let (error, read) = create(Bytes::from(vec![b' '; length]), false).await;
        assert_eq!(error.kind(), ErrorKind::WrongAddress);
        assert!(
            read <= 64 * 1024 + length as u64,
            "{read} bytes read of pieces of {length}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_ended_by_the_timeout() {
    let (error, read) = create(Bytes::from_static(b" "), true).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        (29..=31).contains(&read),
        "one byte a second for 30 s: {read}"
    );
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn a_head_without_end_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let mut sent = 0_u64;
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\n").await;
        while stream
            .write_all(&[b"X-Filler: ".as_slice(), &[b'x'; 1000], b"\r\n"].concat())
            .await
            .is_ok()
        {
            sent += 1_012;
        }
        sent
    });
    let transport = Transport::from(reqwest::Client::new());
    let api = SessionsApi::new(transport, &format!("http://{address}"), "sk_pro_1").unwrap();
    let request = CreateSession::new(SessionDefaults::new());
    let error = api.create_session(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let sent = server.await.unwrap();
    assert!(
        sent < 16 * 1024 * 1024,
        "with what the sockets hold: {sent}"
    );
}
