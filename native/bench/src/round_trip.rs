//! How long a link takes there and back: the least of some TCP handshakes.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::failure::{Failure, at};

const TRIES: usize = 9;
const PATIENCE: Duration = Duration::from_secs(5);

pub fn run(address: SocketAddr) -> Result<(), Failure> {
    let mut least = f64::INFINITY;
    for _ in 0..TRIES {
        let started = Instant::now();
        TcpStream::connect_timeout(&address, PATIENCE).map_err(at(address))?;
        least = least.min(started.elapsed().as_secs_f64());
    }
    println!("{least}");
    Ok(())
}
