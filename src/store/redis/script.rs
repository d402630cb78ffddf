//! The steps, as scripts that run on the server.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value};

use super::connection::Connection;

macro_rules! scripts {
    ($($name:ident = $($file:literal),+;)+) => { $(
        pub(super) static $name: LazyLock<Source> = LazyLock::new(|| {
            Source::new(concat!($(include_str!(concat!("scripts/", $file, ".lua")), "\n"),+))
        });
    )+ };
}

scripts! {
    GET = "common", "get";
    CLAIM = "common", "successor", "claim";
    PUBLISH = "common", "users", "publish";
    RELEASE = "common", "release";
    KEEP = "common", "users", "keep";
    LEAVE = "common", "users", "revoking", "leave";
    REVOKE = "common", "revoking", "revoke";
}

/// A script, and its hash by which the server knows it.
pub(super) struct Source {
    text: &'static str,
    hash: String,
}

/// A script with its keys and arguments.
pub(super) struct Call {
    source: &'static Source,
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

impl Source {
    fn new(text: &'static str) -> Self {
        let hash = Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }

    pub(super) fn on<const N: usize>(&'static self, keys: [String; N]) -> Call {
        Call {
            source: self,
            keys: keys.into(),
            arguments: Vec::new(),
        }
    }
}

impl Call {
    pub(super) fn with(mut self, argument: impl ToRedisArgs) -> Self {
        argument.write_redis_args(&mut self.arguments);
        self
    }

    /// Runs the script by its hash. If the server does not know the hash, because it restarted or flushed its scripts,
    /// sends the text.
    pub(super) async fn run(&self, connection: &mut Connection) -> RedisResult<Value> {
        let by_hash = self.command("EVALSHA", &self.source.hash);
        match connection.ask(&by_hash).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection
                    .ask(&self.command("EVAL", self.source.text))
                    .await
            }
            answer => answer,
        }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command
            .arg(script)
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.arguments);
        command
    }
}
