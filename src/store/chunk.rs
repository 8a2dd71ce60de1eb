//! Chunks: the entries of one stream over a time range, sorted by time, compressed well. Made from blocks and from
//! smaller chunks by compaction; never changed afterwards.

use crate::{
    model::{StreamId, Timestamp},
    store::{
        StoreError, Transaction,
        block::PLAIN_MAX,
        entries::{Encoder, Entries},
    },
};

/// Zstandard level: 3 is where logs stop getting much smaller for a little more work.
const LEVEL: i32 = 3;

/// A chunk made ready for its row.
pub(crate) struct EncodedChunk {
    pub(crate) stream: StreamId,
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    pub(crate) entries: u32,
    pub(crate) line_bytes: u64,
    pub(crate) payload: Vec<u8>,
}

/// Makes chunks; kept for a whole step, because setting up the compressor costs more than a small chunk does.
pub(crate) struct ChunkEncoder(zstd::bulk::Compressor<'static>);

impl ChunkEncoder {
    pub(crate) fn new() -> Result<Self, StoreError> {
        zstd::bulk::Compressor::new(LEVEL).map(ChunkEncoder).map_err(|error| damaged(&error))
    }

    /// Compresses the collected entries of a stream; `None` when there are none.
    pub(crate) fn encode(
        &mut self,
        stream: StreamId,
        encoder: Encoder,
    ) -> Result<Option<EncodedChunk>, StoreError> {
        let Some((min, max)) = encoder.range() else { return Ok(None) };
        let (entries, line_bytes) = (encoder.entries(), encoder.line_bytes() as u64);
        let payload = self.0.compress(&encoder.finish()).map_err(|error| damaged(&error))?;
        Ok(Some(EncodedChunk { stream, min, max, entries, line_bytes, payload }))
    }
}

/// Decompresses and checks the payload of a chunk.
pub(crate) fn decode(payload: &[u8]) -> Result<Entries, StoreError> {
    // Our frames say their length; one that does not, or says too much, is none of ours.
    let len = zstd::bulk::Decompressor::upper_bound(payload).filter(|len| *len <= PLAIN_MAX);
    let len = len.ok_or_else(|| damaged(&"implausible length"))?;
    let plain = zstd::bulk::decompress(payload, len).map_err(|error| damaged(&error))?;
    Entries::open(plain).map_err(|cause| damaged(&cause))
}

/// Inserts a chunk, with the next number unless it is given one.
pub(crate) fn insert(tx: &Transaction<'_>, id: Option<i64>, chunk: &EncodedChunk) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO chunk (id, stream_id, min_ns, max_ns, entries, bytes, payload)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    tx.prepare_cached(SQL)?.execute((
        id,
        chunk.stream.0.cast_signed(),
        chunk.min.as_nanos(),
        chunk.max.as_nanos(),
        chunk.entries,
        chunk.line_bytes.cast_signed(),
        &chunk.payload,
    ))?;
    Ok(())
}

fn damaged(cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: "chunk", cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> EncodedChunk {
        let mut encoder = Encoder::default();
        encoder.stream(StreamId(3), 100);
        for at in 0..100 {
            encoder.entry(Timestamp::from_nanos(at), b"the same line every time", std::iter::empty());
        }
        ChunkEncoder::new().unwrap().encode(StreamId(3), encoder).unwrap().unwrap()
    }

    #[test]
    fn a_chunk_is_small_and_reads_back() {
        let chunk = encoded();
        assert_eq!((chunk.entries, chunk.line_bytes), (100, 2_400));
        assert!(chunk.payload.len() < 120, "{} bytes", chunk.payload.len());
        let entries = decode(&chunk.payload).unwrap();
        let last = entries.iter().last().unwrap();
        assert_eq!((last.stream, last.timestamp.as_nanos(), last.index), (StreamId(3), 99, 99));
    }

    #[test]
    fn damage_is_an_error() {
        let payload = encoded().payload;
        assert!(decode(&payload[..payload.len() - 1]).is_err());
        assert!(decode(b"no frame at all").is_err());
        // A frame header that claims 2^40 bytes: magic, descriptor (8-byte size, single segment), size.
        let mut lie = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
        lie.extend_from_slice(&(1_u64 << 40).to_le_bytes());
        assert!(decode(&lie).unwrap_err().to_string().contains("implausible length"));
    }
}
