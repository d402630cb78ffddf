//! google-cloud-auth's cached user credentials, with a token from an address on this machine. For each request the
//! cache creates a whole header map, because a request may need several headers. It can also report that nothing has
//! changed since the last request.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::LazyLock,
    thread,
};

use google_cloud_auth::credentials::{CacheableResource, Credentials, user_account};
use http::{Extensions, HeaderValue, header::AUTHORIZATION};

use super::{Inserts, RUNTIME};
use crate::lane::Lane;

static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(|| {
    let user = serde_json::json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "none", "refresh_token": "none",
        "token_uri": serve_tokens(),
    });
    let _runtime = RUNTIME.enter();
    let credentials = user_account::Builder::new(user)
        .build()
        .expect("credentials");
    RUNTIME.block_on(value(&credentials));
    credentials
});

/// Starts a server that answers every call with a token. Returns its address.
fn serve_tokens() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let token = "0123456789abcdef".repeat(4);
            let body =
                format!(r#"{{"access_token":"{token}","expires_in":86400,"token_type":"Bearer"}}"#);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}/token")
}

async fn value(credentials: &Credentials) -> HeaderValue {
    match credentials
        .headers(Extensions::new())
        .await
        .expect("a token")
    {
        CacheableResource::New { mut data, .. } => data.remove(AUTHORIZATION).expect("a header"),
        CacheableResource::NotModified => unreachable!("nothing was said of an earlier one"),
    }
}

pub(super) fn lane() -> Box<dyn Lane> {
    LazyLock::force(&CREDENTIALS);
    Box::new(Inserts::new(|| value(&CREDENTIALS)))
}
