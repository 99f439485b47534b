//! Misuse of plaintext and keys must not compile. Each file is one attempt, and its `.stderr` is the compiler's
//! answer. After a change of the compiler's wording: `TRYBUILD=overwrite cargo test -p seal --test misuse`.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}
