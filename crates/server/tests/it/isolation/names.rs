//! Room `server`: a name server that knows no name, so that no answer depends on the network.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// An answer, to a question that wanted recursion: there is no such name (RFC 1035 section 4.1.1).
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

/// Starts it and says where it is. It ends with the process.
pub(crate) fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream);
        }
    });
    address.to_string()
}

/// One question; whoever breaks off is not answered.
fn answer(mut stream: TcpStream) -> Option<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    message.get_mut(2..4)?.copy_from_slice(&NO_SUCH_NAME);
    stream.write_all(&[&length[..], &message].concat()).ok()
}
