//! What the benches measure against, and between: a load generator that answers like S3, a bare loop of GETs, a bare
//! gather from mapped files, data directories full of records, and a link with delay. None of it is a part of the
//! product.

mod account;
mod answer;
mod catalog;
mod failure;
mod gather;
mod get_loop;
mod http_date;
mod interface;
mod laps;
mod lifeline;
mod link;
mod listing;
mod memory;
mod page_cache;
mod records;
mod request;
mod round_trip;
mod sample_files;
mod server;
mod version_file;
mod window;

use std::process::ExitCode;

use crate::failure::{Failure, parsed, refused};

const USAGE: &str = "usage: millpool-bench COMMAND
  serve ADDRESS:PORT               answers like S3, from memory; buckets objects-N-BYTES and flat-N-BYTES hold N objects
  get ADDRESS:PORT BUCKET          a line `CONNECTIONS ORDER` on stdin: one lap of GETs in the order of that file
  samples DIRECTORY COUNT BYTES    writes the same samples as single files and packed
  gather DIRECTORY COUNT BYTES BATCH   a line `ORDER` on stdin: one lap of batches copied out of the packed files
  link DELAY_MICROS                two network namespaces with so much delay each way, until stdin ends
  records DIRECTORY COUNT BYTES CACHE_BYTES   a data directory of a cache so large, with so many records of BYTES each
  version FILE ENDPOINT BUCKET     writes the dataset version of all that such a bucket holds, attached at /data
  uncache DIRECTORY                takes the files below it out of the page cache
  memory BYTES                     touches so much memory, and gives it back
  account BATCH TIMES WAY          what the stall report adds to a batch of so many samples that is read as `read` or
                                   `known` says, the mean of so many times
  round-trip ADDRESS:PORT          the least of some TCP handshakes, in seconds";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("millpool-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Failure> {
    match *arguments {
        ["serve", address] => server::serve(parsed("ADDRESS:PORT", address)?),
        ["get", address, bucket] => get_loop::run(parsed("ADDRESS:PORT", address)?, bucket),
        ["samples", directory, count, bytes] => {
            sample_files::SampleFiles::of(directory, count, bytes)?.write()
        }
        ["gather", directory, count, bytes, batch] => {
            let files = sample_files::SampleFiles::of(directory, count, bytes)?;
            gather::run(&files, parsed("BATCH", batch)?)
        }
        ["link", delay] => link::run(std::time::Duration::from_micros(parsed("DELAY", delay)?)),
        ["records", directory, count, bytes, cache] => {
            records::write(directory, count, bytes, cache)
        }
        ["version", place, endpoint, bucket] => version_file::write(place, endpoint, bucket),
        ["uncache", directory] => page_cache::drop_below(directory),
        ["memory", bytes] => memory::touch(parsed("BYTES", bytes)?),
        ["account", batch, times, way] => {
            account::run(parsed("BATCH", batch)?, parsed("TIMES", times)?, way)
        }
        ["round-trip", address] => round_trip::run(parsed("ADDRESS:PORT", address)?),
        _ => Err(refused(USAGE)),
    }
}
