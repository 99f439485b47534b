//! Payloads are not compared: that takes a time that depends on the bytes.

fn guess(payload: &seal::Payload, guess: &seal::Payload) -> bool {
    payload == guess
}

fn main() {}
