//! The floor of a cold epoch: so many connections at once, each a plain socket that asks for one object after another
//! and reads it whole into a buffer that is used again. Nothing is checked but status and length, nothing is kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::catalog::Catalog;
use crate::failure::{Failure, at, parsed, refused};
use crate::laps::{drive, read_order};

const HEAD_BYTES_MAX: usize = 4 << 10;
const EVENTS: usize = 256;
const CONNECTIONS_MAX: usize = 4096;

struct Lap {
    connections: usize,
    order: Vec<u32>,
}

pub fn run(address: SocketAddr, bucket: &str) -> Result<(), Failure> {
    let catalog = Catalog::of_bucket(bucket)?;
    let target = Target { address, bucket, catalog, size: catalog.size as usize };
    let mut buffers: Vec<Vec<u8>> = Vec::new();
    let prepare = |line: &str| {
        let words = line.split_once(' ');
        let (connections, order) = words.ok_or_else(|| refused("not `CONNECTIONS ORDER`"))?;
        let connections = parsed::<usize>("CONNECTIONS", connections)?;
        let order = read_order(order, catalog.count)?;
        match connections {
            1..=CONNECTIONS_MAX => Ok(Lap { connections: connections.min(order.len()), order }),
            _ => Err(refused(format!("{connections} connections are not made here"))),
        }
    };
    drive(prepare, |lap| target.lap(&lap, &mut buffers))
}

struct Target<'a> {
    address: SocketAddr,
    bucket: &'a str,
    catalog: Catalog,
    size: usize,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// Of the answer under way, head and body; 0 while the head is not whole.
    expected: usize,
    connected: bool,
}

impl Target<'_> {
    fn lap(&self, lap: &Lap, buffers: &mut Vec<Vec<u8>>) -> Result<u64, Failure> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut numbers = lap.order.iter();
        let mut connections = Vec::with_capacity(lap.connections);
        for index in 0..lap.connections {
            let buffer = buffers.pop().unwrap_or_else(|| vec![0; self.size + HEAD_BYTES_MAX]);
            let stream = self.start_connecting()?;
            let wanted = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&poll, &stream, EventData::new_u64(index as u64), wanted)?;
            let connection =
                Connection { stream, buffer, filled: 0, expected: 0, connected: false };
            connections.push(connection);
        }
        let mut left = lap.order.len();
        let mut events = Vec::with_capacity(EVENTS);
        while left > 0 {
            wait(&poll, &mut events)?;
            for Event { data, .. } in events.drain(..) {
                let connection = &mut connections[data.u64() as usize];
                left -= self.turn(connection, &mut numbers)?;
            }
        }
        buffers.extend(connections.into_iter().map(|connection| connection.buffer));
        Ok(lap.order.len() as u64)
    }

    fn start_connecting(&self) -> Result<TcpStream, Failure> {
        let family =
            if self.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(at(self.address)(error)),
        }
    }

    /// Goes on until the connection would block; the objects that it ended.
    fn turn<'n>(
        &self,
        connection: &mut Connection,
        numbers: &mut impl Iterator<Item = &'n u32>,
    ) -> Result<usize, Failure> {
        if !connection.connected {
            socket_error(&connection.stream)?.map_err(at(self.address))?;
            if connection.stream.peer_addr().is_err() {
                return Ok(0);
            }
            connection.connected = true;
            connection.stream.set_nodelay(true)?;
            self.ask(connection, numbers)?;
        }
        let mut ended = 0;
        loop {
            match connection.stream.read(&mut connection.buffer[connection.filled..]) {
                Ok(0) => return Err(refused("the server ended a connection")),
                Ok(count) => connection.filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(ended),
                Err(error) => return Err(error.into()),
            }
            if connection.expected == 0 {
                connection.expected = self.expected(&connection.buffer[..connection.filled])?;
            }
            if connection.expected > 0 && connection.filled == connection.expected {
                ended += 1;
                self.ask(connection, numbers)?;
            }
        }
    }

    fn ask<'n>(
        &self,
        connection: &mut Connection,
        numbers: &mut impl Iterator<Item = &'n u32>,
    ) -> Result<(), Failure> {
        (connection.filled, connection.expected) = (0, 0);
        if let Some(number) = numbers.next() {
            let key = self.catalog.key(u64::from(*number));
            let (bucket, host) = (self.bucket, self.address);
            let request = format!("GET /{bucket}/{key} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            // A socket whose last answer was read has room for a request.
            connection.stream.write_all(request.as_bytes())?;
        }
        Ok(())
    }

    /// The length of the answer that begins in `bytes`; 0 while its head is not whole.
    fn expected(&self, bytes: &[u8]) -> Result<usize, Failure> {
        let looked_at = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let Some(end) = looked_at.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(0);
        };
        let head = std::str::from_utf8(&bytes[..end])?;
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "));
        if !head.starts_with("HTTP/1.1 200") || length != Some(self.size.to_string().as_str()) {
            return Err(refused(format!("the server answered {head}")));
        }
        Ok(end + 4 + self.size)
    }
}

fn wait(poll: &impl AsFd, events: &mut Vec<Event>) -> Result<(), Failure> {
    match epoll::wait(poll, rustix::buffer::spare_capacity(events), None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
