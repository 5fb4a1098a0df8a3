//! Whose web pages may ask: an exact list of origins (RFC 6454), and the hub's own. And by which names the
//! hub may be asked for at all.
//!
//! A browser says with every request of a page where the page came from, and no page can change that. A
//! request that has no such header comes from no page. The hub takes no cookies, so a page without a token
//! could do nothing anyway; this keeps it from trying.

/// Origins that are let in, and the hub's own names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    exact: Vec<String>,
    hosts: Vec<String>,
}

/// What the origin of a request means for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page<'o> {
    /// No page asked, or one of the hub's own.
    Own,
    /// A page of this origin, which is in the list.
    Listed(&'o str),
    /// Any other, or what is no origin.
    Foreign,
    /// The request is for a host of another name (RFC 9110, section 15.5.20): a page whose name was made to
    /// lead here after it was loaded would count as one of the hub's own.
    Misdirected,
}

impl Origins {
    /// These, each written as a browser writes it.
    pub fn new(exact: Vec<String>) -> Self {
        Self { exact, hosts: Vec::new() }
    }

    /// With these as the only names that the hub answers to, each a host without its port; none: any.
    #[must_use]
    pub fn with_hosts(self, hosts: Vec<String>) -> Self {
        Self { hosts, ..self }
    }

    fn is_own_name(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Judges the values of a request's `Origin` and `Host` headers, each as often as it stands there.
    pub fn judge<'v>(
        &self,
        mut origins: impl Iterator<Item = &'v [u8]>,
        mut hosts: impl Iterator<Item = &'v [u8]>,
    ) -> Page<'_> {
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(host),
            _ => None,
        };
        if !self.hosts.is_empty() && !host.is_some_and(|host| self.is_own_name(host)) {
            return Page::Misdirected;
        }
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return Page::Own,
            (Some(origin), None) => origin,
            (Some(_), Some(_)) => return Page::Foreign,
        };
        if let Some(listed) = self.exact.iter().find(|listed| listed.as_bytes() == origin) {
            return Page::Listed(listed);
        }
        // A port speaks either TLS or not, so host and port say enough of the hub's own pages.
        let place = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
        match (place, host) {
            (Some(place), Some(host)) if !host.is_empty() && place == host => Page::Own,
            _ => Page::Foreign,
        }
    }
}

/// Whether it is a host as a URL has it: a name, or an address, in brackets if it is of version 6.
pub fn is_host(text: &str) -> bool {
    let is_bare = !text.contains(':') || (text.starts_with('[') && text.ends_with(']'));
    is_bare && is_exact(&format!("https://{text}"))
}

/// Whether a browser would write an origin so: scheme, host and, where it isn't the usual one, port.
pub fn is_exact(text: &str) -> bool {
    let place = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(place), _) if !place.ends_with(":443") => place,
        (None, Some(place)) if !place.ends_with(":80") => place,
        _ => return false,
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-[]:".contains(&byte);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
    let bracketed = host.starts_with('[') && host.ends_with(']');
    !host.is_empty()
        && host.bytes().all(fits)
        && (bracketed || !host.contains(['[', ']', ':']))
        && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bh13_only_an_origin_that_is_written_exactly_so_comes_in() {
        let good = "https://city.example";
        for (origins, wanted) in [
            (&[][..], Page::Own),
            (&[good], Page::Listed(good)),
            (&["https://hub.example:8443"], Page::Own),
            (&["http://hub.example:8443"], Page::Own),
            (&["https://evil.example"], Page::Foreign),
            (&["null"], Page::Foreign),
            (&[""], Page::Foreign),
            (&["https://city.example.evil"], Page::Foreign),
            (&["https://evil.city.example"], Page::Foreign),
            (&["https://city.example:8443"], Page::Foreign),
            (&["https://city.example:443"], Page::Foreign),
            (&["HTTPS://CITY.EXAMPLE"], Page::Foreign),
            (&["http://city.example"], Page::Foreign),
            (&["https://city.example/"], Page::Foreign),
            (&["https://hub.example"], Page::Foreign),
            (&["https://hub.example:8443.evil"], Page::Foreign),
            (&["hub.example:8443"], Page::Foreign),
            (&[good, good], Page::Foreign),
        ] {
            let known = Origins::new(vec![good.to_owned()]);
            let origins_bytes = origins.iter().map(|text| text.as_bytes());
            let host = std::iter::once(&b"hub.example:8443"[..]);
            assert_eq!(known.judge(origins_bytes, host), wanted, "{origins:?}");
        }
        let none = Origins::default();
        let own = || std::iter::once(&b"https://a"[..]);
        let twice = [&b"a"[..], &b"a"[..]];
        assert_eq!(none.judge(own(), twice.into_iter()), Page::Foreign, "two hosts are none");
        assert_eq!(none.judge(own(), std::iter::empty()), Page::Foreign);
    }

    #[test]
    fn bh6_a_hub_with_names_answers_to_no_other() {
        let hosts = ["hub.example", "[::1]"].map(str::to_owned).to_vec();
        let known = Origins::default().with_hosts(hosts);
        let own: [&[u8]; 5] =
            [b"hub.example", b"hub.example:8443", b"HUB.example", b"[::1]", b"[::1]:8443"];
        for host in own {
            assert_eq!(known.judge(std::iter::empty(), std::iter::once(host)), Page::Own);
        }
        let others: [&[u8]; 6] =
            [b"evil.example", b"hub.example.evil", b"", b"hub.example:x", b"\xff", b"::1"];
        for host in others {
            assert_eq!(known.judge(std::iter::empty(), std::iter::once(host)), Page::Misdirected);
        }
        assert_eq!(known.judge(std::iter::empty(), std::iter::empty()), Page::Misdirected);
        assert!(is_host("hub.example") && is_host("127.0.0.1") && is_host("[::1]"));
        for bad in ["", "*", "hub.example:8443", "https://hub.example", "Hub.example", "::1"] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn the_list_has_only_what_a_browser_would_write() {
        for good in
            ["https://a.example", "http://127.0.0.1:8080", "https://[::1]:8443", "https://[::1]"]
        {
            assert!(is_exact(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "https://",
            "https://*.a.example",
            "https://a.example/",
            "https://A.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://a.example:08443",
            "https://a:b",
            "https://a.example:99999",
            "ftp://a.example",
            "https://a.example:",
            "https://u@a.example",
        ] {
            assert!(!is_exact(bad), "{bad}");
        }
    }
}
