//! GETs from one bucket: attempts, their deadlines, and what follows from how they end.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, response};
use millpool_core::{Code, Error, Result, Urgency};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::awaited::Awaited;
use crate::buffer::{BufferPool, RecordWriter};
use crate::config::Timeouts;
use crate::connection::{Connection, ConnectionPool};
use crate::counters::Counters;
use crate::credentials::Credentials;
use crate::endpoint::Bucket;
use crate::exchange::{Broken, Exchange};
use crate::lane::Lane;
use crate::piece::{Fetched, Piece};
use crate::retry::{ATTEMPTS, Again, Failure, pause};
use crate::s3_request::{self, Stamped};
use crate::s3_response::Asked;
use crate::signature::Signer;
use crate::tally::Tally;

/// Of an answer that is an error, this much is read: enough to know its code, and to use the connection again.
const MOST_ERROR_BYTES: usize = 64 << 10;

pub(crate) struct S3Source {
    bucket: Bucket,
    connections: ConnectionPool,
    signer: watch::Sender<Option<Arc<Signer>>>,
    lane: Arc<Lane>,
    pool: Arc<BufferPool>,
    timeouts: Timeouts,
    counters: Arc<Counters>,
    tally: Arc<Tally>,
}

/// What a source has from its filler.
pub(crate) struct S3Terms {
    pub lane: Arc<Lane>,
    /// Of the memory that a second GET arrives in.
    pub pool: Arc<BufferPool>,
    pub timeouts: Timeouts,
    pub counters: Arc<Counters>,
    /// Of its attachment.
    pub tally: Arc<Tally>,
}

/// What one attempt gets to know.
#[derive(Clone)]
struct Attempt<'a> {
    asked: Asked<'a>,
    number: u32,
    signer: Option<Arc<Signer>>,
}

impl S3Source {
    pub fn new(bucket: Bucket, terms: S3Terms) -> Result<Self> {
        let S3Terms { lane, pool, timeouts, counters, tally } = terms;
        let connections = ConnectionPool::new(
            bucket.endpoint.clone(),
            &bucket.authority_files,
            counters.clone(),
        )?;
        let (signer, _) = watch::channel(None);
        Ok(S3Source { bucket, connections, signer, lane, pool, timeouts, counters, tally })
    }

    pub fn set_credentials(&self, credentials: Option<Credentials>) {
        let region = self.bucket.region.clone();
        self.signer.send_replace(
            credentials.map(|credentials| Arc::new(Signer::new(credentials, region))),
        );
    }

    pub async fn fetch(
        &self,
        piece: &Piece,
        mut into: RecordWriter,
        awaited: &Awaited,
    ) -> Result<Fetched> {
        let deadline = Instant::now() + self.timeouts.total;
        let young = self.until_it_works(piece, &mut into, awaited, deadline).await?;
        let record = into
            .finish()
            .ok_or_else(|| Error::new(Code::Internal, "a record ended before its last byte"))?;
        Ok(Fetched { record, young })
    }

    /// Attempts until one succeeds, the failure is final, or time, attempts or retry tokens are used up.
    async fn until_it_works(
        &self,
        piece: &Piece,
        into: &mut RecordWriter,
        awaited: &Awaited,
        deadline: Instant,
    ) -> Result<bool> {
        let asked = Asked { bucket: &self.bucket, piece };
        let mut renewed = false;
        let mut number = 0;
        loop {
            let signer = self.signer_or_wait(&asked).await?;
            let sent = Instant::now();
            let attempt = Attempt { asked, number, signer: signer.clone() };
            let limit = deadline.min(sent + self.timeouts.attempt);
            let ended = match timeout_at(limit, self.attempt_hedged(attempt, into, awaited)).await {
                Ok(ended) => ended,
                Err(_) => Err(self.too_slow(&asked, "the whole answer", sent.elapsed())),
            };
            let failure = match ended {
                Ok(young) => {
                    self.lane.retries.succeeded();
                    self.lane.limit.succeeded(u64::from(piece.len()), Instant::now().into_std());
                    return Ok(young);
                }
                Err(failure) => failure,
            };
            match failure.again {
                Again::Never => return Err(failure.error),
                Again::WithNewCredentials => {
                    if renewed || !self.wait_for_other_than(signer).await {
                        return Err(failure.error);
                    }
                    renewed = true;
                    continue;
                }
                Again::Slower | Again::Later => self.heed(&failure, sent),
            }
            number += 1;
            self.pause_or_give_up(number, deadline, failure.error).await?;
        }
    }

