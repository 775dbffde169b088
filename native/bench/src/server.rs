//! A load generator that answers like S3: keep-alive HTTP/1.1, bodies sent from memory without a copy of our own. It
//! exists so that the server is not what a bench measures.

use std::collections::HashMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::thread;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendFlags, listen, send};

use crate::answer::{Answer, Body, answer, refusal};
use crate::failure::{Failure, at};
use crate::lifeline::end_with_stdin;
use crate::request::Request;
use crate::window::Window;

const LISTENER: u64 = u64::MAX;
const READ_BYTES: usize = 16 << 10;
const EVENTS: usize = 256;
const BACKLOG: i32 = 4096;

/// Runs until stdin ends. Prints the address that it listens on.
pub fn serve(address: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).map_err(at(address))?;
    // Again, for a queue in which hundreds of connections may wait at once.
    listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    let window = Arc::new(Window::new()?);
    println!("{}", listener.local_addr()?);
    end_with_stdin();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let run = || {
        let (listener, window) = (listener.try_clone()?, window.clone());
        Ok(thread::spawn(move || Loop { listener, window, connections: HashMap::new() }.run()))
    };
    let loops = (0..threads).map(|_| run()).collect::<Result<Vec<_>, Failure>>()?;
    for one in loops {
        one.join().expect("a server thread does not panic")?;
    }
    Ok(())
}

/// One thread's connections.
struct Loop {
    listener: TcpListener,
    window: Arc<Window>,
    connections: HashMap<u64, Connection>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// What is still to be sent.
    sending: Option<Answer>,
    sent: usize,
}

impl Loop {
    fn run(mut self) -> Result<(), Failure> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let wanted = EventFlags::IN | EventFlags::EXCLUSIVE;
        epoll::add(&poll, &self.listener, EventData::new_u64(LISTENER), wanted)?;
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for Event { data, .. } in events.drain(..) {
                match data.u64() {
                    LISTENER => self.accept(&poll)?,
                    number => self.turn(&poll, number)?,
                }
            }
        }
    }

    fn accept(&mut self, poll: &impl AsFd) -> Result<(), Failure> {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = stream.as_raw_fd() as u64;
            let wanted = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(poll, &stream, EventData::new_u64(number), wanted)?;
            let connection = Connection { stream, received: Vec::new(), sending: None, sent: 0 };
            self.connections.insert(number, connection);
        }
        Ok(())
    }

    fn turn(&mut self, poll: &impl AsFd, number: u64) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        // A client that goes away in the middle is its own affair.
        let lives = connection.turn(&self.window).unwrap_or(false);
        if !lives {
            epoll::delete(poll, &connection.stream)?;
            self.connections.remove(&number);
        }
        Ok(())
    }
}

impl Connection {
    /// Reads and answers until one of both would block; false when the connection has ended.
    fn turn(&mut self, window: &Window) -> std::io::Result<bool> {
        loop {
            if let Some(answer) = self.sending.take() {
                if !self.send(&answer, window)? {
                    self.sending = Some(answer);
                    return Ok(true);
                }
                self.sent = 0;
                if answer.closes {
                    return Ok(false);
                }
            }
            self.sending = match Request::parse(&self.received) {
                Err(_) => Some(refusal()),
                Ok(Some((request, len))) => {
                    self.received.drain(..len);
                    Some(answer(&request))
                }
                Ok(None) => match self.receive()? {
                    None => return Ok(true),
                    Some(0) => return Ok(false),
                    Some(_) => None,
                },
            };
        }
    }

    /// How many bytes came; `None` while there are none.
    fn receive(&mut self) -> std::io::Result<Option<usize>> {
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.received.extend_from_slice(&bytes[..count]);
                Ok(Some(count))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// False when the rest must wait.
    fn send(&mut self, answer: &Answer, window: &Window) -> std::io::Result<bool> {
        let Answer { head, body: Body { offset, len }, .. } = answer;
        let total = head.len() + *len as usize;
        while self.sent < total {
            let sent = if self.sent < head.len() {
                let more = if *len > 0 { SendFlags::MORE } else { SendFlags::empty() };
                send(&self.stream, &head[self.sent..], more | SendFlags::NOSIGNAL)
            } else {
                let mut from = offset + (self.sent - head.len()) as u64;
                sendfile(&self.stream, &window.file, Some(&mut from), total - self.sent)
            };
            match sent {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}
