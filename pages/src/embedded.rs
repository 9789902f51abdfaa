//! Data within a page.

use serde::Serialize;
use symopt_dsl::escape::json;

/// Data as JSON that can stand within a `script` element: no tag, comment or line ends or begins in
/// it, whatever its strings hold.
pub(crate) fn embedded(data: &impl Serialize) -> String {
    // Neither strings with all escapes nor maps with other keys than strings come here.
    let text = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    // Outside of strings JSON has none of these.
    json(&text).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_element_that_data_stands_in() {
        let text = "</script><!--<script>&amp;\u{2028}\u{2029}\u{202e}\"\\";
        let data = embedded(&[text]);
        assert!(data.is_ascii() && !data.contains(['<', '>', '&']), "{data}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&data).unwrap(), [text]);
    }
}
