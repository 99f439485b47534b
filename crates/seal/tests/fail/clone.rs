//! A payload is not duplicated.

fn keep(payload: &seal::Payload) -> seal::Payload {
    payload.clone()
}

fn main() {}
