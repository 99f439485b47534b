//! A payload that was given away is gone.

fn use_twice(payload: seal::Payload) {
    drop(payload);
    drop(payload);
}

fn main() {}
