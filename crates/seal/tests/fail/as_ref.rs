//! Nor does it turn into bytes wherever something takes them.

fn slip(payload: &seal::Payload) -> &[u8] {
    AsRef::<[u8]>::as_ref(payload)
}

fn main() {}
