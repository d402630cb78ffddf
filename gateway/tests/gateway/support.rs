//! A gateway in front of a server, and raw connections to it.

use std::{net::SocketAddr, time::Duration};

use sipher_session::{
    Chain, InlineDefaults, SessionDefaults, SessionManager, SessionManagerBuilder,
    testing::{FakeSipher, Served, Tier},
};
use sipher_session_gateway::{Gateway, GatewayBuilder, Limits, Stop, Upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// Longer than anything here takes, so that a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) stop: Stop,
    pub(crate) served: JoinHandle<sipher_session_gateway::Served>,
}

/// A gateway with a Sipher behind it, whose callers bring their own keys.
pub(crate) struct Site {
    pub(crate) sipher: FakeSipher,
    pub(crate) server: Served,
    pub(crate) sessions: SessionManager,
    pub(crate) key: String,
    pub(crate) gateway: Running,
}

pub(crate) async fn site() -> Site {
    site_with(|sessions| sessions, |gateway| gateway).await
}

pub(crate) async fn site_with(
    sessions: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    gateway: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
) -> Site {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let server = sipher.serve().await.unwrap();
    let sessions = sessions(manager(&server.base_url())).build().unwrap();
    let gateway = run(gateway(builder(&sessions)));
    Site {
        sipher,
        server,
        sessions,
        key,
        gateway,
    }
}

pub(crate) fn manager(base_url: &str) -> SessionManagerBuilder {
    SessionManager::builder()
        .base_url(base_url)
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .inline_defaults(InlineDefaults::Off)
        .foreign_ids(sipher_session::ForeignIds::Replace)
        .create_timeout(Duration::from_secs(3)) // shorter than the default, so that failures are seen soon
        .transport(Upstream::new(&Limits::default()).unwrap().transport())
}

pub(crate) fn builder(sessions: &SessionManager) -> GatewayBuilder {
    let free = "127.0.0.1:0".parse().unwrap();
    Gateway::builder(sessions.clone()).listen(free).admin(free)
}

pub(crate) fn run(builder: GatewayBuilder) -> Running {
    let gateway = builder.build().unwrap();
    Running {
        addr: gateway.addr(),
        admin: gateway.admin_addr().unwrap(),
        stop: gateway.stop(),
        served: tokio::spawn(gateway.serve()),
    }
}

/// A server that reads one request to the end of its head, keeps what it read, and sends the given answer.
pub(crate) struct Recorder {
    pub(crate) base_url: String,
    pub(crate) heads: tokio::sync::mpsc::UnboundedReceiver<String>,
}

/// Requests without a session need no session call: the manager is built to ask for none on public paths.
pub(crate) async fn recorder(answer: &'static str) -> Recorder {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (send, heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let send = send.clone();
            tokio::spawn(async move {
                let head = read_until(&mut stream, "\r\n\r\n").await;
                let _ = send.send(head);
                let _ = stream.write_all(answer.as_bytes()).await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    Recorder { base_url, heads }
}

pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) {
        match timeout(PATIENCE, stream.read(&mut byte)).await.unwrap() {
            Ok(1) => text.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends these bytes on a new connection, and returns all that comes back until the gateway closes it.
pub(crate) async fn raw(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The gateway may close before it has read everything.
    let _ = stream.write_all(bytes.as_ref()).await;
    rest(&mut stream).await
}

pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn get(addr: SocketAddr, path: &str) -> String {
    raw(
        addr,
        format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"),
    )
    .await
}

impl Site {
    /// Asks for a stealth address with the key of this site, and returns the whole answer.
    pub(crate) async fn generate(&self, more_headers: &str) -> String {
        self.post("/v1/stealth/generate", more_headers, "{}").await
    }

    pub(crate) async fn post(&self, path: &str, more_headers: &str, body: &str) -> String {
        let (key, length) = (&self.key, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n{more_headers}\r\n{body}"
        );
        raw(self.gateway.addr, request).await
    }
}

pub(crate) fn status(answer: &str) -> u16 {
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

pub(crate) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(line, _)| line.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Checks that an answer has the form of Sipher's errors, and returns its code.
pub(crate) fn code(answer: &str) -> String {
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body)
        .unwrap_or_default();
    let body: serde_json::Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(body["success"], false, "{answer}");
    assert!(
        body["error"]["message"]
            .as_str()
            .is_some_and(|text| text.len() > 10),
        "{answer}"
    );
    assert!(
        header(answer, "content-type").is_some_and(|kind| kind.starts_with("application/json"))
    );
    body["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}
