//! Queries of every kind, for property tests.

use proptest::prelude::*;

use super::{Bound, Condition, KeywordField, Node, Optional, Pattern, Query, TextField, TimeField};
use crate::record::Level;
use crate::timestamp;

/// Any query that can be read.
pub(crate) fn queries() -> impl Strategy<Value = Query> {
    nodes().prop_map(|root| Query { root })
}

fn nodes() -> impl Strategy<Value = Node> {
    conditions().prop_map(Node::Is).prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Or),
            inner.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

fn conditions() -> impl Strategy<Value = Condition> {
    let text = || prop::sample::select(vec![TextField::Any, TextField::Message, TextField::FullLog]);
    let keyword = prop::sample::select(KeywordField::NAMED.map(|(_, field)| field).to_vec());
    let time = prop::sample::select(TimeField::NAMED.map(|(_, field)| field).to_vec());
    let level = || 0..Level::ALL.len();
    let moment = || prop::option::of(timestamp::MIN..=timestamp::MAX);
    // Without a field, a question mark at the end of a word is text.
    prop_oneof![
        4 => (text(), "[^\0]{0,3}[a-z0-9A-Zéß日]{1,6}[^\0]{0,6}").prop_map(|(field, text)| Condition::Words(field, text)),
        1 => (text(), "[a-z日\u{301}]{2}[a-z]{0,3}", any::<bool>()).prop_map(|(field, text, first)| Condition::Wild(field, wild(&text, first, Pattern::push_any))),
        2 => (keyword, values()).prop_map(|(field, value)| Condition::Keyword(field, if field.is_id() { value.to_ascii_lowercase() } else { value })),
        1 => (level(), level()).prop_map(|(a, b)| Condition::Level(Level::ALL[a.min(b)], Level::ALL[a.max(b)])),
        1 => (time, moment(), moment()).prop_filter_map("in order", |(field, from, to)| {
            (!matches!((from, to), (Some(from), Some(to)) if from >= to)).then_some(Condition::Time(field, from, to))
        }),
        1 => (paths(), values()).prop_map(|(path, value)| Condition::Attribute(path, value)),
        1 => (paths(), bounds(), bounds()).prop_filter_map("in order", |(path, low, high)| {
            let number = |bound| match bound { Bound::Open => None, Bound::Including(n) | Bound::Excluding(n) => Some(n) };
            (!matches!((number(low), number(high)), (Some(low), Some(high)) if low >= high)).then_some(Condition::Number(path, low, high))
        }),
        1 => prop_oneof![Just(Optional::FullLog), Just(Optional::Language), Just(Optional::TraceId), Just(Optional::SpanId), paths().prop_map(Optional::Attribute)].prop_map(Condition::Exists),
    ]
}

fn paths() -> impl Strategy<Value = String> {
    "[a-zA-Z_é][^\0]{0,8}"
}

fn bounds() -> impl Strategy<Value = Bound> {
    let number = || prop_oneof![(-1000..1000_i32).prop_map(f64::from), prop::num::f64::NORMAL];
    prop_oneof![Just(Bound::Open), number().prop_map(Bound::Including), number().prop_map(Bound::Excluding)]
}

fn values() -> impl Strategy<Value = Pattern> {
    prop_oneof!["[^\0]{0,8}".prop_map(|text| Pattern::exact(&text)), ("[^\0*?]{2,6}", any::<bool>()).prop_map(|(text, first)| wild(&text, first, Pattern::push_one))]
}

/// A text with a star at its beginning, or what `push` adds at its end.
fn wild(text: &str, first: bool, push: fn(&mut Pattern)) -> Pattern {
    let mut pattern = Pattern::default();
    if first {
        pattern.push_any();
    }
    text.chars().for_each(|c| pattern.push_char(c));
    if !first {
        push(&mut pattern);
    }
    pattern
}
