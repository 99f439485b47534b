//! Any query string of a list is parsed or refused, and a parsed one keeps its limits.
#![no_main]

libfuzzer_sys::fuzz_target!(|raw: &str| {
    if let Some(query) = barbican::fuzzing::list_query(raw) {
        assert!((1..=model::PAGE_LIMIT_MAX).contains(&query.limit));
        assert!(query.sort.len() <= model::SortKey::ALL.len());
    }
});
