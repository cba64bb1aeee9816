//! TOML, parsed by `toml_edit`, whose spans tell where each string stands.

use alloc::string::String;
use alloc::vec::Vec;

use toml_edit::{Document, Item, Value};

use super::style::Style;
use super::{Field, Unparsable, at, utf8};
use crate::value::Rule;

pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let text = utf8(bytes)?;
    let document = Document::parse(text)
        .map_err(|error| at(bytes, error.span().map_or(0, |s| s.start), "not valid TOML"))?;
    let mut out = Vec::new();
    for (key, item) in document.as_table() {
        walk_item(key, item, &mut out);
    }
    out.sort_by_key(|field| field.span.start);
    Ok(out)
}

fn walk_item(path: &str, item: &Item, out: &mut Vec<Field>) {
    match item {
        Item::None => {}
        Item::Value(value) => walk_value(path, value, out),
        Item::Table(table) => table.iter().for_each(|(key, item)| walk_item(&join(path, key), item, out)),
        Item::ArrayOfTables(tables) => {
            tables
                .iter()
                .flat_map(|t| t.iter())
                .for_each(|(key, item)| walk_item(&join(path, key), item, out));
        }
    }
}

fn walk_value(path: &str, value: &Value, out: &mut Vec<Field>) {
    match value {
        Value::String(string) => {
            let Some(span) = string.span() else { return };
            let value = string.value().as_bytes().to_vec();
            out.push(Field {
                span,
                path: String::from(path),
                style: Style::Json,
                value,
                rule: Rule::ByRules,
            });
        }
        Value::Array(array) => array.iter().for_each(|v| walk_value(path, v, out)),
        Value::InlineTable(table) => table.iter().for_each(|(key, v)| walk_value(&join(path, key), v, out)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn join(path: &str, key: &str) -> String {
    alloc::format!("{path}.{key}")
}
