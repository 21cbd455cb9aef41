//! Paths: as they read, as they stand in a URL, and as they come in a request.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a URL parser would take for something other than a part of the path, or would rewrite.
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path as the objects are kept by.
pub(crate) fn with_leading_slash(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// A path as it stands in a URL.
pub(crate) fn encoded(path: &str) -> String {
    utf8_percent_encode(&with_leading_slash(path), NOT_IN_A_PATH).to_string()
}

/// The path of a request target, decoded and without the query. The target may be a whole URL
/// (RFC 9112, section 3.2.2).
pub(crate) fn of_target(target: &str) -> String {
    let path = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |slash| &rest[slash..]),
        _ => target,
    };
    let end = path.find(['?', '#']).unwrap_or(path.len());
    percent_decode_str(&path[..end]).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_become_paths() {
        for (target, path) in [
            ("/", "/"),
            ("/a%20b%2Fc", "/a b/c"),
            ("/%C3%A9?x=1", "/\u{e9}"),
            ("/%ff", "/\u{fffd}"),
            ("/100%", "/100%"),
            ("http://127.0.0.1:80/data.bin?x", "/data.bin"),
            ("http://127.0.0.1", "/"),
            ("/to/http://elsewhere/x", "/to/http://elsewhere/x"),
            ("*", "*"),
        ] {
            assert_eq!(of_target(target), path, "{target}");
        }
    }

    #[test]
    fn paths_go_into_urls_and_come_back() {
        assert_eq!(encoded("data.bin"), "/data.bin");
        assert_eq!(encoded("/a b?c#d%e/\u{e9}"), "/a%20b%3Fc%23d%25e/%C3%A9");
        for path in ["/", "/a b", "/100%", "/%41", "/q?#[]\\", "/\u{1f980}/\u{7f}\n"] {
            assert_eq!(of_target(&encoded(path)), path);
        }
    }
}
