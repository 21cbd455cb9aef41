//! What of a text may be shown.

/// The part of anything that was given for a URL that may stand in a message: no user and password, no query.
pub(in crate::origin) fn without_secrets(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    // A password may have any character in it, so everything up to the last @ is taken for one.
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}
