//! Where the servers are (a single server, a cluster, or the master of sentinels), and a connection to them.

use std::{fmt, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsMode, Value,
    aio::{MultiplexedConnection, PubSub, SendError},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    sentinel::{Sentinel, SentinelNodeConnectionInfo},
};

use crate::error::Error;

/// Where the servers are.
#[derive(Clone)]
pub(super) enum Target {
    Server(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinels {
        sentinels: Vec<ConnectionInfo>,
        master: Arc<str>,
        /// How to connect to the master that the sentinels name.
        node: SentinelNodeConnectionInfo,
        protocol: ProtocolVersion,
    },
}

/// A connection, shared by its clones.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    pub(super) fn server(url: &str) -> Result<Self, Error> {
        Ok(Self::Server(parse(url, "store url")?))
    }

    pub(super) fn cluster(urls: &[&str]) -> Result<Self, Error> {
        let nodes = parse_all(urls)?;
        // Checks that the nodes agree on what they must share. This opens no connection.
        let checked = ClusterClientBuilder::new(nodes.clone()).build();
        checked.map_err(|_| {
            Error::config("store urls: differ in user, password, database or TLS; expected nodes of one cluster")
        })?;
        Ok(Self::Cluster(nodes))
    }

    /// Takes the sentinels' URLs and the master's name. The master may also be a URL with its name as the host. That
    /// URL says how to log in to the master, which may differ from the sentinels.
    pub(super) fn sentinels(urls: &[&str], master: &str) -> Result<Self, Error> {
        let sentinels = parse_all(urls)?;
        let mut protocol = common_protocol(&sentinels);
        let (name, server) = if master.contains("://") {
            let server = parse(master, "store master")?;
            let (ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) =
                server.addr()
            else {
                return Err(Error::config(
                    "store master: is a socket; expected the name of a master",
                ));
            };
            (host.clone(), Some(server))
        } else {
            (master.to_owned(), None)
        };
        if name.is_empty() {
            return Err(Error::config(
                "store master: is empty; expected the name of a master",
            ));
        }
        let mut node = SentinelNodeConnectionInfo::default();
        let mut settings = RedisConnectionInfo::default();
        if let Some(server) = server {
            settings = server.redis_settings().clone();
            protocol = settings.protocol();
            if matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
                node = node.set_tls_mode(TlsMode::Secure);
            }
        }
        let node = node.set_redis_connection_info(settings.set_protocol(protocol));
        Ok(Self::Sentinels {
            sentinels,
            master: name.into(),
            node,
            protocol,
        })
    }

    /// Returns whether the connection reconnects on its own when a server is lost.
    pub(super) fn mends_itself(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Returns whether changes are announced on the connection that also carries the calls, so that both are lost
    /// together. Version 2 of the protocol needs a connection for each.
    pub(super) fn tells_by_itself(&self) -> bool {
        let protocol = match self {
            Self::Server(info) => info.redis_settings().protocol(),
            Self::Cluster(nodes) => common_protocol(nodes),
            Self::Sentinels { protocol, .. } => *protocol,
        };
        protocol.supports_resp3()
    }

    /// Connects for the subscription alone.
    pub(super) async fn connect_apart(&self) -> RedisResult<PubSub> {
        match self {
            Self::Server(info) => Client::open(info.clone())?.get_async_pubsub().await,
            Self::Sentinels {
                sentinels,
                master,
                node,
                ..
            } => {
                let mut sentinel = Sentinel::build(sentinels.clone())?;
                let client = sentinel.async_master_for(master, Some(node)).await?;
                client.get_async_pubsub().await
            }
            Self::Cluster(nodes) => first_that_answers(nodes).await,
        }
    }

    /// Connects. Messages that the server pushes go to `told`.
    pub(super) async fn connect(
        &self,
        within: Duration,
        told: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> RedisResult<Connection> {
        let told = Arc::new(move |push| {
            told(push);
            Ok::<_, SendError>(())
        });
        // No timeouts here: each call sets its own. A cluster's connection waits inside too, so it gets timeouts below.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let config = if self.tells_by_itself() {
            config.set_push_sender(told.clone())
        } else {
            config
        };
        match self {
            Self::Server(info) => {
                let client = Client::open(info.clone())?;
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                connection.await.map(Connection::One)
            }
            Self::Sentinels {
                sentinels,
                master,
                node,
                ..
            } => {
                let mut sentinel = Sentinel::build(sentinels.clone())?;
                let client = sentinel.async_master_for(master, Some(node)).await?;
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                connection.await.map(Connection::One)
            }
            Self::Cluster(nodes) => {
                let client = ClusterClientBuilder::new(nodes.clone())
                    .use_protocol(common_protocol(nodes))
                    .connection_timeout(within)
                    .response_timeout(within)
                    .push_sender(told)
                    .build()?;
                let connection = client.get_async_connection();
                connection.await.map(Connection::Cluster)
            }
        }
    }
}

