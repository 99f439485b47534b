//! Any text as a date: an accepted one prints as a text of the same moment.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(moment) = transport::fuzzing::date(text) {
        assert_eq!(transport::fuzzing::date(&moment.to_string()), Some(moment), "{text:?} became {moment}");
    }
});
