//! The bodies of orders, and of ACLs, consumers, containers and quotas.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Some(meta) = barbican::fuzzing::order(body) {
        // The JSON of an order parses to the same order.
        let order = format!("{{\"type\": \"key\", \"meta\": {meta}}}");
        let again = barbican::fuzzing::order(order.as_bytes());
        assert!(again.is_none_or(|again| again == meta), "{meta}");
    }
    let _ = barbican::fuzzing::belongings(body);
});
