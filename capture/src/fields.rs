//! Named values in their order, as JSON and as text.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Number(u64),
    Signed(i64),
    Flag(bool),
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    Texts(Vec<String>),
    Group(Fields),
    Groups(Vec<Fields>),
}

/// Values with their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((name, value));
        self
    }

    pub(crate) fn with_some(self, name: &'static str, value: Option<Value>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Other fields behind these.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_str(&hex(bytes)),
            Self::Texts(texts) => serializer.collect_seq(texts),
            Self::Group(fields) => fields.serialize(serializer),
            Self::Groups(groups) => serializer.collect_seq(groups),
        }
    }
}

/// Bytes shown of those that are no text.
const BYTES_SHOWN: usize = 32;

/// One line, and one more, indented, for each group.
impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Value::Number(number) => write!(f, "  {name} {number}")?,
                Value::Signed(number) => write!(f, "  {name} {number}")?,
                Value::Flag(true) => write!(f, "  {name}")?,
                Value::Flag(false) | Value::Group(_) | Value::Groups(_) => {}
                // What a peer chose must not speak to the terminal.
                Value::Text(text) => write!(f, "  {name} {}", text.escape_debug())?,
                Value::Texts(texts) => {
                    write!(f, "  {name} {}", texts.join(" ").escape_debug())?;
                }
                Value::Bytes(bytes) => {
                    let shown = bytes.get(..BYTES_SHOWN).unwrap_or(bytes);
                    let more = if shown.len() < bytes.len() { "..." } else { "" };
                    write!(f, "  {name} {}{more}", hex(shown))?;
                }
            }
        }
        for (name, value) in &self.0 {
            let groups = match value {
                Value::Group(group) => std::slice::from_ref(group),
                Value::Groups(groups) => groups,
                Value::Number(_)
                | Value::Signed(_)
                | Value::Flag(_)
                | Value::Text(_)
                | Value::Texts(_)
                | Value::Bytes(_) => continue,
            };
            for group in groups {
                let text = group.to_string().replace('\n', "\n    ");
                write!(f, "\n    {name}{text}")?;
            }
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_in_both_forms() {
        let inner = Fields::default().with("id", Value::Text("0x1".to_owned()));
        let fields = Fields::default()
            .with("pool", Value::Text("a\u{1b}[2J".to_owned()))
            .with("elements", Value::Groups(vec![inner.clone(), inner]))
            .with("again", Value::Flag(true))
            .with("cookie", Value::Bytes(vec![0xab; 40]));
        let text = fields.to_string();
        let cookie = "ab".repeat(32);
        let expected = format!(
            "  pool a\\u{{1b}}[2J  again  cookie {cookie}...\
             \n    elements  id 0x1\n    elements  id 0x1"
        );
        assert_eq!(text, expected);
        let json = serde_json::to_string(&fields).unwrap();
        let begin = r#"{"pool":"a\u001b[2J","elements":[{"id":"0x1"},{"id":"0x1"}],"again":true"#;
        assert!(json.starts_with(begin), "{json}");
        assert!(json.contains(&"ab".repeat(40)), "{json}");
    }
}
