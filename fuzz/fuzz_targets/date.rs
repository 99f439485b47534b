//! Any text for a date: what is understood prints, and its print is understood as the same moment.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(moment) = barbican::fuzzing::date(text) {
        assert_eq!(barbican::fuzzing::date(&moment.to_string()), Some(moment), "{text:?} became {moment}");
    }
});