impl Connection {
    pub(super) async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::One(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.subscribe(channel).await,
        }
    }
}

/// Shows addresses only, because the URLs also contain users and passwords.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = |infos: &[ConnectionInfo]| -> Vec<String> {
            infos.iter().map(|info| info.addr().to_string()).collect()
        };
        match self {
            Self::Server(info) => write!(f, "Server({})", info.addr()),
            Self::Cluster(nodes) => f.debug_tuple("Cluster").field(&addresses(nodes)).finish(),
            Self::Sentinels {
                sentinels, master, ..
            } => f
                .debug_struct("Sentinels")
                .field("at", &addresses(sentinels))
                .field("master", master)
                .finish(),
        }
    }
}

/// Connects to the first node that answers. A cluster sends every change to each of its nodes.
async fn first_that_answers(nodes: &[ConnectionInfo]) -> RedisResult<PubSub> {
    let mut outcome = Err(RedisError::from((ErrorKind::Client, "no nodes")));
    for node in nodes {
        outcome = Client::open(node.clone())?.get_async_pubsub().await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Returns version 3, unless one of the URLs asks for version 2.
fn common_protocol(infos: &[ConnectionInfo]) -> ProtocolVersion {
    let speaks_3 = |info: &ConnectionInfo| info.redis_settings().protocol().supports_resp3();
    if infos.iter().all(speaks_3) {
        ProtocolVersion::RESP3
    } else {
        ProtocolVersion::RESP2
    }
}

/// Returns the protocol version that a URL asks for, and version 3 if it does not say. The client's own default is
/// version 2.
fn asked_for(url: &str) -> ProtocolVersion {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    match query
        .split('&')
        .find_map(|pair| pair.strip_prefix("protocol="))
    {
        Some("2" | "resp2") => ProtocolVersion::RESP2,
        _ => ProtocolVersion::RESP3,
    }
}

fn parse_all(urls: &[&str]) -> Result<Vec<ConnectionInfo>, Error> {
    if urls.is_empty() {
        return Err(Error::config(
            "store urls: there is none; expected at least one",
        ));
    }
    urls.iter().map(|url| parse(url, "store urls")).collect()
}

/// Parses a URL. The error repeats nothing of the URL, which may contain a password.
fn parse(url: &str, setting: &str) -> Result<ConnectionInfo, Error> {
    let is_tls = url.starts_with("rediss:") || url.starts_with("valkeys:");
    if is_tls && !cfg!(feature = "rustls") {
        return Err(Error::config(format!(
            "{setting}: needs TLS, which is the crate's feature `rustls`"
        )));
    }
    let info = url.into_connection_info().map_err(|_| {
        let expected = "expected such as `redis://user:password@host:6379/0`";
        Error::config(format!("{setting}: is not a Redis URL; {expected}"))
    })?;
    let settings = info.redis_settings().clone();
    let settings = settings
        .set_protocol(asked_for(url))
        .set_skip_set_lib_name();
    Ok(info.set_redis_settings(settings))
}
