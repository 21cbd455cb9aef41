//! Texts of others, as a terminal may have them.

use std::borrow::Cow;

/// A text that somebody else chose (a URL, a name in an archive), without what would move a terminal's cursor.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(
            text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(printable("größe 1"), "größe 1");
        assert_eq!(printable("a\n\u{1b}[2Jb"), "a\\n\\u{1b}[2Jb");
    }
}
