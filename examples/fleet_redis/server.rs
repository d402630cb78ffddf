//! A Redis server for the fleet.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::Result;

pub(crate) struct Redis {
    url: String,
    /// Our own server, if we started one. It is stopped when this is dropped.
    _own: Option<Own>,
}

/// A server that this example has started, with a folder of its own.
struct Own {
    child: Child,
    folder: PathBuf,
}

impl Redis {
    /// Uses the server that `REDIS_URL` names, or starts one.
    pub(crate) fn find() -> Result<Self> {
        if let Ok(url) = env::var("REDIS_URL") {
            return Ok(Self { url, _own: None });
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let folder = env::temp_dir().join(format!("fleet_redis-{}", process::id()));
        fs::create_dir_all(&folder)?;
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
            ])
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("no redis-server can be started ({error}), and no REDIS_URL is set")
            })?;
        let own = Some(Own { child, folder });
        let redis = Self {
            url: format!("redis://127.0.0.1:{port}"),
            _own: own,
        };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(redis);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("redis-server does not answer".into())
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address without user name and password.
    pub(crate) fn address(&self) -> &str {
        self.url
            .rsplit(['@', '/'])
            .find(|part| part.contains(':'))
            .unwrap_or("REDIS_URL")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
