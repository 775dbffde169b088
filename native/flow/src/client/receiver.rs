//! The reading half of a connection: frames, their descriptors, and pieces that go straight where they belong.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use millpool_core::{Code, Error, Result};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::frame::{FLAG_DESCRIPTOR, HEADER_BYTES, Header, broken};

/// Descriptors that one receive can bring; the daemon sends one with a frame.
const DESCRIPTORS_MAX: usize = 8;
const DISCARD_BYTES: usize = 64 << 10;

pub struct Receiver<'a> {
    socket: &'a UnixStream,
    /// Received, and not yet claimed by the frame that they came with.
    descriptors: VecDeque<OwnedFd>,
}

impl<'a> Receiver<'a> {
    pub fn new(socket: &'a UnixStream) -> Self {
        Receiver { socket, descriptors: VecDeque::new() }
    }

    /// The next frame's header, and the descriptor that came with it.
    pub fn header(&mut self) -> Result<(Header, Option<File>)> {
        let mut bytes = [0u8; HEADER_BYTES];
        self.fill(&mut bytes)?;
        let header = Header::decode(&bytes)?;
        if header.flags & FLAG_DESCRIPTOR == 0 {
            return Ok((header, None));
        }
        match self.descriptors.pop_front() {
            Some(descriptor) => Ok((header, Some(descriptor.into()))),
            None => Err(broken(
                "a descriptor was announced and did not come; is the limit of open files reached?",
            )),
        }
    }

    pub fn payload(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut payload = vec![0; len];
        self.fill(&mut payload)?;
        Ok(payload)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub fn discard(&mut self, mut len: usize) -> Result<()> {
        let mut bytes = vec![0; len.min(DISCARD_BYTES)];
        while len > 0 {
            let part = len.min(DISCARD_BYTES);
            self.fill(&mut bytes[..part])?;
            len -= part;
        }
        Ok(())
    }

    /// Blocks until all of `bytes` is received. `Closed` when the other side ends the connection.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.receive(&mut bytes[filled..]) {
                Ok(0) => return Err(Error::new(Code::Closed, "the daemon closed the connection")),
                Ok(received) => filled += received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Error::new(Code::Timeout, "the daemon did not answer in time"));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Error::new(Code::Closed, "the daemon is gone"));
                }
                Err(error) => return Err(Error::io("reading from the daemon", &error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(bytes)];
        let received = rustix::net::recvmsg(
            self.socket.as_fd(),
            &mut parts,
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        Ok(received.bytes)
    }
}
