//! Connections to one endpoint: made, kept while idle, used again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millpool_core::{Code, Error, Result};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::counters::Counters;
use crate::endpoint::Endpoint;
use crate::exchange::Exchange;
use crate::stream::Stream;

/// Servers close idle connections after 5 s (Node) to 75 s (nginx); S3 after about 20 s.
const IDLE: Duration = Duration::from_secs(15);

pub(crate) struct ConnectionPool {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    /// The last used is used next, so that those not needed grow old.
    idle: Mutex<Vec<(Exchange, Instant)>>,
    counters: Arc<Counters>,
}

pub(crate) struct Connection {
    pub exchange: Exchange,
    /// It has carried a request before, so it may be closed at the other end without our knowing yet.
    pub reused: bool,
}

impl ConnectionPool {
    pub fn new(
        endpoint: Endpoint,
        authority_files: &[PathBuf],
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let tls = if endpoint.tls { Some(tls_connector(authority_files)?) } else { None };
        Ok(ConnectionPool { endpoint, tls, idle: Mutex::new(Vec::new()), counters })
    }

    /// An idle connection that still seems alive, else a new one to an address looked up now.
    pub async fn checkout(&self) -> std::io::Result<Connection> {
        while let Some(exchange) = self.pop_idle() {
            if exchange.can_go_on() {
                return Ok(Connection { exchange, reused: true });
            }
        }
        self.connect().await
    }

    pub async fn connect(&self) -> std::io::Result<Connection> {
        let tcp = self.connect_tcp().await?;
        tcp.set_nodelay(true)?;
        self.counters.connections.add(1);
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some(connector) => {
                let name = ServerName::try_from(self.endpoint.host.clone()).map_err(|error| {
                    std::io::Error::new(std::io::ErrorKind::InvalidInput, error)
                })?;
                Stream::Tls(Box::new(connector.connect(name, tcp).await?))
            }
        };
        Ok(Connection { exchange: Exchange::over(stream), reused: false })
    }

    /// Keeps a connection for later, if its last answer was read to its end.
    pub fn keep(&self, exchange: Exchange) {
        if exchange.can_go_on() {
            self.lock().push((exchange, Instant::now()));
        }
    }

    fn pop_idle(&self) -> Option<Exchange> {
        let mut idle = self.lock();
        let (exchange, since) = idle.pop()?;
        if since.elapsed() < IDLE {
            return Some(exchange);
        }
        // Those below are older still.
        idle.clear();
        None
    }

    /// Tries all addresses of the host, beginning with another one each time, which spreads load over them.
    async fn connect_tcp(&self) -> std::io::Result<TcpStream> {
        let host = (self.endpoint.host.as_str(), self.endpoint.port);
        let mut addresses: Vec<_> = tokio::net::lookup_host(host).await?.collect();
        if !addresses.is_empty() {
            let turn = self.counters.connections.get() as usize % addresses.len();
            addresses.rotate_left(turn);
        }
        TcpStream::connect(addresses.as_slice()).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Exchange, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tls_connector(authority_files: &[PathBuf]) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for file in authority_files {
        let found = rustls_native_certs::load_certs_from_paths(Some(file.as_path()), None);
        if roots.add_parsable_certificates(found.certs).0 == 0 {
            let message = format!("{} holds no certificate authority", file.display());
            return Err(Error::new(Code::Invalid, message));
        }
    }
    if roots.is_empty() {
        let why = "this machine has no certificate authorities (install ca-certificates, or set SSL_CERT_FILE)";
        return Err(Error::new(Code::Unsupported, why));
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Code::Internal, format!("setting up TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
