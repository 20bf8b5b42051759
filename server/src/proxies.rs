//! Proxies before us: what one that is trusted says of where a request came from is believed, and nothing that anybody else says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::HeaderMap;
use ipnet::IpNet;
use shared::settings::{Env, SettingError};

/// Where each proxy adds, at the end, who spoke to it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of proxies that are trusted.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    /// `LOGGERHUB_TRUSTED_PROXIES`.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn from_env(env: &Env) -> Result<Self, SettingError> {
        const NAME: &str = "LOGGERHUB_TRUSTED_PROXIES";
        let listed = env.optional(NAME).unwrap_or_default();
        let networks = listed.split(',').map(str::trim).filter(|network| !network.is_empty()).map(|network| {
            let network = network.parse().or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| SettingError::Unreadable { name: NAME, reason: "it must hold addresses, or networks such as 10.0.0.0/8, with commas between them".to_owned() })
        });
        networks.collect::<Result<Vec<IpNet>, _>>().map(|networks| Self(networks.into()))
    }

    /// Who sent a request that `peer` handed on: of all who are said to have, the last one that is no trusted proxy. What stands before that
    /// anybody can write.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            for said in line.to_str().unwrap_or_default().rsplit(',') {
                let Some(said) = address(said.trim()).filter(|_| self.trusts(client)) else { return client };
                client = said;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, as some proxies write it with its port.
fn address(said: &str) -> Option<IpAddr> {
    said.parse().or_else(|_| said.parse::<SocketAddr>().map(|with_port| with_port.ip())).ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, lines: &[&str]) -> String {
        let proxies = Proxies::from_env(&Env::default().with("LOGGERHUB_TRUSTED_PROXIES", proxies)).expect("networks");
        let headers = lines.iter().map(|line| (axum::http::HeaderName::from_static(FORWARDED_FOR), line.parse().expect("a value"))).collect();
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_says_is_believed() {
        assert_eq!(client("", "10.0.0.1", &["192.0.2.7"]), "10.0.0.1", "nobody is trusted");
        assert_eq!(client("10.0.0.0/8", "198.51.100.1", &["192.0.2.7"]), "198.51.100.1", "this one is not");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["203.0.113.9, 192.0.2.7"]), "192.0.2.7", "what the client wrote itself counts for nothing");
        assert_eq!(client("10.0.0.0/8, ::1", "::1", &["203.0.113.9", "192.0.2.7, 10.2.3.4"]), "192.0.2.7", "two proxies, and two lines");
        assert_eq!(client("10.0.0.0/8", "::ffff:10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["192.0.2.7, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["10.1.1.1"]), "10.1.1.1");
    }

    #[test]
    fn what_is_no_network_is_refused_at_start() {
        for bad in ["proxy", "10.0.0.0/33", "10.0.0.1, x"] {
            assert!(Proxies::from_env(&Env::default().with("LOGGERHUB_TRUSTED_PROXIES", bad)).is_err(), "{bad}");
        }
    }
}
