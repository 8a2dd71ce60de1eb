//! Where requests may go.

use std::net::IpAddr;

use reqwest::Url;

/// Which hosts a client may speak to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Egress {
    /// These host names or addresses only, whatever the port: those the operator configured.
    Hosts(Vec<String>),
    /// This machine only.
    LoopbackOnly,
}

impl Egress {
    /// The host of one configured URL. `None` when it is no HTTP URL.
    pub fn to_host_of(url: &str) -> Option<Self> {
        host_of(url).map(|host| Egress::Hosts(vec![host]))
    }

    /// Whether a request to this URL may go out.
    pub fn allows(&self, url: &Url) -> bool {
        match (self, url_host(url)) {
            (Egress::Hosts(hosts), Some(host)) => {
                hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&host))
            }
            (Egress::LoopbackOnly, Some(host)) => is_loopback_host(&host),
            (_, None) => false,
        }
    }
}

/// The host of an `http` or `https` URL in lower case, IPv6 addresses without brackets.
pub fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok().as_ref().and_then(url_host)
}

/// Whether a URL names this machine. A name other than `localhost` is not resolved and counts as remote.
pub fn is_loopback(url: &str) -> bool {
    host_of(url).is_some_and(|host| is_loopback_host(&host))
}

fn url_host(url: &Url) -> Option<String> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = url.host_str()?.trim_matches(['[', ']']).trim_end_matches('.');
    Some(host.to_ascii_lowercase())
}

fn is_loopback_host(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
        Ok(IpAddr::V4(ip)) => ip.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised_by_what_it_is_not_by_how_it_begins() {
        for url in
            ["http://127.0.0.1:11434", "http://LOCALHOST/v1", "http://[::1]:80", "http://[::ffff:127.0.0.1]"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["http://127.0.0.1.evil.example", "http://localhost@evil.example", "http://10.0.0.1", "file:///x"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn only_named_hosts_are_reached() {
        let egress = Egress::to_host_of("https://API.openai.com/v1").unwrap();
        assert!(egress.allows(&Url::parse("https://api.openai.com/v1/chat").unwrap()));
        assert!(!egress.allows(&Url::parse("https://api.openai.com.evil.example/").unwrap()));
        assert!(!egress.allows(&Url::parse("http://169.254.169.254/latest").unwrap()));
    }
}
