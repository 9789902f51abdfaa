//! Whether a picture is well-formed XML of the kind that this project writes: no comments, no
//! declarations, no text but between elements.

/// Panics unless elements are closed in order, attributes have values between quotes, texts and
/// values are escaped, and the last element ends the last line.
pub fn assert_well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        assert_text(&rest[..start]);
        rest = &rest[start + 1..];
        let end = rest.find('>').expect("an element ends");
        let element = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = element.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in order");
            continue;
        }
        let (body, closed) =
            element.strip_suffix('/').map_or((element, false), |body| (body, true));
        let (name, mut attributes) = body.split_once(' ').unwrap_or((body, ""));
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic()), "{element}");
        while !attributes.trim().is_empty() {
            let (key, value) = attributes
                .trim_start()
                .split_once("=\"")
                .expect("attributes have values between quotes");
            assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{element}");
            let (value, after) = value.split_once('"').expect("a value ends");
            assert_text(value);
            attributes = after;
        }
        if !closed {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    assert_eq!(rest, "\n", "it ends with its last element");
}

fn assert_text(text: &str) {
    assert!(!text.contains(['<', '>']), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    for after in text.split('&').skip(1) {
        assert!(
            ["amp;", "lt;", "gt;", "quot;", "apos;"].iter().any(|entity| after.starts_with(entity)),
            "{text}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_well_formed(xml: &str) -> bool {
        std::panic::catch_unwind(|| assert_well_formed(xml)).is_ok()
    }

    #[test]
    fn what_is_not_well_formed_is_told() {
        assert!(is_well_formed("<svg width=\"1\"><g><line x1=\"0\"/>a &lt; b</g>\n</svg>\n"));
        for broken in [
            "<svg></svg>",
            "<svg><g></svg></g>\n",
            "<svg><g></svg>\n",
            "<svg width=1></svg>\n",
            "<svg width=\"1></svg>\n",
            "<svg>a & b</svg>\n",
            "<svg>a > b</svg>\n",
            "<svg>\u{7}</svg>\n",
            "<svg a=\"<\"></svg>\n",
            "<svg",
        ] {
            assert!(!is_well_formed(broken), "{broken}");
        }
    }
}
