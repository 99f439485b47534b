//! A payload does not pass for bytes; `expose` is where a reader looks for leaks.

fn slip(payload: &seal::Payload) -> &[u8] {
    payload
}

fn main() {}
