//! A payload has no text.

fn log(payload: &seal::Payload) -> String {
    format!("{payload}")
}

fn main() {}