    /// What the source asks for by a failure, of a GET that was sent at `sent`.
    fn heed(&self, failure: &Failure, sent: Instant) {
        if failure.again == Again::Slower {
            self.lane.limit.overloaded(sent.into_std(), Instant::now().into_std());
        }
    }

    async fn pause_or_give_up(&self, number: u32, deadline: Instant, error: Error) -> Result<()> {
        let pause = pause(number);
        let attempts = if number == 1 { "1 attempt".into() } else { format!("{number} attempts") };
        let why = if number >= ATTEMPTS {
            format!("gave up after {attempts}")
        } else if Instant::now() + pause >= deadline {
            format!("gave up after {attempts} in {} s", self.timeouts.total.as_secs_f32())
        } else if !self.lane.retries.take() {
            format!("gave up after {attempts}: too much of what is asked of this endpoint fails")
        } else {
            self.counters.retries.add(1);
            tokio::time::sleep(pause).await;
            return Ok(());
        };
        Err(Error::new(error.code, format!("{}; {why}", error.message)))
    }

    /// An attempt; and where it is the first one, somebody waits for it, and it is slow, a second one beside it. Both
    /// ask for the same version, and the first to have it all wins; the connection of the other is closed, not kept.
    async fn attempt_hedged(
        &self,
        attempt: Attempt<'_>,
        into: &mut RecordWriter,
        awaited: &Awaited,
    ) -> Result<bool, Failure> {
        let (hedges, len) = (&self.lane.hedges, attempt.asked.piece.len());
        if attempt.number > 0 {
            return self.attempt(attempt, into).await;
        }
        let sent = Instant::now();
        let ended = match hedges.begun(len) {
            Some(patience) => self.race(attempt, into, awaited, patience).await,
            None => self.attempt(attempt, into).await,
        };
        if ended.is_ok() {
            hedges.ended(len, sent.elapsed());
        }
        ended
    }

    /// The first attempt, and a second one when it takes longer than `patience`. Where there may be none then, it is
    /// asked again after as long again.
    async fn race(
        &self,
        attempt: Attempt<'_>,
        into: &mut RecordWriter,
        awaited: &Awaited,
        patience: Duration,
    ) -> Result<bool, Failure> {
        let sent = Instant::now();
        let (young, won) = {
            let mut first = pin!(self.attempt(attempt.clone(), into));
            let (mut due, mut held) = (sent + patience, false);
            let second = loop {
                let slow = async {
                    sleep_until(due).await;
                    awaited.told().await;
                };
                tokio::select! {
                    biased;
                    ended = &mut first => return ended,
                    () = slow => {}
                }
                if let Some(second) = self.second(attempt.clone()) {
                    break second;
                }
                self.counters.hedges_held.add(u64::from(!held));
                (due, held) = (Instant::now() + patience, true);
            };
            let (mut second, sent_again) = (pin!(second), Instant::now());
            tokio::select! {
                biased;
                ended = &mut first => match ended {
                    // The second is the retry that this one would have had.
                    Err(failure) if matches!(failure.again, Again::Later | Again::Slower) => {
                        self.heed(&failure, sent);
                        second.await.map_err(|_| failure)?
                    }
                    ended => return ended,
                },
                ended = &mut second => match ended {
                    Ok(won) => won,
                    Err(failure) => {
                        self.heed(&failure, sent_again);
                        return first.await;
                    }
                },
            }
        };
        *into = won;
        self.counters.hedges_won.add(1);
        self.tally.hedge_won();
        Ok(young)
    }

