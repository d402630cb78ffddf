//! What may be asked for: paths of one upstream, and nothing else.

use http::{
    Method, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{GatewayError, answer::Refusal};

/// The one server that requests go to.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at the end: empty, if there is no path.
    path: String,
}

impl Upstream {
    pub(crate) fn of(base_url: &str) -> Result<Self, GatewayError> {
        let wrong = || GatewayError::new("base_url", format!("`{base_url}` is not a URL"));
        let parts = base_url.parse::<Uri>().map_err(|_| wrong())?.into_parts();
        let path = parts.path_and_query.map(|path| path.path().to_owned());
        Ok(Self {
            scheme: parts.scheme.ok_or_else(wrong)?,
            authority: parts.authority.ok_or_else(wrong)?,
            path: path.unwrap_or_default().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns where a request goes: its path and query, byte for byte, behind the base URL.
    pub(crate) fn target(&self, request: &Parts) -> Result<Uri, Refusal> {
        check_form(request)?;
        check_host(request)?;
        let asked = request
            .uri
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        if !self.path.is_empty() && leaves_its_folder(request.uri.path()) {
            return Err(Refusal::Target("leaves the folder of the base URL"));
        }
        let target = PathAndQuery::try_from(format!("{}{asked}", self.path));
        let target = target.map_err(|_| Refusal::Target("is not a path"))?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).map_err(|_| Refusal::Target("is not a path"))
    }
}

/// Refuses all forms but a path (RFC 9112, section 3.2): the others ask a proxy for a server of the caller's choice.
fn check_form(request: &Parts) -> Result<(), Refusal> {
    if request.method == Method::CONNECT {
        return Err(Refusal::Target("is for CONNECT, which is not offered"));
    }
    // In HTTP/2, the authority takes the place of `Host`.
    let is_absolute = request.uri.scheme().is_some() || request.uri.authority().is_some();
    if is_absolute && request.version != Version::HTTP_2 {
        return Err(Refusal::Target("names a server; expected a path alone"));
    }
    if !request.uri.path().starts_with('/') {
        return Err(Refusal::Target("is not a path"));
    }
    Ok(())
}

/// Refuses a request that does not say, or says twice, whom it is for (RFC 9112, section 3.2). Whom it names makes no
/// difference, because all requests go to one server.
fn check_host(request: &Parts) -> Result<(), Refusal> {
    let hosts = request.headers.get_all(header::HOST).into_iter().count();
    match request.version {
        Version::HTTP_11 if hosts != 1 => Err(Refusal::Host),
        _ if hosts > 1 => Err(Refusal::Host),
        _ => Ok(()),
    }
}

/// Returns whether a server might read this path as one that goes up. Servers differ in what they decode, so all
/// readings count.
fn leaves_its_folder(path: &str) -> bool {
    let mut path = path.to_ascii_lowercase();
    while path.contains("%25") {
        path = path.replace("%25", "%");
    }
    let path = path
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "\\")
        .replace("%3b", ";");
    path.split(['/', '\\'])
        .filter_map(|segment| segment.split(';').next())
        .any(|segment| segment == "..")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn target(base: &str, asked: &str) -> Result<String, Refusal> {
        let request = Request::get(asked).header("host", "a").body(()).unwrap();
        let target = Upstream::of(base).unwrap().target(&request.into_parts().0);
        target.map(|target| target.to_string())
    }

    #[test]
    fn path_and_query_are_passed_byte_for_byte() {
        for asked in [
            "/",
            "/v1/scan?a=b&c=%20%2F&&=?",
            "/v1//scan/",
            "//elsewhere.example/v1",
            "/a/../b",
            "/%E2%82%AC;x=1",
            "/a|b\"c",
        ] {
            let plain = target("http://127.0.0.1:1", asked).unwrap();
            assert_eq!(plain, format!("http://127.0.0.1:1{asked}"));
        }
        let below = target("https://sipher.example/api/", "/v1/scan?x").unwrap();
        assert_eq!(below, "https://sipher.example/api/v1/scan?x");
    }

    #[test]
    fn nobody_leaves_the_folder_of_the_base_url() {
        for asked in [
            "/../admin",
            "/v1/..",
            "/v1/%2E./x",
            "/v1/%252e%252e/x",
            "/v1/..%2fx",
            "/v1/..%5cx",
            "/v1/..;a=b/x",
        ] {
            assert!(
                target("https://sipher.example/api", asked).is_err(),
                "{asked}"
            );
        }
        assert!(target("https://sipher.example/api", "/v1/..x/x..").is_ok());
    }
}
