//! The query of a URL as it stands in a key: without signatures, and with digests for secrets.

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

/// Of whom a signature is, and what is signed along with it.
const SIGNERS: [&str; 4] = ["awsaccesskeyid", "googleaccessid", "key-pair-id", "ossaccesskeyid"];
const SIGNED: [&str; 3] = ["signature", "expires", "policy"];
const AZURE: [&str; 16] =
    ["sig", "se", "st", "sp", "sv", "sr", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv", "ss", "srt"];

/// A parameter whose name has any of these in it is taken for a secret. Some that are none have one too (`design`,
/// `author`, `encoder`, `keyword`): a digest is as good a name as the value, so nothing but the look is lost.
const SECRETS: [&str; 17] = [
    "auth", "bearer", "code", "cred", "hdnea", "hdnts", "hmac", "jwt", "key", "pass", "pwd", "sas", "secret",
    "session", "sig", "ticket", "token",
];

/// A query without what signs it, so that a link that was signed anew names the same object, and with digests in the
/// place of other secrets, since who has another one may be given another object. `None` if nothing is left.
///
/// All else stays as it was written, to the byte: what a server makes of it is not known here.
pub(super) fn without_signature(query: &str) -> Option<String> {
    let parts: Vec<(&str, String)> = query.split('&').map(|part| (part, name(part))).collect();
    let signed = parts.iter().any(|(_, name)| SIGNERS.contains(&name.as_str()));
    let has = |wanted| parts.iter().any(|(_, name)| name == wanted);
    let azure = has("sig") && has("sv");
    let signs = |name: &str| {
        ["x-amz-", "x-goog-", "x-oss-"].iter().any(|prefix| name.starts_with(prefix))
            || (signed && (SIGNERS.contains(&name) || SIGNED.contains(&name)))
            || (azure && AZURE.contains(&name))
    };
    let kept: Vec<String> =
        parts.iter().filter(|(_, name)| !signs(name)).map(|(part, name)| without_secret(part, name)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// The name of a parameter, in lower case.
fn name(part: &str) -> String {
    let name = part.split_once('=').map_or(part, |(name, _)| name).replace('+', " ");
    percent_decode_str(&name).decode_utf8_lossy().to_ascii_lowercase()
}

fn without_secret(part: &str, name: &str) -> String {
    match part.split_once('=') {
        Some((shown, value)) if SECRETS.iter().any(|secret| name.contains(secret)) => {
            format!("{shown}={}", digest(value.as_bytes()))
        }
        _ => part.to_owned(),
    }
}

/// What stands for a secret in a key.
pub(super) fn digest(secret: &[u8]) -> String {
    let digest = Sha256::digest(secret);
    format!("sha256-{}", digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_that_secrets_have_shows_its_value() {
        for name in [
            "token",
            "Token",
            "auth_token",
            "session_token",
            "refresh_token",
            "id_token",
            "X-Plex-Token",
            "client_secret",
            "key",
            "access_key",
            "api-key",
            "x-api-key",
            "subscription-key",
            "q-signature",
            "sig",
            "%73ig",
            "sas",
            "hmac",
            "code",
            "sessionid",
            "JSESSIONID",
            "pass",
            "password",
            "passwd",
            "pwd",
            "credential",
            "Authorization",
            "jwt",
            "hdnts",
            "hdnea",
        ] {
            let key = without_signature(&format!("a=1&{name}=SECRET")).unwrap();
            assert!(key.starts_with(&format!("a=1&{name}=sha256-")), "{key}");
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_was_written() {
        for query in ["a=1&b", "f=%FF&g=%fe", "a=b+c&d=e%20f", "a==&&b=%26", "", "x=1&versionId=3&file=a.tif"] {
            assert_eq!(without_signature(query).as_deref(), Some(query));
            let with_secret = format!("{query}&token=A");
            assert_eq!(without_signature(&with_secret).unwrap(), format!("{query}&token={}", digest(b"A")));
            assert_eq!(without_signature(&format!("{query}&X-Amz-Signature=A")).as_deref(), Some(query));
        }
        assert_eq!(without_signature("X-Amz-Date=1&x-amz-signature=2"), None);
    }
}