    /// The attempt once more, into memory of its own; `None` when that is more than may be asked of the source, or of
    /// this machine.
    fn second<'a>(
        &'a self,
        attempt: Attempt<'a>,
    ) -> Option<impl Future<Output = Result<(bool, RecordWriter), Failure>> + 'a> {
        let len = attempt.asked.piece.len();
        let lease = self.pool.take(len, Urgency::Reader)?;
        let slot = self.lane.try_hedge(len)?;
        self.counters.hedges.add(1);
        self.tally.hedged();
        self.counters.hedged_bytes.add(u64::from(len));
        Some(async move {
            let mut into = RecordWriter::new(lease, len);
            let young = self.attempt(attempt, &mut into).await;
            drop(slot);
            Ok((young?, into))
        })
    }

    /// One GET, and a HEAD where only that tells that the range was of the right version. True: the object is young.
    async fn attempt(
        &self,
        attempt: Attempt<'_>,
        into: &mut RecordWriter,
    ) -> Result<bool, Failure> {
        into.restart();
        let piece = attempt.asked.piece;
        let signed = attempt.signer.as_deref().map(stamped);
        let request = s3_request::get(&self.bucket, piece, signed)
            .map_err(|error| Failure::new(Again::Never, error))?;
        self.counters.gets.add(1);
        let (mut exchange, head) = self.send(&attempt, &request).await?;
        if !head.status.is_success() {
            return Err(self.refusal(&attempt, exchange, &head).await);
        }
        let accepted = attempt.asked.check_get(&head)?;
        self.receive(&attempt, &mut exchange, into).await?;
        self.connections.keep(exchange);
        if piece.object.tag.starts_with(b"m") && !piece.is_whole_object() {
            self.confirm(&attempt).await?;
        }
        Ok(accepted.young)
    }

    /// After a part of an object that has no ETag: it is still the same object.
    async fn confirm(&self, attempt: &Attempt<'_>) -> Result<(), Failure> {
        let signed = attempt.signer.as_deref().map(stamped);
        let request = s3_request::head(&self.bucket, attempt.asked.piece, signed)
            .map_err(|error| Failure::new(Again::Never, error))?;
        self.counters.heads.add(1);
        let (exchange, head) = self.send(attempt, &request).await?;
        if !head.status.is_success() {
            return Err(self.refusal(attempt, exchange, &head).await);
        }
        self.connections.keep(exchange);
        attempt.asked.check_head(&head)
    }

    /// Sends on an idle connection, or on a new one for a retry. A connection that turns out to have been closed while
    /// idle costs no attempt.
    async fn send(
        &self,
        attempt: &Attempt<'_>,
        request: &Request<()>,
    ) -> Result<(Exchange, response::Parts), Failure> {
        let asked = &attempt.asked;
        let mut connection = self.connect(asked, attempt.number > 0).await?;
        let mut answer = self.first_byte(attempt, connection.exchange.ask(request)).await?;
        if connection.reused && matches!(answer, Err(Broken::BeforeAnswer(_))) {
            connection = self.connect(asked, true).await?;
            answer = self.first_byte(attempt, connection.exchange.ask(request)).await?;
        }
        match answer {
            Ok(head) => Ok((connection.exchange, head)),
            Err(broken) => Err(failure_of(asked, broken, 0)),
        }
    }

    async fn connect(&self, asked: &Asked<'_>, fresh: bool) -> Result<Connection, Failure> {
        let connecting = async {
            if fresh { self.connections.connect().await } else { self.connections.checkout().await }
        };
        let endpoint = &self.bucket.endpoint.authority;
        match timeout(self.timeouts.connect, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(asked.later(format_args!("connecting to {endpoint}: {error}"))),
            Err(_) => Err(self.too_slow(asked, "a connection", self.timeouts.connect)),
        }
    }

    async fn first_byte<T>(
        &self,
        attempt: &Attempt<'_>,
        answer: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let patience = if attempt.asked.piece.len() > Timeouts::SMALL_BYTES {
            self.timeouts.first_byte
        } else {
            let doubled =
                self.timeouts.first_byte_small.saturating_mul(1 << attempt.number.min(16));
            doubled.min(self.timeouts.first_byte)
        };
        timeout(patience, answer)
            .await
            .map_err(|_| self.too_slow(&attempt.asked, "the first byte", patience))
    }

    async fn receive(
        &self,
        attempt: &Attempt<'_>,
        exchange: &mut Exchange,
        into: &mut RecordWriter,
    ) -> Result<(), Failure> {
        let asked = &attempt.asked;
        loop {
            let arrival = timeout(self.timeouts.progress, exchange.read_into(into)).await;
            let arrived = arrival.map_err(|_| {
                self.too_slow(asked, "more bytes of the body", self.timeouts.progress)
            })?;
            match arrived.map_err(|broken| failure_of(asked, broken, into.missing()))? {
                0 => break,
                count => self.counters.source_bytes.add(count as u64),
            }
        }
        match into.missing() {
            0 => Ok(()),
            missing => Err(cut(asked, missing)),
        }
    }

    async fn refusal(
        &self,
        attempt: &Attempt<'_>,
        mut exchange: Exchange,
        head: &response::Parts,
    ) -> Failure {
        let mut text = Vec::new();
        let reading = async {
            while text.len() < MOST_ERROR_BYTES {
                match exchange.read_text(&mut text).await {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
            false
        };
        // The status alone decides when the explanation does not come.
        if let Ok(true) = timeout(self.timeouts.progress, reading).await {
            self.connections.keep(exchange);
        }
        attempt.asked.refusal(head, &text)
    }

    fn too_slow(&self, asked: &Asked<'_>, what: &str, waited: Duration) -> Failure {
        let endpoint = &self.bucket.endpoint.authority;
        let why = format!("waited {:.1} s for {what} from {endpoint}", waited.as_secs_f32());
        asked.fail(Again::Slower, Code::SourceUnavailable, why)
    }

    async fn signer_or_wait(&self, asked: &Asked<'_>) -> Result<Option<Arc<Signer>>> {
        if self.bucket.anonymous {
            return Ok(None);
        }
        let mut pushed = self.signer.subscribe();
        let signer =
            match timeout(self.timeouts.credentials, pushed.wait_for(Option::is_some)).await {
                Ok(Ok(signer)) => signer.clone(),
                _ => None,
            };
        match signer {
            Some(signer) => Ok(Some(signer)),
            None => Err(asked
                .never(
                    Code::Refused,
                    format_args!(
                        "no credentials for bucket {}; set them, or attach it anonymous",
                        self.bucket.name
                    ),
                )
                .error),
        }
    }

    /// Waits shortly for credentials other than those that `used` has; false when none came.
    async fn wait_for_other_than(&self, used: Option<Arc<Signer>>) -> bool {
        let mut pushed = self.signer.subscribe();
        let is_new = |now: &Option<Arc<Signer>>| match (now, &used) {
            (Some(now), Some(used)) => now.credentials != used.credentials,
            (now, _) => now.is_some(),
        };
        matches!(timeout(self.timeouts.credentials, pushed.wait_for(is_new)).await, Ok(Ok(_)))
    }
}

fn stamped(signer: &Signer) -> Stamped<'_> {
    let seconds =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    Stamped { signer, seconds }
}

fn failure_of(asked: &Asked<'_>, broken: Broken, missing: usize) -> Failure {
    match broken {
        Broken::BeforeAnswer(error) => {
            asked.later(format_args!("the connection ended before an answer: {error}"))
        }
        Broken::NotHttp(why) => {
            asked.never(Code::SourceBroken, format_args!("the source's answer is not HTTP: {why}"))
        }
        Broken::TooLong => {
            asked.never(Code::SourceBroken, "the source sent more bytes than were asked for")
        }
        Broken::Cut => cut(asked, missing),
        // TLS without its goodbye.
        Broken::InBody(error) if error.kind() == ErrorKind::UnexpectedEof => cut(asked, missing),
        Broken::InBody(error) => {
            asked.later(format_args!("the connection broke with {missing} bytes to come: {error}"))
        }
    }
}

fn cut(asked: &Asked<'_>, missing: usize) -> Failure {
    let why = format_args!("the source ended its answer {missing} bytes early");
    asked.fail(Again::Later, Code::SourceBroken, why)
}
